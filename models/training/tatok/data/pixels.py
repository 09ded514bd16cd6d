"""From an image file to the pixels that are tokenized: sRGB, upright, opaque, as the inspector reads them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

_SRGB = ImageCms.createProfile("sRGB")
_WITH_PROFILES = ("L", "RGB", "CMYK")


def open_srgb(path: Path) -> Image.Image:
    """The first frame as mode RGB: EXIF orientation applied, 16 bits become 8, transparency is laid on white, colours are
    converted from the embedded profile (CMYK too).

    Raises ValueError, naming the file, for whatever cannot be read.
    """
    try:
        with Image.open(path) as image:
            profile = image.info.get("icc_profile")
            return _converted(_opaque(_eight_bits(ImageOps.exif_transpose(image))), profile)
    # A broken file raises nearly anything: EXIF that is cut short, for instance, a struct.error or a TypeError.
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a channel are not supported")
    return image


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
    opaque = Image.new(image.mode[:-1], image.size, "white")
    opaque.paste(image.convert(opaque.mode), mask=image.getchannel("A"))
    return opaque


def _converted(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode not in _WITH_PROFILES:
        image = image.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
            converted = ImageCms.profileToProfile(image, source, _SRGB, renderingIntent=intent, outputMode="RGB")
        # A profile of another colour space than the pixels', or a broken one, says nothing about them.
        except (OSError, ImageCms.PyCMSError):
            return image.convert("RGB")
        if converted is not None:
            return converted
    return image.convert("RGB")
