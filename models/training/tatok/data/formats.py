"""Types of the readers of containers: a container's description of its samples, and refusals of kinds that are not read."""

import struct
from dataclasses import dataclass

from .colour import ColourSpace, Curve, coded_space

FORMATS = "PNG, JPEG, WebP, GIF, TIFF, AVIF"


class UnsupportedImageError(ValueError):
    """A sound image of a kind that is not read."""

    def __init__(self, kind: str):
        super().__init__(f"{kind} are not supported; convert it to one of {FORMATS}")


@dataclass(frozen=True)
class TiffSamples:
    kind: str  # unsigned, signed or float
    count: int
    colours: int
    alpha: int | None


@dataclass(frozen=True)
class Canvas:
    width: int
    height: int
    covered: tuple[int, int, int, int]  # left, top, width and height of the first frame


@dataclass(frozen=True)
class Container:
    format: str
    data: bytes  # the file, or a copy without what keeps the decoder from the first page
    space: ColourSpace | None = None  # over any ICC profile
    premultiplied: bool = False
    canvas: Canvas | None = None  # of a GIF, as large as its first frame at least
    tiff: TiffSamples | None = None
    lacks_end: bool = False  # a JPEG without its end marker
    complete: bool = True  # false for a JPEG that lacks a scan of its picture


def number(data: bytes, at: int, kind: str = ">I") -> int:
    """Raises struct.error beyond the end of the file."""
    return struct.unpack_from(kind, data, at)[0]


UNSPECIFIED = 2
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}


def known_space(name: str, primaries: int, transfer: int, camera: Curve) -> ColourSpace:
    if transfer in _HIGH_DYNAMIC_RANGE:
        raise UnsupportedImageError(f"{name} images of high dynamic range ({_HIGH_DYNAMIC_RANGE[transfer]})")
    space = coded_space(primaries, transfer, camera)
    if space is None:
        raise UnsupportedImageError(f"{name} images of this colour space (primaries {primaries}, transfer {transfer})")
    return space
