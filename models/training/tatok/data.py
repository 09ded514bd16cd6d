"""Training images: decoded once into a pack, then cropped, resized and flipped where the model is."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from .augment import Augmentation

EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


def list_images(folder: Path) -> list[Path]:
    """Image files below `folder`, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)


def read_rgb(path: Path, short_side: int | None = None) -> np.ndarray:
    """[H, W, 3] uint8 sRGB, upright; scaled down so that its short side is at most `short_side`."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
        scale = 1 if short_side is None else short_side / min(image.size)
        if scale < 1:
            image = image.resize([max(short_side, round(s * scale)) for s in image.size], Image.Resampling.LANCZOS)
        return np.asarray(image)


def centre_crop(path: Path, size: int) -> np.ndarray:
    """The evaluation protocol of ImageNet models: short side to `size` by Lanczos, then the central square. uint8 [S, S, 3]."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
        return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))


def _read_for_pack(arguments: tuple[Path, int]) -> np.ndarray | None:
    try:
        return read_rgb(*arguments)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def write_pack(images: list[Path], out: Path, short_side: int) -> int:
    """Decodes `images` into `out`/pixels.bin (their bytes, one after the other) and `out`/index.json.

    Unreadable files are skipped and listed in `out`/skipped.csv. Returns the number of images packed.
    """
    out.mkdir(parents=True, exist_ok=True)
    sizes: list[tuple[int, int]] = []
    skipped: list[Path] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool, (out / "pixels.bin").open("wb") as pixels:
        work = pool.map(_read_for_pack, ((p, short_side) for p in images), chunksize=16)
        for path, rgb in zip(images, work, strict=True):
            if rgb is None:
                skipped.append(path)
                continue
            sizes.append(rgb.shape[:2])
            pixels.write(rgb.tobytes())
    with (out / "skipped.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[p] for p in skipped])
    (out / "index.json").write_text(json.dumps({"sizes": sizes}))
    return len(sizes)


@dataclass
class CropSource:
    """Random square crops of a pack, made on `device` from pixels that lie there."""

    pixels: Tensor  # [bytes] uint8
    offsets: Tensor  # [images] first byte of each image
    sizes: Tensor  # [images, 2] height, width
    size: int
    smallest: float
    augmentation: Augmentation
    sample: Callable[..., Tensor]

    @classmethod
    def open(
        cls,
        pack: Path,
        size: int,
        smallest: float,
        augmentation: Augmentation,
        device: torch.device,
        compile_sampling: bool = False,
    ) -> "CropSource":
        """The pack's pixels, moved to `device`; crops have sides from `smallest` to 1 times an image's short side."""
        sizes = torch.tensor(json.loads((pack / "index.json").read_text())["sizes"], dtype=torch.int64)
        if not len(sizes):
            raise ValueError(f"{pack} holds no images")
        lengths = sizes.prod(1) * 3
        pixels = torch.from_numpy(np.memmap(pack / "pixels.bin", dtype=np.uint8, mode="c"))
        offsets = lengths.cumsum(0) - lengths
        sample = torch.compile(_augmented_sample) if compile_sampling else _augmented_sample
        return cls(pixels.to(device), offsets.to(device), sizes.to(device), size, smallest, augmentation, sample)

    def batch(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` crops, flipped half of the time and augmented: [count, 3, size, size] in [−1, 1]."""
        device = self.pixels.device
        image = torch.randint(len(self.sizes), (count,), generator=generator, device=device)
        draw = torch.rand(4, count, generator=generator, device=device)
        height, width = self.sizes[image].float().unbind(1)
        side = torch.minimum(height, width) * (self.smallest + (1 - self.smallest) * draw[0])
        top, left = (height - side) * draw[1], (width - side) * draw[2]
        boxes = (top, left, side, draw[3] < 0.5)
        changes = self.augmentation, self.augmentation.draw(count, generator)
        return self.sample(self.pixels, self.offsets[image], self.sizes[image], boxes, self.size, *changes)


def _augmented_sample(
    pixels: Tensor,
    offset: Tensor,
    sizes: Tensor,
    boxes: tuple[Tensor, Tensor, Tensor, Tensor],
    size: int,
    augmentation: Augmentation,
    draw: Tensor,
) -> Tensor:
    return augmentation(_sample(pixels, offset, sizes, *boxes, size), draw)


def _sample(
    pixels: Tensor, offset: Tensor, sizes: Tensor, top: Tensor, left: Tensor, side: Tensor, flip: Tensor, size: int
) -> Tensor:
    """Bilinear samples of square boxes (pixels) straight out of the flat pack: [B, 3, size, size] in [−1, 1]."""
    step = (torch.arange(size, device=pixels.device) + 0.5) / size
    y = (top[:, None] + side[:, None] * step - 0.5).clamp(min=0)
    x = (left[:, None] + side[:, None] * torch.where(flip[:, None], 1 - step, step) - 0.5).clamp(min=0)
    height, width = sizes[:, :1], sizes[:, 1:]
    y0, x0 = y.long().clamp(max=height - 1), x.long().clamp(max=width - 1)
    y1, x1 = (y0 + 1).clamp(max=height - 1), (x0 + 1).clamp(max=width - 1)
    fy, fx = (y - y0)[:, None, :, None], (x - x0)[:, None, None, :]
    channel = torch.arange(3, device=pixels.device).view(1, 3, 1, 1)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        index = (offset[:, None, None] + (rows[:, :, None] * width[:, None] + columns[:, None, :]) * 3)[:, None] + channel
        return pixels[index].float()

    upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx
    lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx
    return (upper * (1 - fy) + lower * fy) / 127.5 - 1


def eval_batches(images: list[Path], size: int, batch: int) -> Iterator[np.ndarray]:
    """Centre crops in batches, uint8 [≤ batch, size, size, 3]."""
    for start in range(0, len(images), batch):
        yield np.stack([centre_crop(p, size) for p in images[start : start + batch]])
