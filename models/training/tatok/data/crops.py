"""Random crops of a pack, cut and augmented on the device that holds its pixels."""

import json
import math
import warnings
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

    def numbers(self, count: int, generator: torch.Generator) -> Tensor:
        """Random numbers of `count` crops, [6, count] in [0, 1)."""
        return torch.rand(6, count, generator=generator, device=generator.device)

    def boxes(self, sizes: Tensor, draw: Tensor) -> Boxes:
        """Boxes in images of these heights and widths, [B, 2], by the random numbers of as many crops."""
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
    cut: Callable[..., Tensor]
    waited: float = 0.0
    """Pixels are there: no second is spent on waiting for them."""

    @classmethod
    def open(
        cls,
        pack: Path,
        size: int,
        shape: CropShape,
        augmentation: Augmentation,
        device: torch.device,
        compile_sampling: bool = False,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> "CropSource":
        """The pack's pixels for crops of size×size: of several processes each has a part of the images, of about equal bytes.

        The file is mapped into memory, for reading alone; a GPU is given a copy of its part. Raises ValueError for a pack with
        fewer images than processes, and where the GPU has no room.
        """
        sizes = torch.tensor(json.loads((pack / "index.json").read_text())["sizes"], dtype=torch.int64)
        if len(sizes) < processes:
            raise ValueError(f"{pack} holds {len(sizes) or 'no'} images, and {processes} processes need one each")
        ends = (sizes.prod(1) * 3).cumsum(0)
        own = _own_images(ends, rank, processes)
        start, end = (int(ends[i - 1]) if i else 0 for i in (own.start, own.stop))
        sizes, ends = sizes[own], ends[own] - start
        mapped = np.memmap(pack / "pixels.bin", dtype=np.uint8, mode="r", offset=start, shape=(end - start,))
        with warnings.catch_warnings():
            # Nothing writes to these pixels, which PyTorch cannot know.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            pixels = torch.from_numpy(mapped)
        try:
            pixels = pixels.to(device)
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"{len(pixels) / 2**30:.1f} GiB of {pack} do not fit on the GPU of process {rank}: read the pack as a stream "
                "with --stream, or train with more processes"
            ) from error
        offsets = ends - sizes.prod(1) * 3
        cut = torch.compile(cut_crops) if compile_sampling else cut_crops
        return cls(pixels, offsets.to(device), sizes.to(device), size, shape, augmentation, cut)

    def batch(self, crops: int, generator: torch.Generator, part: slice = slice(None)) -> Tensor:
        """`part` of `crops` crops, flipped half of the time and augmented: [≤ crops, 3, size, size] in [−1, 1]."""
        choice = torch.rand(crops, generator=generator, device=self.pixels.device, dtype=torch.float64)[part]
        image = (choice * len(self.sizes)).long()
        numbers = self.shape.numbers(crops, generator)[:, part], self.augmentation.draw(crops, generator)[:, part]
        drawn = self.offsets[image], self.sizes[image]
        return self.cut(self.pixels, *drawn, self.shape, self.augmentation, *numbers, self.size)

    def centres(self, count: int) -> Tensor:
        """The middle squares of the first images, as they are: at most `count` of [3, size, size] uint8."""
        return cut_middles(self.pixels, self.offsets[:count], self.sizes[:count], self.size)

    def close(self) -> None:
        """Nothing runs beside this process."""


def _own_images(ends: Tensor, rank: int, processes: int) -> slice:
    """The images of a process, of about equal bytes and one at least; `ends` [images] are the ends of the images' bytes."""
    starts = [0]
    for other in range(1, processes):
        wanted = int(torch.searchsorted(ends, int(ends[-1]) * other // processes, right=True))
        starts.append(min(max(wanted, starts[-1] + 1), len(ends) - (processes - other)))
    return slice(starts[rank], [*starts, len(ends)][rank + 1])


def cut_crops(
    pixels: Tensor,
    offset: Tensor,
    sizes: Tensor,
    shape: CropShape,
    augmentation: Augmentation,
    draw: Tensor,
    draw_of_augmentation: Tensor,
    size: int,
) -> Tensor:
    """A crop of each image that begins at `offset` [B] of the flat pixels, by the random numbers of both changes."""
    return augmentation(sample_boxes(pixels, offset, sizes, shape.boxes(sizes.float(), draw), size), draw_of_augmentation)


def cut_middles(pixels: Tensor, offset: Tensor, sizes: Tensor, size: int) -> Tensor:
    """The middle square of each image, as it is: [B, 3, size, size] uint8."""
    half = sizes.amin(1, keepdim=True).expand(-1, 2) / 2
    level = torch.zeros(len(sizes), device=sizes.device)
    crops = sample_boxes(pixels, offset, sizes, Boxes(sizes / 2, half, level, level > 0), size)
    return ((crops + 1) * 127.5).round().to(torch.uint8)


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
