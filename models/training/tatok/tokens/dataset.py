"""The token data set: a folder NAME.tokens with dataset.json and Parquet shards, as the extension's command line writes it too.

The inputs in their order are cut into shards of `shardSize`; shard k holds inputs [k·shardSize, (k + 1)·shardSize). A shard is
written aside, flushed and renamed: it is whole or absent, and going on after a stop means writing the shards that are absent.

N patch tokens, K global tokens, V codes.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from ..bundle.format import Count, FileName, Part, Sha256, Text

FORMAT = "tatok-tokens"
_DESCRIPTION = "dataset.json"

AtOnce = Annotated[int, Field(ge=1, le=1024)]
"""Images of a run, or threads: what a data set of others asks for is done on this machine."""
_MOST_SHARDS = 2**22
_MOST_DESCRIPTION_BYTES = 2**28
_MOST_VALUES = 2**27
"""Of a column of one group of rows: more do not fit into memory. These limits are the extension's too."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("crop_x", pa.int32()),
        pa.field("crop_y", pa.int32()),
        pa.field("crop_width", pa.int32()),
        pa.field("crop_height", pa.int32()),
        pa.field("global_codes", pa.list_(pa.uint32())),
        pa.field("patch_codes", pa.list_(pa.uint32())),
        pa.field("keep", pa.binary()),
        pa.field("entropy", pa.list_(pa.float32())),
        pa.field("surprisal", pa.list_(pa.float32())),
        pa.field("lost", pa.list_(pa.float32())),
        pa.field("kept", pa.int32()),
        pa.field("tokens", pa.int32()),
        pa.field("payload_bits", pa.float64()),
        pa.field("mask_bits", pa.float64()),
        pa.field("coded_bits", pa.float64()),
        pa.field("psnr", pa.float64()),
        pa.field("ssim", pa.float64()),
        pa.field("error", pa.string()),
    ]
)
"""Columns of a shard, one row an input.

`id` is the SHA-256 of the image's bytes, `path` its path below the input or its key in an archive, `label` the class that
comes with it. `crop_*` is the part of the upright picture, `width` by `height` pixels, that was tokenized. `patch_codes` are
the kept ones in raster order, and `keep` says which these are: N bits, the most significant of a byte first, as
`numpy.packbits` packs them. `entropy` (ĥ) and `surprisal` (−log2 q of the code) are those of all N patches given the global
tokens alone, in bits, with the precision of float16. `lost` has for each of the N patches the bits that dropping it and all
that are dropped before it loses: it is dropped where they are at most ε·B. `kept` patch tokens, `tokens` of both kinds; bits
of the tokens at fixed length, of the kept set (log2 C(N, kept)), and of the tokens under a range coder that the entropy model
drives; `psnr` in dB, null for equal pictures, and `ssim`.

A value that the model lacks, or that nobody asked for, is null. Where `error` says in one sentence why there are no tokens,
all is null but `id`, `path` and `label`; a file that cannot be read has no `id` either.
"""


class DatasetModel(Part):
    """The bundle that made the tokens. `hash` is the SHA-256 of its manifest.json, which has those of its other files."""

    name: Text
    version: str | None = None
    hash: Sha256


class Inputs(Part):
    """How many inputs there are, and the SHA-256 of their paths or keys, in their order with line feeds between them."""

    count: Annotated[int, Field(ge=0)]
    hash: Sha256
    sources: list[str] | None = None
    """Where they were: the arguments, relative to the folder that the data set is in."""


class Columns(Part):
    """Columns that were asked for."""

    entropies: bool = False
    quality: bool = False


class Counts(Part):
    """Rows of the shards that are there, and how many of these have an error."""

    rows: Annotated[int, Field(ge=0)] = 0
    failed: Annotated[int, Field(ge=0)] = 0


class Shard(Part):
    """A file of rows."""

    file: FileName
    rows: Count
    sha256: Sha256


class Description(Part):
    """dataset.json. Keys that it does not name are kept."""

    format: Literal["tatok-tokens"] = FORMAT
    version: Literal[1] = 1
    model: DatasetModel
    image: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None
    """Height and width of a model image in pixels."""
    grid: Annotated[list[Count], Field(min_length=2, max_length=2)]
    """Rows and columns of patches."""
    global_tokens: Annotated[int, Field(ge=0)]
    codebook_size: Count | None = None
    settings: dict[str, Any]
    """lossRate, edgePriority, budget and conditioning of the filter; empty where no token can be dropped."""
    provider: Text
    precision: Text
    batch_size: AtOnce
    """Images of every run of a graph."""
    threads: AtOnce | None = None
    """Of a graph on the CPU; absent: ONNX Runtime's choice."""
    crop: Text
    input: Inputs
    shard_size: Count
    columns: Columns | None = None
    counts: Counts = Counts()
    shards: tuple[Shard, ...] = ()

    @model_validator(mode="after")
    def _has_few_shards(self) -> Self:
        if self.shard_count > _MOST_SHARDS:
            raise ValueError(f"input.count is more than that of {_MOST_SHARDS} shards")
        return self

    @property
    def shard_count(self) -> int:
        """How many shards a finished data set has."""
        return -(-self.input.count // self.shard_size)

    def identity(self) -> dict[str, Any]:
        """All that must be the same for a data set to be gone on with, by the keys of dataset.json."""
        fields = {"model", "settings", "columns", "provider", "precision", "crop", "shard_size"}
        values = self.model_dump(mode="json", by_alias=True, include=fields)
        return values | {"input": {"count": self.input.count, "hash": self.input.hash}}


class TokenDataset:
    """A data set that is being written, or read."""

    def __init__(self, folder: Path, description: Description) -> None:
        self.folder, self.description = folder, description

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises ValueError, in one sentence, for a folder that is no token data set."""
        path = folder / _DESCRIPTION
        if not path.is_file():
            raise ValueError(f"{folder} is no token data set: it has no {_DESCRIPTION}")
        if path.stat().st_size > _MOST_DESCRIPTION_BYTES:
            raise ValueError(f"{path} cannot be read: it is too large")
        try:
            description = Description.model_validate_json(path.read_bytes())
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise ValueError(f"{path} cannot be read: {where + ': ' if where else ''}{fault['msg']}") from error
        return cls(folder, description)

    @classmethod
    def begin(cls, folder: Path, description: Description) -> Self:
        """A new data set, or the one in the folder to go on with, at the size of batches that it was begun with.

        Raises ValueError where the folder holds other files, or a data set of another model, other settings or other inputs.
        """
        # Nothing is lost with a description that has no shards, as of a provider that turned out not to be there.
        if not folder.exists() or {file.name for file in folder.iterdir()} <= {_DESCRIPTION}:
            folder.mkdir(parents=True, exist_ok=True)
            begun = cls(folder, description)
            begun._write_description()
            return begun
        begun = cls.open(folder)
        there, wanted = begun.description.identity(), description.identity()
        for key in wanted:
            if there[key] != wanted[key] and not (key == "model" and there[key]["hash"] == wanted[key]["hash"]):
                difference = _difference(key, there, wanted)
                raise ValueError(f"{folder} was begun with {difference}; go on as it began, or give another --out")
        # A process that was killed may have written a shard and not listed it; a shard may have been deleted to be made anew.
        names = {shard_file(k) for k in range(begun.description.shard_count)}
        there = sorted(names & {file.name for file in folder.glob("part-*.parquet")})
        if there != [shard.file for shard in begun.description.shards]:
            begun.description = begun.description.model_copy(update={"shards": (), "counts": Counts()})
            begun._list(there)
        return begun

    def absent(self) -> list[int]:
        """Numbers of the shards that are still to be written."""
        there = {shard.file for shard in self.description.shards}
        return [k for k in range(self.description.shard_count) if shard_file(k) not in there]

    def write_shard(self, number: int, rows: Sequence[pa.Table]) -> None:
        """Writes a shard of rows by `SCHEMA`, whole or not at all, and lists it in dataset.json."""
        file = shard_file(number)
        self._write_aside(file, pa.concat_tables(rows))
        self._list([file])

    def _list(self, files: Sequence[str]) -> None:
        """Adds shards that are in the folder to dataset.json, and what is in them to the counts."""
        added = [self._described(file) for file in files]
        failed = sum(len(self._read(file, ["error"])["error"].drop_null()) for file in files)
        before = self.description
        self.description = before.model_copy(
            update={
                "shards": tuple(sorted([*before.shards, *added], key=lambda shard: shard.file)),
                "counts": Counts(
                    rows=before.counts.rows + sum(shard.rows for shard in added), failed=before.counts.failed + failed
                ),
            }
        )
        self._write_description()

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, shard by shard. Raises ValueError for a shard that is damaged or not there."""
        for shard in self.description.shards:
            table = self._read(shard.file, columns)
            if len(table) != shard.rows:
                raise ValueError(f"{self.folder / shard.file} has {len(table)} rows, and {_DESCRIPTION} says {shard.rows}")
            yield table

    def _read(self, file: str, columns: Sequence[str] | None) -> pa.Table:
        try:
            with pq.ParquetFile(self.folder / file) as opened:
                _require_few_values(self.folder / file, opened.metadata)
                return opened.read(None if columns is None else list(columns))
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"{self.folder / file} cannot be read: {' '.join(str(error).split())}") from error

    def _described(self, file: str) -> Shard:
        with (self.folder / file).open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return Shard(file=file, rows=pq.read_metadata(self.folder / file).num_rows, sha256=digest)

    def _write_description(self) -> None:
        values = self.description.model_dump(mode="json", by_alias=True, exclude_none=True)
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        self._write_aside(_DESCRIPTION, text.encode())

    def _write_aside(self, file: str, content: pa.Table | bytes) -> None:
        """A file under another name first, flushed to the disk and then renamed: it is whole or absent."""
        aside = self.folder / f".{file}.{secrets.token_hex(4)}"
        try:
            with aside.open("wb") as opened:
                if isinstance(content, bytes):
                    opened.write(content)
                else:
                    pq.write_table(content, opened, compression="zstd", row_group_size=max(1, len(content)))
                opened.flush()
                os.fsync(opened.fileno())
            aside.replace(self.folder / file)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        # Of a process that was killed while it wrote the same file.
        for left in self.folder.glob(f".{file}.*"):
            left.unlink(missing_ok=True)
        # The name is flushed too. Windows knows no folders that can be opened.
        with suppress(PermissionError):
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def shard_file(number: int) -> str:
    """The name of shard `number`, from 0."""
    return f"part-{number:05d}.parquet"


def _require_few_values(path: Path, metadata: pq.FileMetaData) -> None:
    """Equal values take next to nothing in Parquet, so a small file may unpack to any size. Rows differ in more than a byte.

    Raises ValueError for more rows than the file has bytes, and for more values than fit into memory.
    """
    if metadata.num_rows > path.stat().st_size:
        raise ValueError(f"{path} cannot be read: it claims more rows than it has bytes")
    groups = (metadata.row_group(k) for k in range(metadata.num_row_groups))
    if any(group.column(k).num_values > _MOST_VALUES for group in groups for k in range(group.num_columns)):
        raise ValueError(f"{path} cannot be read: a column of it has too many values")


def _difference(key: str, there: dict[str, Any], wanted: dict[str, Any]) -> str:
    if key == "model":
        names = [f"{each[key]['name']} ({each[key]['hash'][:8]})" for each in (there, wanted)]
        return f"the model {names[0]}, and this is {names[1]}"
    if key == "input":
        return f"{there[key]['count']} inputs, and these {wanted[key]['count']} are others"
    return f"{key} {json.dumps(there.get(key))}, and this is {json.dumps(wanted.get(key))}"


def kept_masks(table: pa.Table, patches: int) -> NDArray[np.bool_]:
    """[rows, N]: the kept mask of every row. Rows without `keep` keep all of the patch codes that they have."""
    keep = np.zeros((len(table), patches), dtype=bool)
    for row, (packed, count) in enumerate(zip(table["keep"], pc.list_value_length(table["patch_codes"]), strict=True)):
        if packed.is_valid:
            keep[row] = np.unpackbits(np.frombuffer(packed.as_py(), dtype=np.uint8), count=patches)
        elif count.is_valid:
            keep[row] = True
    return keep
