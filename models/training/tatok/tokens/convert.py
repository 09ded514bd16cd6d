"""Token data sets in the formats of generators' training code. Images without tokens are left out.

An image's sequence is its K global codes, then the codes of the kept patches in raster order; a patch's position is its index
in that order, row · columns + column.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from .dataset import TokenDataset, kept_masks

Target = Literal["memmap", "jsonl", "webdataset"]

PADDING = -1
"""Fills rows of memory-mapped arrays; no code and no position."""


@dataclass(frozen=True)
class _Image:
    row: int
    """Number of the image among the inputs of the data set."""
    facts: dict[str, Any]
    codes: NDArray[np.int32]
    """[K + kept] the sequence."""
    positions: NDArray[np.int32]
    """[kept] positions of its patches."""


def convert(folder: Path, target: Target, out: Path) -> int:
    """Writes a data set to `out` in another format; returns the number of images.

    Raises ValueError for a data set that is not finished or damaged, and FileExistsError where `out` is there already.
    """
    dataset = TokenDataset.open(folder)
    missing = dataset.description.shard_count - len(dataset.description.shards)
    if missing:
        raise ValueError(f"{folder} lacks {missing} of {dataset.description.shard_count} shards: finish it first")
    if out.exists():
        raise FileExistsError(f"{out} is there already: give another --out")
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        count = {"memmap": _to_memmap, "jsonl": _to_jsonl, "webdataset": _to_webdataset}[target](dataset, aside)
        aside.rename(out)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        aside.unlink(missing_ok=True)
    return count


def _images(dataset: TokenDataset) -> Iterator[_Image]:
    rows, columns = dataset.description.grid
    row = 0
    for table in dataset.tables(["id", "path", "label", "global_codes", "patch_codes", "keep", "error"]):
        for values, keep in zip(table.to_pylist(), kept_masks(table, rows * columns), strict=True):
            if values["error"] is None:
                codes = np.array([*(values["global_codes"] or []), *(values["patch_codes"] or [])], np.int32)
                facts = {name: values[name] for name in ("id", "path", "label")}
                yield _Image(row, facts, codes, np.flatnonzero(keep).astype(np.int32))
            row += 1


def _sizes(dataset: TokenDataset) -> tuple[int, int]:
    """How many images have tokens, and the longest sequence among these."""
    tokens = [table["tokens"].drop_null() for table in dataset.tables(["tokens"])]
    return sum(map(len, tokens)), max((pc.max(each).as_py() or 0 for each in tokens), default=0)


def _facts(dataset: TokenDataset) -> dict[str, Any]:
    description = dataset.description
    return {
        "model": description.model.model_dump(exclude_none=True),
        "grid": description.grid,
        "globalTokens": description.global_tokens,
        "codebookSize": description.codebook_size,
        "settings": description.settings,
    }


def _to_memmap(dataset: TokenDataset, out: Path) -> int:
    """`codes.npy`, int32 [images, width], and `positions.npy`, int32 [images, width − K], both padded with −1 on the right.

    `width` is that of the longest sequence. `images.jsonl` has id, path, label and number of tokens of each row, `index.json`
    what the rows have in common.
    """
    count, width = _sizes(dataset)
    if not count:
        raise ValueError(f"{dataset.folder} has no images with tokens")
    out.mkdir(parents=True)
    globals_ = dataset.description.global_tokens
    codes = open_memmap(out / "codes.npy", mode="w+", dtype=np.int32, shape=(count, width))
    positions = open_memmap(out / "positions.npy", mode="w+", dtype=np.int32, shape=(count, width - globals_))
    with (out / "images.jsonl").open("w", encoding="utf-8") as index:
        for i, image in enumerate(_images(dataset)):
            for array, values in ((codes, image.codes), (positions, image.positions)):
                array[i, : len(values)], array[i, len(values) :] = values, PADDING
            index.write(json.dumps(image.facts | {"tokens": len(image.codes)}, ensure_ascii=False) + "\n")
    codes.flush()
    positions.flush()
    facts = {"images": count, "width": width, "padding": PADDING} | _facts(dataset)
    (out / "index.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return count


def _to_jsonl(dataset: TokenDataset, out: Path) -> int:
    """Lines `{"class_id": …, "tokens": […]}`, as `PretoeknizedDataSetJSONL` of 1d-tokenizer reads them.

    Format of bytedance/1d-tokenizer at 1c6df99c36bec7600ee02ff121b7b110dc7396d9, `data/webdataset_reader.py`. Its batches
    take sequences of one length: shorter ones are filled up with V, the number of codes, which is the first that is none.
    `class_id` is the label where all labels are numbers; else classes are numbered by their names, as torchvision's ImageFolder
    numbers them. Raises ValueError where an image has no label.
    """
    labels = sorted({label for table in dataset.tables(["label"]) for label in table["label"].drop_null().to_pylist()})
    numbered = all(label.isdecimal() for label in labels)
    number = {label: int(label) if numbered else i for i, label in enumerate(labels)}
    _, width = _sizes(dataset)
    count = 0
    with out.open("w", encoding="utf-8") as file:
        for image in _images(dataset):
            if image.facts["label"] is None:
                raise ValueError(f"{image.facts['path']} has no label, and 1d-tokenizer's format needs a class for every image")
            tokens = image.codes.tolist()
            if len(tokens) < width:
                tokens += [_padding_code(dataset)] * (width - len(tokens))
            file.write(json.dumps({"class_id": number[image.facts["label"]], "tokens": tokens}) + "\n")
            count += 1
    return count


def _padding_code(dataset: TokenDataset) -> int:
    size = dataset.description.codebook_size
    if size is None:
        raise ValueError(f"{dataset.folder} does not say how many codes its model has, and its sequences differ in length")
    return size


def _to_webdataset(dataset: TokenDataset, out: Path) -> int:
    """A tar for every shard: of input number N `N.codes.npy` and `N.positions.npy` (int32), `N.json` with id, path, label and
    what the images have in common, and `N.cls` where the label is a number.
    """
    out.mkdir(parents=True)
    facts, size, count = _facts(dataset), dataset.description.shard_size, 0
    for shard, images in groupby(_images(dataset), lambda image: image.row // size):
        with tarfile.open(out / f"part-{shard:05d}.tar", "w") as archive:
            for image in images:
                label = image.facts["label"]
                members = {
                    "codes.npy": _npy(image.codes),
                    "positions.npy": _npy(image.positions),
                    "json": json.dumps(image.facts | facts, ensure_ascii=False).encode(),
                }
                if label is not None and label.isdecimal():
                    members["cls"] = label.encode()
                for ending, content in members.items():
                    member = tarfile.TarInfo(f"{image.row:09d}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
                count += 1
    return count


def _npy(array: NDArray[np.int32]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
