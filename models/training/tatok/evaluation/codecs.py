"""Image codecs at as many bytes as a tokenizer takes: each image at its best size and quality."""

import importlib.util
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

SIZES = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8, 1 / 16)
"""Sides that an image is coded at, as shares of its own."""
QUALITIES = (1, 3, 6, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90)


@dataclass(frozen=True)
class Codec:
    """An image format and the options that make its files small. Pillow writes it, or imagecodecs where that is JPEG XL."""

    name: str
    format: str
    options: dict[str, Any]

    def write(self, image: Image.Image, quality: int) -> bytes:
        """A lossy file of an RGB image at a quality of 1 to 100."""
        if self.format == _JPEG_XL:
            coder = importlib.import_module("imagecodecs")
            return coder.jpegxl_encode(np.asarray(image), level=quality, lossless=False, **self.options)
        buffer = io.BytesIO()
        image.save(buffer, self.format, quality=quality, **self.options)
        return buffer.getvalue()

    def read(self, data: bytes, side: int) -> NDArray[np.uint8]:
        """A file's pixels at the size that they stand for, reached by bicubic interpolation: uint8 [side, side, 3]."""
        if self.format == _JPEG_XL:
            image = Image.fromarray(importlib.import_module("imagecodecs").jpegxl_decode(data))
        else:
            image = Image.open(io.BytesIO(data)).convert("RGB")
        return np.asarray(image if image.size == (side, side) else image.resize((side, side), Image.Resampling.BICUBIC))


_JPEG_XL = "JXL"
_ALL = (
    Codec("WebP", "WEBP", {"method": 6}),
    Codec("AVIF", "AVIF", {"speed": 4, "max_threads": 1}),
    Codec("JPEG", "JPEG", {"optimize": True, "progressive": True}),
    Codec("JPEG XL", _JPEG_XL, {"effort": 7}),
)


def available_codecs() -> tuple[list[Codec], list[str]]:
    """The codecs that are installed, and the names of the others."""
    jpeg_xl = importlib.util.find_spec("imagecodecs") is not None
    present = {"WEBP": features.check("webp"), "AVIF": features.check("avif"), "JPEG": True, _JPEG_XL: jpeg_xl}
    return [c for c in _ALL if present[c.format]], [c.name for c in _ALL if not present[c.format]]


class Encoding(NamedTuple):
    """One file of an image: its bytes, and how far its pixels are from the image's."""

    data: bytes
    squared_error: float


@dataclass
class Ladder:
    """The files of one image by one codec, from which the best for a number of bytes is taken."""

    encodings: list[Encoding] = field(default_factory=list)

    def smallest(self) -> int:
        """Bytes of the smallest file."""
        return min(len(e.data) for e in self.encodings)

    def best(self, most_bytes: int) -> Encoding:
        """The file of least squared error that has at most so many bytes; where there is none, the smallest file."""
        fitting = [e for e in self.encodings if len(e.data) <= most_bytes]
        if not fitting:
            return min(self.encodings, key=lambda e: len(e.data))
        return min(fitting, key=lambda e: (e.squared_error, len(e.data)))


def encode(codec: Codec, image: NDArray[np.uint8], most_bytes: int) -> Ladder:
    """Codes an image [S, S, 3] at every size and at qualities up to the first whose file has more than `most_bytes`.

    Sizes are reached by Lanczos; the file of lowest quality at each size is kept, however large.
    """
    original, ladder = Image.fromarray(image), Ladder()
    for share in SIZES:
        side = max(1, round(image.shape[0] * share))
        small = original if side == image.shape[0] else original.resize((side, side), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            data = codec.write(small, quality)
            if len(data) <= most_bytes or quality == QUALITIES[0]:
                error = np.square(codec.read(data, image.shape[0]).astype(np.float64) - image).mean()
                ladder.encodings.append(Encoding(data, float(error)))
            if len(data) > most_bytes:
                break
    return ladder


def encode_all(codec: Codec, images: NDArray[np.uint8], most_bytes: int) -> list[Ladder]:
    """One ladder an image, on every core: codecs run outside of Python's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda image: encode(codec, image, most_bytes), images))
