"""Images by number: folders and lists of files, WebDataset tars, Parquet files with the bytes of images.

Inputs come in a fixed order, so that a number tells which one is meant: files by path (code points), members of tars and rows
of Parquet files as they lie there.
"""

import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .images import EXTENSIONS

_LABELS = ("label", "class", "cls")
_KEYS = ("path", "key", "__key__")
_IMAGES = ("image", "img", "bytes", "image_bytes", "jpg", "jpeg", "png", "webp", "content", "data")
"""Names of columns of Parquet files, in the order of preference."""
_ROWS_AT_ONCE = 64
_MOST_LABEL_BYTES = 1024


@dataclass(frozen=True)
class Source:
    """One input: where its bytes lie."""

    key: str
    """Path below the input, with /, or key in its archive."""
    label: str | None
    file: str
    """The image, or the archive that holds it."""
    start: int | None = None
    """Offset of its bytes in a tar, or its row in a Parquet file."""
    length: int | None = None
    """Of the bytes in a tar."""
    column: str | None = None
    """That holds the bytes, in a Parquet file."""

    def read(self) -> bytes:
        """The image's bytes, of a file or a tar. Raises OSError, and ValueError for an archive that was cut short."""
        with open(self.file, "rb") as opened:
            if self.length is None:
                return opened.read()
            opened.seek(self.start or 0)
            content = opened.read(self.length)
        if len(content) < self.length:
            raise ValueError("the archive ends before the image does")
        return content


def list_sources(inputs: Iterable[Path]) -> list[Source]:
    """All inputs in their order. Keys of archives begin with the archive's name where there are several inputs.

    Raises ValueError, in one sentence, for an input that is not there, holds no images or is of no kind that is read.
    """
    inputs = list(inputs)
    if not inputs:
        raise ValueError("there are no images: name a folder, a list of files, a tar or a Parquet file")
    sources = []
    for path in inputs:
        found = _listed(path, f"{path.name}/" if len(inputs) > 1 else "")
        if not found:
            raise ValueError(f"no images in {path}")
        sources += found
    return sources


def contents(sources: Iterable[Source]) -> Iterator[tuple[Source, Callable[[], bytes]]]:
    """The sources with a function that returns the bytes of each, or raises OSError or ValueError.

    Rows of Parquet files are read here, in their order; files and tars when the function is called, which any thread may do.
    """
    rows: Iterator[bytes | None] = iter(())
    at: tuple[str, int] | None = None
    for source in sources:
        if source.column is None:
            yield source, source.read
            continue
        if at != (source.file, source.start):
            rows = _parquet_rows(source.file, source.column, source.start or 0)
        at = source.file, (source.start or 0) + 1
        yield source, partial(_bytes_of_row, next(rows, None))


def _bytes_of_row(value: bytes | None) -> bytes:
    if value is None:
        raise ValueError("the row of the Parquet file has no image")
    return value


def _listed(path: Path, prefix: str) -> list[Source]:
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS and not file.is_dir()]
        return [Source(key, _label(key), str(f)) for key, f in sorted((as_text(f.relative_to(path)), f) for f in files)]
    if not path.is_file():
        raise ValueError(f"there is no {path}")
    name = path.name.lower()
    if path.suffix.lower() in EXTENSIONS:
        return [Source(as_text(Path(path.name)), None, str(path))]
    if name.endswith(".tgz") or ".tar." in name:
        raise ValueError(f"{path} is compressed: decompress it to a .tar file")
    if name.endswith(".tar"):
        return _tar_members(path, prefix)
    if name.endswith(".parquet"):
        return _parquet_sources(path, prefix)
    return _lines(path)


def _lines(path: Path) -> list[Source]:
    """Paths, one a line, relative to the list's folder."""
    try:
        lines = [line.removesuffix("\r") for line in path.read_bytes().decode().split("\n")]
    except UnicodeDecodeError:
        lines = ["\0"]
    if any("\0" in line for line in lines):
        raise ValueError(f"{path} is neither an image nor an archive (.tar, .parquet) nor a list of paths")
    return [
        Source(line.replace(os.sep, "/"), None if Path(line).is_absolute() else _label(line), str(path.parent / line))
        for line in sorted(lines)
        if line.strip()
    ]


def as_text(path: Path) -> str:
    """A path with /; bytes that are no UTF-8 are replaced, since Parquet has UTF-8 alone."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


def _label(key: str) -> str | None:
    """The first folder of a path."""
    first, slash, _ = key.partition("/")
    return first if first and slash else None


def _tar_members(path: Path, prefix: str) -> list[Source]:
    """Images of a tar; a member `a.cls` is the label of `a.jpg`, as WebDataset has it."""
    images: list[tuple[str, str, int, int]] = []
    labels: dict[str, str] = {}
    end = 0
    try:
        with tarfile.open(path, "r:", encoding="utf-8", errors="replace") as archive:
            for member in archive:
                end = member.offset_data + member.size
                if not member.isreg():
                    continue
                # A sample's key is the name up to the first dot of its last part.
                sample = re.sub(r"(?<=[^/])\.[^/]*$", "", member.name)
                if member.name.endswith(".cls") and member.size <= _MOST_LABEL_BYTES:
                    labels[sample] = archive.extractfile(member).read().decode("utf-8", "replace").strip()
                elif Path(member.name).suffix.lower() in EXTENSIONS:
                    images.append((sample, member.name, member.offset_data, member.size))
    except tarfile.TarError as error:
        # A last file that is cut short is found out when it is read, as any broken image.
        if end <= path.stat().st_size:
            raise ValueError(f"{path} is damaged after {len(images)} images ({error})") from error
    return [Source(prefix + name, labels.get(sample), str(path), at, size) for sample, name, at, size in images]


def _parquet_sources(path: Path, prefix: str) -> list[Source]:
    """Rows of a Parquet file with a column of images' bytes, alone or as Hugging Face's struct of `bytes` and `path`."""
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        column = _image_column(path, schema)
        holder, _, nested = column.partition(".")
        label = next((name for name in _LABELS if name in schema.names), None)
        key = next((name for name in _KEYS if name in schema.names), None)
        if key is None and nested and any(field.name == "path" for field in schema.field(holder).type):
            key = f"{holder}.path"
        wanted = [name for name in (label, key) if name is not None]
        facts = file.read(columns=wanted).flatten() if wanted else None
    except pa.ArrowException as error:
        raise ValueError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())}") from error
    none = [None] * file.metadata.num_rows
    keys, labels = (none if name is None else [_plain(v) for v in facts[name].to_pylist()] for name in (key, label))
    return [
        Source(prefix + (str(row) if k is None else k), each, str(path), row, column=column)
        for row, (k, each) in enumerate(zip(keys, labels, strict=True))
    ]


def _image_column(path: Path, schema: pa.Schema) -> str:
    candidates = {}
    for field in schema:
        if _is_binary(field.type):
            candidates[field.name] = field.name
        elif pa.types.is_struct(field.type) and any(f.name == "bytes" and _is_binary(f.type) for f in field.type):
            candidates[field.name] = f"{field.name}.bytes"
    named = [candidates[name] for name in _IMAGES if name in candidates]
    if not named and len(candidates) != 1:
        how_many = "several columns" if candidates else "no column"
        raise ValueError(f"{path} has {how_many} of bytes: name the one of image files {', '.join(_IMAGES[:3])}")
    return (named or list(candidates.values()))[0]


def _plain(value: Any) -> str | None:
    """Text and numbers, not booleans and structures."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _parquet_rows(path: str, column: str, first: int) -> Iterator[bytes | None]:
    """The bytes in a column from row `first` on, some rows at a time."""
    with pq.ParquetFile(path) as file:
        groups, skipped = [], 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if groups or skipped + rows > first:
                groups.append(group)
            else:
                skipped += rows
        for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=[column]):
            if skipped + len(batch) > first:
                values = batch.column(0)
                while pa.types.is_struct(values.type):
                    values = values.field(0)
                for value in values[max(0, first - skipped) :]:
                    yield value.as_py()
            skipped += len(batch)
