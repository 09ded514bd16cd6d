"""Training images as a stream: read and decoded by other processes while the model computes, and held for one batch.

Nothing needs all images in memory. PyTorch's `DataLoader` runs the readers; which image comes when is a function of seed and
number (`order.py`), so that a run goes on at any step by skipping to it, and with another number of processes sees the same
images. Loaders that keep a state (`torchdata`'s, WebDataset's) would have to save one per reader, which fits no other number
of readers.
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from .augment import Augmentation
from .crops import CropShape, cut_crops, cut_middles
from .images import decode_rgb, pack_hash
from .inputs import list_sources
from .jpeg import decode_jpegs, is_plain_jpeg
from .order import Order, Share
from .shards import FORMAT, INDEX, ShardImages

_TRIES = 16
"""Neighbours that are tried in place of an image that cannot be read."""
_PREFETCHED = 3
"""Batches that every reader is ahead."""


class Images(Protocol):
    """A data set of images in shards."""

    @property
    def identity(self) -> str:
        """The kind of data, and a SHA-256."""

    @property
    def counts(self) -> list[int]:
        """Images of each shard."""

    def read(self, shard: int, number: int) -> bytes | np.ndarray:
        """An image's file, or its pixels, [H, W, 3] uint8. Raises OSError and ValueError where it cannot be read."""

    def name(self, shard: int, number: int) -> str:
        """For messages."""


class FolderImages:
    """Image files below a folder, as torchvision's ImageFolder has them, in one shard.

    Their names take a few dozen bytes each. Raises ValueError for a folder without images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A list of objects would be ten times as large, in every reader.
        self._names = np.array([source.key.encode() for source in list_sources([folder])])

    @property
    def identity(self) -> str:
        """Of names and sizes: reading all files would take longer than many a run."""
        digest = hashlib.sha256()
        for name in self._names:
            digest.update(name + b"\0%d\n" % self._path(name).stat().st_size)
        return f"folder {digest.hexdigest()}"

    @property
    def counts(self) -> list[int]:
        return [len(self._names)]

    def read(self, shard: int, number: int) -> bytes:
        return self._path(self._names[number]).read_bytes()

    def name(self, shard: int, number: int) -> str:
        return str(self._path(self._names[number]))

    def _path(self, name: bytes) -> Path:
        return self.folder / name.decode()


class PackImages:
    """The images of a pack, whose pixels are mapped into memory and read where they lie."""

    def __init__(self, pack: Path) -> None:
        self.pack = pack
        sizes = np.array(json.loads((pack / "index.json").read_text())["sizes"], np.int64).reshape(-1, 2)
        lengths = sizes.prod(1) * 3
        self._sizes, self._starts = sizes, lengths.cumsum() - lengths

    @property
    def identity(self) -> str:
        return f"pack {pack_hash(self.pack)}"

    @property
    def counts(self) -> list[int]:
        return [len(self._sizes)]

    def read(self, shard: int, number: int) -> np.ndarray:
        height, width = self._sizes[number]
        pixels = self.pack / "pixels.bin"
        return np.memmap(pixels, np.uint8, mode="r", offset=self._starts[number], shape=(height, width, 3))

    def name(self, shard: int, number: int) -> str:
        return f"image {number} of {self.pack}"


def is_pack(path: Path) -> bool:
    """True for a folder that `pack` wrote."""
    return (path / "pixels.bin").exists()


def open_images(path: Path) -> Images:
    """The images of a pack, of a folder of shards or of a folder of image files.

    Raises OSError and ValueError, in one sentence, for anything else.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"there is no folder {path}")
    if is_pack(path):
        return PackImages(path)
    if (path / INDEX).exists() and FORMAT in (path / INDEX).read_text(encoding="utf-8"):
        return ShardImages(path)
    if next(path.glob("*.tar"), None) is not None:
        raise ValueError(f"{path} has tars that `tatok shard` did not write: `tatok shard {path}/*.tar --out SHARDS` does")
    return FolderImages(path)


class Pictures(NamedTuple):
    """Images of one batch, as readers hand them over."""

    pixels: Tensor
    """[bytes] uint8: the decoded ones, one after the other."""
    sizes: Tensor
    """[images, 2] int64 heights and widths; 0 where an image is not decoded yet."""
    files: Tensor
    """[bytes] uint8: the JPEGs that the GPU is to decode, one after the other."""
    lengths: Tensor
    """[JPEGs] bytes of each."""


class _Reader(Dataset[bytes | np.ndarray]):
    """Reads and decodes in another process."""

    def __init__(self, images: Images, short_side: int, leave_jpegs: bool) -> None:
        self._images, self._short_side, self._leave_jpegs = images, short_side, leave_jpegs

    def __getitem__(self, place: tuple[int, int]) -> bytes | np.ndarray:
        """An image's pixels, or its file where the GPU decodes it; a neighbour's in place of one that cannot be read."""
        shard, number = place
        many = self._images.counts[shard]
        for distance in range(_TRIES):
            try:
                content = self._images.read(shard, (number + distance) % many)
                if isinstance(content, np.ndarray) or (self._leave_jpegs and is_plain_jpeg(content)):
                    return content
                return decode_rgb(content, self._short_side)
            except (OSError, ValueError) as error:
                name = self._images.name(shard, (number + distance) % many)
                print(f"tatok: {name} cannot be read ({error}); the next one stands for it", file=sys.stderr)
        raise ValueError(f"{_TRIES} images in a row cannot be read, from {self._images.name(*place)} on")


def _collate(contents: list[bytes | np.ndarray]) -> Pictures:
    files = [np.frombuffer(c, np.uint8) for c in contents if isinstance(c, bytes)]
    sizes = [(0, 0) if isinstance(c, bytes) else c.shape[:2] for c in contents]
    # Few tensors: each crosses to the other process with a file descriptor of its own.
    return Pictures(
        _joined([c.reshape(-1) for c in contents if isinstance(c, np.ndarray)]),
        torch.tensor(sizes, dtype=torch.int64),
        _joined(files),
        torch.tensor([len(file) for file in files], dtype=torch.int64),
    )


def _joined(parts: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts) if parts else np.zeros(0, np.uint8))


class _Places(Sampler[list[tuple[int, int]]]):
    """The places of a process's images, a list a pass, without end."""

    def __init__(self, order: Order, share: Share, first_step: int) -> None:
        self._order, self._share, self._first_step = order, share, first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in count(self._first_step):
            for number in range(self._share.passes):
                part = self._share.part(number)
                start = step * self._share.whole
                yield [self._order.place(start + sample) for sample in range(part.start, part.stop)]


class ImageStream:
    """Random square crops of a stream of images, cut on `device`."""

    def __init__(
        self,
        images: Images,
        size: int,
        shape: CropShape,
        augmentation: Augmentation,
        device: torch.device,
        share: Share,
        *,
        seed: int,
        first_step: int = 0,
        together: int = 8,
        readers: int = 0,
        gpu_decoding: bool = False,
        compile_sampling: bool = False,
    ) -> None:
        """Crops of size×size of images scaled down to a short side of 5/4 of that, from step `first_step` on.

        `readers` processes read and decode; 0: this one does. With `gpu_decoding` plain JPEGs are decoded on `device`.
        """
        self._images, self._size, self._shape, self._augmentation, self._device = images, size, shape, augmentation, device
        self._short_side = size * 5 // 4
        self._reader = _Reader(images, self._short_side, gpu_decoding)
        self._order = Order(images.counts, seed, together)
        self._loader = DataLoader(
            self._reader,
            batch_sampler=_Places(self._order, share, first_step),
            num_workers=readers,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            # A process forked from one with threads and a GPU may lock up.
            multiprocessing_context="spawn" if readers else None,
            prefetch_factor=_PREFETCHED if readers else None,
        )
        self._batches: Iterator[Pictures] | None = None
        self._cut = torch.compile(cut_crops) if compile_sampling else cut_crops
        self.waited = 0.0
        """Seconds spent in `batch` before images were there."""

    def batch(self, crops: int, generator: torch.Generator, part: slice = slice(None)) -> Tensor:
        """The next images' crops: `part` of a step of `crops`, [≤ crops, 3, size, size] in [−1, 1].

        Raises ValueError where many images in a row cannot be read.
        """
        started = time.monotonic()
        if self._batches is None:
            # Readers start with the first batch: a run that is at its end has none.
            self._batches = iter(self._loader)
        pictures = next(self._batches)
        self.waited += time.monotonic() - started
        pixels, offsets, sizes = self._on_device(pictures)
        # In full size for every process: what a crop is does not depend on how many share the step.
        numbers = self._shape.numbers(crops, generator)[:, part], self._augmentation.draw(crops, generator)[:, part]
        return self._cut(pixels, offsets, sizes, self._shape, self._augmentation, *numbers, self._size)

    def centres(self, images: int) -> Tensor:
        """The middle squares of the first images of the first epoch, as they are: [images, 3, size, size] uint8."""
        found = [self._reader[self._order.place(n)] for n in range(min(images, sum(self._images.counts)))]
        return cut_middles(*self._on_device(_collate(found)), self._size)

    def close(self) -> None:
        """Ends the readers."""
        self._batches = None

    def _on_device(self, pictures: Pictures) -> tuple[Tensor, Tensor, Tensor]:
        """Flat pixels, first byte of each image and sizes."""
        sizes, pixels = pictures.sizes, pictures.pixels.to(self._device, non_blocking=True)
        encoded = sizes[:, 0] == 0
        lengths = sizes.prod(1) * 3
        offsets = lengths.cumsum(0) - lengths
        if len(pictures.lengths):
            decoded = self._decoded(list(pictures.files.split(pictures.lengths.tolist())))
            sizes = sizes.masked_scatter(encoded[:, None], torch.tensor([image.shape[:2] for image in decoded]))
            added = torch.tensor([image.numel() for image in decoded])
            offsets = offsets.masked_scatter(encoded, len(pixels) + added.cumsum(0) - added)
            pixels = torch.cat([pixels, *(image.flatten() for image in decoded)])
        return pixels, offsets.to(self._device, non_blocking=True), sizes.to(self._device, non_blocking=True)

    def _decoded(self, files: list[Tensor]) -> list[Tensor]:
        """One damaged file fails its batch: then the CPU decodes each, and a whole one stands for those that it cannot."""
        try:
            return decode_jpegs(files, self._short_side, self._device)
        except RuntimeError:
            images = [self._decoded_here(file) for file in files]
        whole = next((image for image in images if image is not None), None)
        if whole is None:
            raise ValueError(f"none of {len(files)} JPEGs of a batch can be decoded")
        return [whole if image is None else image for image in images]

    def _decoded_here(self, file: Tensor) -> Tensor | None:
        try:
            return torch.from_numpy(decode_rgb(file.numpy().tobytes(), self._short_side)).to(self._device)
        except ValueError:
            return None
