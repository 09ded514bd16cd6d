"""From an image file to the pixels that are tokenized: sRGB, upright, opaque, as the inspector reads them."""

import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from .colour import is_profile_of, is_simple_profile, opaque_srgb
from .containers import inspect_container
from .formats import Canvas, Container, UnsupportedImageError

if TYPE_CHECKING:
    import pyvips

_MOST_BYTES = 2**30
_MOST_PIXELS = 0x3FFF**2
"""Limits of the inspector: bytes of a file, and pixels."""

_LOADERS = ("Png", "Jpeg", "Webp", "Nsgif", "Tiff", "Heif")

# Warnings of libjpeg about lost samples, or before which such may come: a scan that has more than its samples, where another
# follows. Of the other warnings none but that of something behind the last scan is left here (`containers` mends their causes).
_LOST_SAMPLES = re.compile(
    "premature end|bad huffman code|before marker 0x(?!d9)|instead of RST|bad arithmetic code|bad progression", re.IGNORECASE
)


class Crop(NamedTuple):
    """The part of an upright picture that was tokenized, in its pixels."""

    left: int
    top: int
    width: int
    height: int


def open_srgb(path: Path) -> Image.Image:
    """The first frame or page of a file as mode RGB, see `decode_srgb`.

    Raises ValueError, naming the file, for whatever cannot be read.
    """
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("the file is too large")
        return Image.fromarray(decode_srgb(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def decode_srgb(file: bytes) -> np.ndarray:
    """[H, W, 3] uint8: EXIF orientation applied, 16 bits become 8, transparency is laid on white.

    Colours are converted from what the container says of them: an ICC profile (CMYK too), PNG's cICP or gAMA and cHRM, AVIF's
    nclx.

    Raises ValueError, with the reason, for whatever cannot be read.
    """
    vips = _libvips()
    if not file:
        raise ValueError("the file is empty")
    if len(file) > _MOST_BYTES:
        raise ValueError("the file is too large")
    container = inspect_container(file)
    try:
        with _threads.together():
            return _pixels_of_sound_file(container)
    except vips.Error:
        pass
    try:
        with _threads.alone():
            # Left from other threads' files.
            vips.vips_lib.vips_error_clear()
            return _decoded(container)
    except vips.Error as error:
        raise ValueError(f"it is damaged or cut short ({_reason(error)})") from error


def centre_square(rgb: np.ndarray, size: int) -> tuple[np.ndarray, Crop]:
    """The central square of a picture as the extension's command line tokenizes it, and which part of the picture that is.

    [H, W, 3] uint8 -> [size, size, 3]. The short side is scaled to `size`, the long one scaled and truncated (torchvision's
    Resize), by libvips' Lanczos kernel: bit for bit the pixels of the extension where both have the same libvips. `centre_crop`
    and `fitted` of `data.images` scale with Pillow, whose pixels differ by a level here and there.
    """
    height, width = rgb.shape[:2]
    scaled = (size, max(size, size * height // width)) if width <= height else (max(size, size * width // height), size)
    window = [_rounded((side - size) / 2) for side in scaled]
    left, top = (_rounded(offset * full / side) for offset, full, side in zip(window, (width, height), scaled, strict=True))
    across, down = (_rounded(size * full / side) for full, side in zip((width, height), scaled, strict=True))
    crop = Crop(left, top, min(width - left, across), min(height - top, down))
    # Finding out what an image can do, too, writes to the text of errors that a thread alone reads.
    with _threads.together():
        image = _libvips().Image.new_from_array(np.ascontiguousarray(rgb)).copy(interpretation="srgb")
        image = image.resize(1 / (width / scaled[0]), vscale=1 / (height / scaled[1]), kernel="lanczos3")
        return image.crop(*window, size, size).numpy(), crop


def _rounded(value: float) -> int:
    """Halves upwards, as JavaScript's Math.round does."""
    return math.floor(value + 0.5)


def _reason(error: "pyvips.Error") -> str:
    """The first thing that libvips says, without the name of its part that says it."""
    lines = [re.sub(r"^\w+: ", "", line.strip()) for line in error.detail.splitlines()]
    return next((line for line in lines if line and "treated as error" not in line), "its header cannot be read")


_setting_up = threading.Lock()


def _libvips() -> "pyvips":
    """The decoder, with the loaders of the formats that are read and no other."""
    # One thread at a time: another must not read a file while all loaders are blocked.
    with _setting_up:
        return _set_up_libvips()


@cache
def _set_up_libvips() -> "pyvips":
    # Imported where files are read: training from a pack needs no decoder.
    import pyvips

    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in _LOADERS:
        pyvips.operation_block_set(f"VipsForeignLoad{loader}", False)
    # Images are decoded once each: the cache of operations would only hold on to their memory.
    pyvips.cache_set_max(0)
    return pyvips


class _Threads:
    """Many threads that use libvips together, or one that is alone.

    All threads share libvips' text of the last errors, which says whether a JPEG's samples were lost: a thread that must know
    has to be alone.
    """

    def __init__(self) -> None:
        self._entrance, self._changed, self._inside = threading.Lock(), threading.Condition(), 0

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._entrance, self._changed:
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._entrance, self._changed:
            self._changed.wait_for(lambda: self._inside == 0)
            yield


_threads = _Threads()


def _pixels_of_sound_file(container: Container) -> np.ndarray:
    """Raises libvips' error, whose text may be another thread's, where anything is wrong or unusual."""
    if container.format == "jpeg" and not container.lacks_end:
        return _pixels(container, container.data, "warning")
    return _decoded(container)


def _decoded(container: Container) -> np.ndarray:
    if container.format != "jpeg":
        # A tile of a TIFF that cannot be decoded is a warning, and black.
        return _pixels(container, container.data, "warning" if container.format == "tiff" else "error")
    if not container.lacks_end:
        try:
            return _pixels(container, container.data, "warning")
        except _libvips().Error as error:
            if _LOST_SAMPLES.search(str(error)):
                raise
            return _pixels(container, container.data, "error")
    if not container.complete:
        raise ValueError("it is damaged or cut short (it lacks scans)")
    rgb = _pixels(container, container.data + b"\xff\xd9", "warning")
    # Complete but for its end marker, a JPEG is whole. libvips does not see what the last row of blocks lacks, but that would
    # be decoded from whatever follows.
    if not np.array_equal(rgb, _pixels(container, container.data + b"\xaa" * 64 + b"\xff\xd9", "error")):
        raise ValueError("it is damaged or cut short (it lacks rows)")
    return rgb


def _pixels(container: Container, data: bytes, fail_on: str) -> np.ndarray:
    """[H, W, 3] uint8 sRGB of the whole upright picture."""
    vips, tiff = _libvips(), container.tiff
    image = vips.Image.new_from_buffer(data, "", fail_on=fail_on)
    if image.get_typeof("heif-primary") and (primary := image.get("heif-primary")):
        image = vips.Image.new_from_buffer(data, "", fail_on=fail_on, page=primary)
    for size in (image, container.canvas or image):
        if size.width * size.height > _MOST_PIXELS:
            raise ValueError(f"it has {size.width} by {size.height} pixels, more than can be decoded")
    image = image.autorot()
    alpha = image.bands - 1 if image.hasalpha() else None
    colours = 1 if image.interpretation in ("grey16", "b-w") else 3
    if tiff is not None:
        alpha = None if tiff.alpha is None else tiff.alpha - tiff.colours + colours
        if tiff.kind != "unsigned":
            image = _unsigned_grey(image, tiff.kind)
    sixteen_bits = image.format == "ushort" and image.interpretation != "cmyk"
    premultiplied = container.premultiplied
    if container.space is None:
        _require_simple_profile(image, 1 if image.interpretation == "grey16" else 3, sixteen_bits, premultiplied)
        if premultiplied and image.get_typeof("icc-profile-data"):
            image, premultiplied = image.unpremultiply().cast(image.format), False
        image = _by_profile(image, sixteen_bits)
    samples = image.numpy() if sixteen_bits else image.colourspace("srgb").numpy()
    samples = samples.reshape(image.height, image.width, -1)
    # Profiles of grey, and palettes, come out as RGB.
    decoded = 1 if sixteen_bits and image.interpretation == "grey16" else 3
    if alpha is not None:
        alpha += decoded - colours
    rgb = opaque_srgb(samples, decoded, alpha, premultiplied, container.space)
    return rgb if container.canvas is None else _on_canvas(rgb, container.canvas)


def _on_canvas(rgb: np.ndarray, canvas: Canvas) -> np.ndarray:
    """A frame on the white canvas of its GIF.

    The decoder leaves what is bare black, takes common sizes of screens for no canvas at all, and a canvas for as large as all
    of its frames.
    """
    left, top, width, height = canvas.covered
    part = rgb[top : top + height, left : left + width]
    whole = np.full((canvas.height, canvas.width, 3), 255, np.uint8)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole


def _unsigned_grey(image: "pyvips.Image", kind: str) -> "pyvips.Image":
    """Grey samples of a signed or floating-point TIFF, black to white as 0 to 65535."""
    samples = image.numpy().reshape(image.height, image.width)
    if kind == "signed":
        if samples.min() < 0:
            raise UnsupportedImageError("TIFF images with negative samples")
        samples = samples / 32767
    # Something may be lost to rounding.
    elif not ((samples >= -1e-6) & (samples <= 1 + 1e-6)).all():
        raise UnsupportedImageError("TIFF images of floating-point numbers outside of 0 to 1")
    grey = _libvips().Image.new_from_array(np.rint(65535 * samples.clip(0, 1)).astype(np.uint16)).copy(interpretation="grey16")
    # As the inspector does, which converts by these profiles alone.
    if image.get_typeof("icc-profile-data") and is_simple_profile(image.get("icc-profile-data"), 1):
        grey.set_type(_libvips().GValue.blob_type, "icc-profile-data", image.get("icc-profile-data"))
    return grey


def _require_simple_profile(image: "pyvips.Image", colours: int, sixteen_bits: bool, premultiplied: bool) -> None:
    """Refuses what the inspector refuses, whose own conversion knows no tables, and whose decoder's loses bits."""
    grey = sixteen_bits and colours == 1
    if not (grey or premultiplied) or not image.get_typeof("icc-profile-data"):
        return
    icc = image.get("icc-profile-data")
    if not is_simple_profile(icc, colours) and (not sixteen_bits or is_profile_of(icc, colours)):
        kind = "Grey images of 16 bits" if grey else "AVIF images with premultiplied alpha"
        raise UnsupportedImageError(f"{kind} and this kind of colour profile")


def _by_profile(image: "pyvips.Image", sixteen_bits: bool) -> "pyvips.Image":
    """sRGB by the embedded profile; as it is where there is none that fits."""
    options = {"depth": 16 if sixteen_bits else 8, "intent": "perceptual"}
    if image.get_typeof("icc-profile-data"):
        # What is wrong with the samples must not pass for what is wrong with the profile.
        image = image.copy_memory()
        try:
            # Conversion itself fails for a profile of another colour space, or a broken one.
            return image.icc_transform("srgb", embedded=True, **options).copy_memory()
        except _libvips().Error:
            return image
    return image.icc_transform("srgb", input_profile="cmyk", **options) if image.interpretation == "cmyk" else image
