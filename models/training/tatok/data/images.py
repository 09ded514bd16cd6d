"""Training images: decoded once into a pack, then cropped, resized and flipped where the model is."""

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .pixels import decode_srgb, open_srgb

EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".avif"}


def list_images(folder: Path) -> list[Path]:
    """Image files below `folder`, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)


def read_rgb(path: Path, short_side: int | None = None) -> np.ndarray:
    """[H, W, 3] uint8 sRGB, scaled down so that its short side is at most `short_side`. Raises ValueError, see `open_srgb`."""
    return _scaled_down(open_srgb(path), short_side)


def decode_rgb(file: bytes, short_side: int) -> np.ndarray:
    """As `read_rgb`, of a file's bytes. Raises ValueError, see `decode_srgb`."""
    return _scaled_down(Image.fromarray(decode_srgb(file)), short_side)


def _scaled_down(image: Image.Image, short_side: int | None) -> np.ndarray:
    scale = 1 if short_side is None else short_side / min(image.size)
    if scale < 1:
        image = image.resize([max(short_side, round(s * scale)) for s in image.size], Image.Resampling.LANCZOS)
    return np.asarray(image)


def centre_crop(path: Path, size: int) -> np.ndarray:
    """The evaluation protocol of ImageNet models: short side to `size` by Lanczos, central square. [S, S, 3] uint8 sRGB.

    Raises ValueError, see `open_srgb`.
    """
    return np.asarray(ImageOps.fit(open_srgb(path), (size, size), Image.Resampling.LANCZOS))


def fitted(path: Path, size: tuple[int, int], resample: str) -> np.ndarray:
    """An image as a bundle's encoder takes it: [height, width, 3] uint8 sRGB, for `size` (width, height).

    `resample` is that of `bundle.format.Image`. `lanczos3` is the protocol of `centre_crop`; the others scale the image to
    whole pixels first and then crop, as torchvision and the evaluation of ADM (Dhariwal and Nichol, 2021) do. Raises
    ValueError, see `open_srgb`.
    """
    image = open_srgb(path)
    if resample == "lanczos3":
        return np.asarray(ImageOps.fit(image, size, Image.Resampling.LANCZOS))
    if resample == "adm":
        while min(side / wanted for side, wanted in zip(image.size, size, strict=True)) >= 2:
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    kernel = Image.Resampling.BILINEAR if resample == "bilinear" else Image.Resampling.BICUBIC
    scale = max(wanted / side for side, wanted in zip(image.size, size, strict=True))
    if scale != 1:
        scaled = [max(wanted, round(side * scale)) for side, wanted in zip(image.size, size, strict=True)]
        image = image.resize(scaled, kernel)
    left, top = ((side - wanted) // 2 for side, wanted in zip(image.size, size, strict=True))
    return np.asarray(image.crop((left, top, left + size[0], top + size[1])))


def _read_for_pack(arguments: tuple[Path, int]) -> np.ndarray | None:
    try:
        return read_rgb(*arguments)
    except ValueError:
        return None


def write_pack(images: list[Path], out: Path, short_side: int) -> int:
    """Decodes `images` into `out`/pixels.bin (their bytes, one after the other) and `out`/index.json.

    Unreadable files are skipped and listed in `out`/skipped.csv. Returns the number of images packed. A pack that is there
    already is replaced at the end. Raises ValueError where no file can be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    partial = out / "pixels.bin.partial"
    sizes: list[tuple[int, int]] = []
    digest = hashlib.sha256()
    skipped: list[Path] = []
    # The decoder works outside of Python's lock, and is not made for processes that are forked while it has threads.
    with ThreadPoolExecutor(os.cpu_count()) as pool, partial.open("wb") as pixels:
        work = pool.map(_read_for_pack, ((p, short_side) for p in images))
        for path, rgb in zip(images, work, strict=True):
            if rgb is None:
                skipped.append(path)
                continue
            sizes.append(rgb.shape[:2])
            pixels.write(rgb.tobytes())
            digest.update(rgb.tobytes())
    if not sizes:
        partial.unlink()
        raise ValueError(f"none of {len(images)} files can be read as an image, the first is {images[0]}")
    # Without its index a pack is none: sizes never lie beside the pixels of another.
    (out / "index.json").unlink(missing_ok=True)
    partial.replace(out / "pixels.bin")
    with (out / "skipped.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[p] for p in skipped])
    (out / "index.json").write_text(json.dumps({"sizes": sizes, "sha256": digest.hexdigest()}))
    return len(sizes)


def pack_hash(pack: Path) -> str:
    """SHA-256 of a pack: of the sizes of its images and the SHA-256 of its pixels, which are read where its index lacks theirs.

    Raises OSError where there is no pack, and ValueError where its pixels are fewer or more than its index says.
    """
    index = json.loads((pack / "index.json").read_text())
    pixels, expected = pack / "pixels.bin", sum(height * width * 3 for height, width in index["sizes"])
    if pixels.stat().st_size != expected:
        raise ValueError(f"{pixels} has {pixels.stat().st_size} bytes, and its index says {expected}: pack the images anew")
    digest = index.get("sha256")
    if digest is None:
        with pixels.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(json.dumps([index["sizes"], digest]).encode()).hexdigest()


def eval_batches(images: list[Path], size: int, batch: int) -> Iterator[np.ndarray]:
    """Centre crops in batches, uint8 [≤ batch, size, size, 3]."""
    for start in range(0, len(images), batch):
        yield np.stack([centre_crop(p, size) for p in images[start : start + batch]])
