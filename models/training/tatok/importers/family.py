"""A family of public tokenizers: what an importer knows of it, and what it makes of a checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..bundle.format import Codebook, Resample

Weights = Mapping[str, Tensor]
Configuration = Mapping[str, Any]


AVERAGED = "averaged (EMA)"
"""Moving averages of the weights during training, in the manifest's words."""


class ImageSize(NamedTuple):
    """Pixels."""

    height: int
    width: int


def image_size(text: str) -> ImageSize:
    """`256` or `384x256`, width before height. Raises ValueError."""
    sides = [int(side) if side.isdecimal() else 0 for side in text.lower().split("x")]
    if len(sides) > 2 or not all(16 <= side <= 4096 for side in sides):
        raise ValueError(f"--image-size is {text}; it must be such as 256 or 384x256, of 16 to 4096 pixels")
    return ImageSize(height=sides[-1], width=sides[0])


@dataclass(frozen=True)
class Tokenizer:
    """The two modules of a checkpoint and their shape, as `tatok.export_tokenizer` takes them."""

    encode: nn.Module
    decode: nn.Module
    image_size: ImageSize
    codebook: Tensor | Codebook
    resample: Resample
    patch: int
    grid: tuple[int, int] | None = None
    tokens: int | None = None
    prefix: bool = False
    attention: tuple[int, int] | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    weights: str = "as stored"
    assumed: tuple[str, ...] = field(default=())
    """Facts that neither checkpoint nor configuration tell, as sentences."""


@dataclass(frozen=True)
class Family:
    """An importer. `repository` at `commit` is the code that it follows; `licence` is that repository's."""

    kind: str
    title: str
    repository: str
    commit: str
    licence: str
    load: Callable[[Weights, Configuration, ImageSize | None], Tokenizer]


def setting(configuration: Configuration, *path: str) -> Any:
    """The value at `path` in nested mappings, or None where the configuration does not have it."""
    value: Any = configuration
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def agree(configuration: Configuration, *path: str, found: Any) -> None:
    """Raises ValueError where the configuration contradicts what the checkpoint's own shapes say."""
    given = setting(configuration, *path)
    given = list(given) if isinstance(given, list | tuple) else given
    if given is not None and given != found:
        raise ValueError(
            f"the configuration says {path[-1]} {given}, and the checkpoint has {found}: they do not belong together"
        )


def grid_of(size: ImageSize, patch: int) -> tuple[int, int]:
    """Rows and columns of patches. Raises ValueError where they do not tile the image."""
    if size.height % patch or size.width % patch:
        raise ValueError(f"--image-size must be multiples of {patch} pixels, not {size.width}x{size.height}")
    return size.height // patch, size.width // patch
