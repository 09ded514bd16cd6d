"""Sizes of a lens."""

from dataclasses import dataclass
from typing import Literal

Size = Literal["tiny", "small", "base"]


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
