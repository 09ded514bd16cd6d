"""Random crops of a pack, cut and augmented on the device that holds its pixels."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .augment import Augmentation


class Boxes(NamedTuple):
    """Where crops lie in their images, in pixels from the top left corner. Beyond an image's border lies its mirror image."""

    centre: Tensor  # [B, 2] vertical, horizontal
    half: Tensor  # [B, 2] half of the height, half of the width
    angle: Tensor  # [B] radians, clockwise
    flip: Tensor  # [B] bool, left for right


@dataclass(frozen=True)
class CropShape:
    """The parts of an image that a crop may be."""

    smallest: float = 0.8
    """Least side, relative to the image's short side."""
    largest: float = 1.0
    """Greatest; beyond 1 crops hold mirrored parts, and finer detail than the image has at the crop's size otherwise."""
    stretch: float = 0.0
    """Greatest |ln(width / height)|."""
    tilt: float = 0.0
    """Greatest rotation, degrees."""

    def draw(self, sizes: Tensor, generator: torch.Generator) -> Boxes:
        """Boxes in images of these heights and widths, [B, 2]."""
        draw = torch.rand(6, len(sizes), generator=generator, device=sizes.device)
        side = sizes.amin(1) * (self.smallest + (self.largest - self.smallest) * draw[0])
        stretch = torch.exp(self.stretch * (draw[4] - 0.5))
        extent = torch.stack([side / stretch, side * stretch], 1)
        centre = sizes / 2 + (sizes - extent).clamp(min=0) * (draw[1:3].T - 0.5)
        return Boxes(centre, extent / 2, math.radians(self.tilt) * (2 * draw[5] - 1), draw[3] < 0.5)


@dataclass
class CropSource:
    """Random square crops of a pack, made on `device` from pixels that lie there."""

    pixels: Tensor  # [bytes] uint8
    offsets: Tensor  # [images] first byte of each image
    sizes: Tensor  # [images, 2] height, width
    size: int
    shape: CropShape
    augmentation: Augmentation
    sample: Callable[..., Tensor]

    @classmethod
    def open(
        cls,
        pack: Path,
        size: int,
        shape: CropShape,
        augmentation: Augmentation,
        device: torch.device,
        compile_sampling: bool = False,
    ) -> "CropSource":
        """The pack's pixels, moved to `device`, for crops of size×size."""
        sizes = torch.tensor(json.loads((pack / "index.json").read_text())["sizes"], dtype=torch.int64)
        if not len(sizes):
            raise ValueError(f"{pack} holds no images")
        lengths = sizes.prod(1) * 3
        pixels = torch.from_numpy(np.memmap(pack / "pixels.bin", dtype=np.uint8, mode="c"))
        offsets = lengths.cumsum(0) - lengths
        sample = torch.compile(_augmented_sample) if compile_sampling else _augmented_sample
        return cls(pixels.to(device), offsets.to(device), sizes.to(device), size, shape, augmentation, sample)

    def batch(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` crops, flipped half of the time and augmented: [count, 3, size, size] in [−1, 1]."""
        image = torch.randint(len(self.sizes), (count,), generator=generator, device=self.pixels.device)
        sizes = self.sizes[image]
        boxes = self.shape.draw(sizes.float(), generator)
        changes = self.augmentation, self.augmentation.draw(count, generator)
        return self.sample(self.pixels, self.offsets[image], sizes, boxes, self.size, *changes)

    def centres(self, count: int) -> Tensor:
        """The middle squares of the first images, as they are: at most `count` of [3, size, size] uint8."""
        sizes = self.sizes[:count]
        half = sizes.amin(1, keepdim=True).expand(-1, 2) / 2
        level = torch.zeros(len(sizes), device=sizes.device)
        crops = sample_boxes(self.pixels, self.offsets[:count], sizes, Boxes(sizes / 2, half, level, level > 0), self.size)
        return ((crops + 1) * 127.5).round().to(torch.uint8)


def _augmented_sample(
    pixels: Tensor, offset: Tensor, sizes: Tensor, boxes: Boxes, size: int, augmentation: Augmentation, draw: Tensor
) -> Tensor:
    return augmentation(sample_boxes(pixels, offset, sizes, boxes, size), draw)


def sample_boxes(pixels: Tensor, offset: Tensor, sizes: Tensor, boxes: Boxes, size: int) -> Tensor:
    """Bilinear samples of boxes straight out of the flat pack: [B, 3, size, size] in [−1, 1]."""
    step = (torch.arange(size, device=pixels.device) + 0.5) / size * 2 - 1
    down = boxes.half[:, 0, None, None] * step[:, None]
    across = boxes.half[:, 1, None, None] * torch.where(boxes.flip[:, None, None], -step, step)
    cos, sin = boxes.angle.cos()[:, None, None], boxes.angle.sin()[:, None, None]
    height, width = (n[:, None, None] for n in sizes.unbind(1))
    y0, y1, fy = _neighbours(boxes.centre[:, 0, None, None] + down * cos + across * sin, height)
    x0, x1, fx = _neighbours(boxes.centre[:, 1, None, None] + across * cos - down * sin, width)
    channel = torch.arange(3, device=pixels.device).view(1, 3, 1, 1)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        index = (offset[:, None, None] + (rows * width + columns) * 3)[:, None] + channel
        return pixels[index].float()

    upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx
    lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx
    return (upper * (1 - fy) + lower * fy) / 127.5 - 1


def _neighbours(place: Tensor, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both pixels around a place, mirrored at 0 and at `length`, and how near it is to the second one, [B, 1, S, S]."""
    place = place.remainder(2 * length)
    place = (place.minimum(2 * length - place) - 0.5).clamp(min=0)
    first = place.long().minimum(length - 1)
    return first, (first + 1).minimum(length - 1), (place - first)[:, None]
