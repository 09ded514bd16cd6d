"""Image files in tars of many: written once, read by training as a stream, and by the WebDataset library.

A folder of shards has `index.json` and, for every number from 0 on, `shard-NNNNN.tar` and `shard-NNNNN.json`. Image number i
has the members `NNNNNNNNN.jpg` (or the ending that its file has) with the file's bytes, `.cls` with the number of its class
where there are labels, and `.json` with the key and the label that it had. The JSON file of a shard says where the bytes of its
images lie, so that a reader takes any of them without a look at the others.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .inputs import Source, contents, list_sources

INDEX = "index.json"
FORMAT = "tatok-shards"
_HEADER = tarfile.BLOCKSIZE


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shard(_Strict):
    """One tar."""

    size: int = Field(gt=0)
    """Bytes of the file."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the file."""
    places: list[tuple[int, int]]
    """First byte and number of bytes of each image."""
    skipped: list[tuple[str, str]] = []
    """Key of each input that could not be read, and the reason."""


class Index(_Strict):
    """What all shards of a folder have in common."""

    format: str = Field(default=FORMAT, pattern=f"^{FORMAT}$")
    version: int = Field(default=1, ge=1, le=1)
    inputs: int = Field(gt=0)
    """Number of images asked for."""
    hash: str
    """SHA-256 of their keys and labels, one after the other in the order of the shards."""
    shard_images: int = Field(gt=0)
    """Inputs of a shard; the last one has fewer."""
    classes: dict[str, int]
    """Number of each label's class; empty where there are no labels."""
    shards: list[str] = []
    """SHA-256 of every tar, once all are written."""
    images: list[int] = []
    """Images of every tar, once all are written."""

    @property
    def count(self) -> int:
        """Shards of the whole."""
        return -(-self.inputs // self.shard_images)

    @classmethod
    def read(cls, folder: Path) -> "Index":
        """Raises OSError where there is none, and ValueError for one that is no index of shards."""
        try:
            return cls.model_validate_json((folder / INDEX).read_bytes())
        except ValidationError as error:
            raise ValueError(f"{folder / INDEX} is no index of shards ({error.errors()[0]['msg']})") from error


def write_shards(
    inputs: Iterable[Path], out: Path, *, shard_images: int = 2048, seed: int = 0, workers: int | None = None
) -> Index:
    """Writes the shards of `inputs` that `out` lacks; each of `workers` threads writes one shard at a time.

    The order is drawn with `seed`, so that every shard has images of all classes; rows of Parquet files stay in their order,
    since they are read in one go. A worker holds one image in memory, and all hold the list of inputs (about half a kilobyte
    an image). A shard appears whole or not at all, so that the same command goes on after a stop. Equal inputs make equal
    bytes. An input that cannot be read is left out and named in the shard's JSON file; whether an image can be decoded is not
    tried.

    Raises ValueError for inputs that cannot be listed, and for a folder that holds other shards or anything else.
    """
    sources = list_sources(inputs)
    if all(source.column is None for source in sources):
        sources = [sources[i] for i in np.random.default_rng(seed).permutation(len(sources))]
    number = _class_numbers(sources)
    digest = hashlib.sha256("\n".join(f"{source.key}\t{source.label}" for source in sources).encode())
    index = Index(inputs=len(sources), hash=digest.hexdigest(), shard_images=shard_images, classes=number)
    _begin(out, index)
    absent = [k for k in range(index.count) if _finished(out, k) is None]
    parts = {k: sources[k * shard_images : (k + 1) * shard_images] for k in absent}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for _ in pool.map(lambda k: _write_shard(out, k, k * shard_images, parts[k], number), absent):
            pass
    written = [_finished(out, k) for k in range(index.count)]
    if not any(shard.places for shard in written):
        raise ValueError(f"none of {index.inputs} files can be read, the first is {sources[0].file}")
    index = index.model_copy(update={"shards": [s.sha256 for s in written], "images": [len(s.places) for s in written]})
    _write_text(out / INDEX, index.model_dump_json(indent=1))
    return index


def _begin(out: Path, index: Index) -> None:
    """The folder with an index of these shards; raises ValueError where it is another's."""
    if (out / INDEX).exists():
        there = Index.read(out)
        if there.model_copy(update={"shards": [], "images": []}) != index:
            raise ValueError(f"{out} has shards of other images, or of another size or order: give another --out")
        return
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} holds something else than shards: give another --out")
    out.mkdir(parents=True, exist_ok=True)
    _write_text(out / INDEX, index.model_dump_json(indent=1))


def _class_numbers(sources: list[Source]) -> dict[str, int]:
    """The class number of each label: that which they are where all are numbers, else by their names as ImageFolder has it."""
    labels = sorted({source.label for source in sources if source.label is not None})
    numbered = all(label.isdecimal() for label in labels)
    return {label: int(label) if numbered else i for i, label in enumerate(labels)}


def _tar(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.tar"


def _finished(folder: Path, number: int) -> Shard | None:
    """What is known of a shard that is whole; None where it is absent or its file has another size."""
    tar = _tar(folder, number)
    try:
        shard = Shard.model_validate_json(tar.with_suffix(".json").read_bytes())
        return shard if tar.stat().st_size == shard.size else None
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ValueError(f"{tar.with_suffix('.json')} is no description of a shard: delete it and write it anew") from error


class _Hashed:
    """A file that is written and hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self.digest, self._file = hashlib.sha256(), file

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self._file.write(content)


def _write_shard(out: Path, number: int, first: int, sources: list[Source], classes: dict[str, int]) -> None:
    tar, places, skipped = _tar(out, number), [], []
    partial = tar.with_name(f".{tar.name}.{os.getpid()}")
    with partial.open("wb") as file:
        hashed = _Hashed(file)
        # Written in one direction: bytes are hashed on their way.
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
            for i, (source, read) in enumerate(contents(sources)):
                try:
                    content = read()
                except (OSError, ValueError) as error:
                    skipped.append((source.key, " ".join(str(error).split())))
                    continue
                facts = json.dumps({"key": source.key, "label": source.label}, ensure_ascii=False).encode()
                ending = PurePosixPath(source.key).suffix.lower() or ".img"
                places.append((archive.offset + _HEADER, len(content)))
                members = {ending: content, ".json": facts}
                if source.label is not None:
                    members[".cls"] = str(classes[source.label]).encode()
                for suffix, value in members.items():
                    member = tarfile.TarInfo(f"{first + i:09d}{suffix}")
                    member.size = len(value)
                    archive.addfile(member, io.BytesIO(value))
        size = file.tell()
    partial.replace(tar)
    shard = Shard(size=size, sha256=hashed.digest.hexdigest(), places=places, skipped=skipped)
    _write_text(tar.with_suffix(".json"), shard.model_dump_json())


def _write_text(path: Path, text: str) -> None:
    """A file that is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


class ShardImages:
    """The images of a folder of shards, each by shard and number."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError for shards that are not all there."""
        self.folder, self.index = folder, Index.read(folder)
        if not self.index.shards:
            missing = sum(_finished(folder, k) is None for k in range(self.index.count))
            raise ValueError(f"{folder} lacks {missing} of {self.index.count} shards: `tatok shard` goes on with them")

    @property
    def identity(self) -> str:
        """The kind of data, and a SHA-256 of the bytes of all shards."""
        return f"shards {hashlib.sha256(''.join(self.index.shards).encode()).hexdigest()}"

    @property
    def counts(self) -> list[int]:
        """Images of each shard."""
        return self.index.images

    def read(self, shard: int, number: int) -> bytes:
        """The file of an image. Raises OSError and ValueError where it cannot be read."""
        start, length = _places(self.folder, shard)[number]
        name = _tar(self.folder, shard)
        return Source(f"{name.name}, image {number}", None, str(name), start, length).read()

    def ending(self, shard: int, number: int) -> str:
        """Of an image's name, such as ".jpg"."""
        start, _ = _places(self.folder, shard)[number]
        with _tar(self.folder, shard).open("rb") as file:
            file.seek(start - _HEADER)
            return PurePosixPath(tarfile.TarInfo.frombuf(file.read(_HEADER), "utf-8", "strict").name).suffix

    def name(self, shard: int, number: int) -> str:
        """For messages."""
        return f"image {number} of {_tar(self.folder, shard)}"


# Pictures of a batch come from a few shards at a time.
@lru_cache(maxsize=64)
def _places(folder: Path, number: int) -> list[tuple[int, int]]:
    shard = _finished(folder, number)
    if shard is None:
        raise ValueError(f"{_tar(folder, number)} is not as it was written: delete it and let `tatok shard` write it anew")
    return shard.places


def sample_files(images: ShardImages, folder: Path, count: int, *, first: int = 0) -> None:
    """Writes images of shards as files: `count` of them from number `first` on, which are a random sample of all.

    Does nothing where the folder has them already; raises ValueError where the shards have fewer.
    """
    places = [(shard, n) for shard, many in enumerate(images.counts) for n in range(many)][first : first + count]
    if len(places) < count:
        raise ValueError(f"{images.folder} has {sum(images.counts)} images, and {first + count} are asked for")
    folder.mkdir(parents=True, exist_ok=True)
    for shard, number in places:
        path = folder / f"{shard:05d}-{number:06d}{images.ending(shard, number)}"
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_bytes(images.read(shard, number))
            partial.replace(path)
