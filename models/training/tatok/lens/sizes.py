"""Choices of a lens: its size, and what stands in for a dropped token."""

from dataclasses import dataclass
from typing import Literal

Size = Literal["tiny", "small", "base"]
Filling = Literal["expectation", "likeliest"]
"""The code nearest to the expectation, whose picture is nearer to the photograph, or the likeliest one."""


@dataclass(frozen=True)
class LensSize:
    """A transformer, and the learning rate that suits it."""

    width: int
    heads: int
    layers: int
    rate: float


SIZES: dict[Size, LensSize] = {
    "tiny": LensSize(128, 4, 4, 1e-3),
    "small": LensSize(256, 4, 6, 6e-4),
    "base": LensSize(512, 8, 8, 4e-4),
}
"""About 1, 5 and 25 million parameters, more for a table of vectors."""
