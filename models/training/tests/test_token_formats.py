"""What others read of token data sets, and what `tatok.load_tokens` reads of data sets and exports."""

import json
import linecache
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import webdataset
from conftest import FIXTURES
from torch.utils.data import DataLoader, Dataset, default_collate

import tatok
from tatok.cli import main
from tatok.tokens.dataset import SCHEMA, TokenDataset

DATASETS = sorted((FIXTURES / "tokens").glob("*.tokens"))
VALUES = json.loads((FIXTURES / "tokens" / "rows.json").read_text())["rows"]
GOOD = [row for row in VALUES if row["error"] is None]
EXPORT = FIXTURES / "export" / "tiny.npz"
K, N = 2, 12


def sequence(row: dict[str, Any]) -> list[int]:
    return row["global_codes"] + row["patch_codes"]


@pytest.mark.parametrize("folder", DATASETS, ids=lambda folder: folder.stem)
def test_both_implementations_write_rows_of_the_same_values(folder: Path):
    rows = [row for table in TokenDataset.open(folder).tables() for row in table.to_pylist()]
    for row in rows:
        if row["keep"] is not None:
            row["keep"] = np.unpackbits(np.frombuffer(row["keep"], np.uint8), count=N).tolist()
    assert rows == VALUES
    assert len(DATASETS) == 2


@pytest.mark.parametrize("folder", DATASETS, ids=lambda folder: folder.stem)
def test_a_data_set_is_loaded_as_arrays_of_its_images(folder: Path):
    tokens = tatok.load_tokens(folder)
    assert (len(tokens), tokens.model, tokens.grid) == (len(GOOD), "tiny", (4, 3))
    assert tokens.settings == {"lossRate": 0.5, "edgePriority": 0, "budget": "image", "conditioning": "global"}
    assert tokens.paths == [row["path"] for row in GOOD]
    assert tokens.labels == [row["label"] for row in GOOD]
    assert tokens.ids == [row["id"] for row in GOOD]
    assert tokens.failed == {row["path"]: row["error"] for row in VALUES if row["error"] is not None}
    assert tokens.crops.tolist() == [[row[f"crop_{p}"] for p in ("x", "y", "width", "height")] for row in GOOD]
    assert tokens.global_codes.tolist() == [row["global_codes"] for row in GOOD]
    assert tokens.keep.astype(int).tolist() == [row["keep"] for row in GOOD]
    for row, codes in zip(GOOD, tokens.patch_codes, strict=True):
        stored = iter(row["patch_codes"])
        assert codes.tolist() == [next(stored) if kept else -1 for kept in row["keep"]]
    for name in ("kept", "tokens", "payload_bits", "mask_bits", "coded_bits", "psnr", "ssim"):
        wanted = [np.nan if row[name] is None else row[name] for row in GOOD]
        np.testing.assert_array_equal(tokens.figures[name], wanted)
    for name, values in (("entropy", tokens.entropy_bits), ("surprisal", tokens.surprisal_bits)):
        if any(row[name] is None for row in GOOD):
            assert values is None
        else:
            np.testing.assert_array_equal(values, [row[name] for row in GOOD])


def test_an_npz_of_the_extension_is_loaded():
    tokens = tatok.load_tokens(EXPORT)
    assert (len(tokens), tokens.paths, tokens.grid) == (1, ["cat.png"], (2, 3))
    assert tokens.settings["lossRate"] == 0.4
    assert tokens.global_codes.tolist() == [[1, 5]]
    assert tokens.patch_codes.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert tokens.keep.tolist() == [[False] * 4 + [True] * 2]
    np.testing.assert_array_equal(tokens.entropy_bits, [np.arange(6) / 2])
    np.testing.assert_array_equal(tokens.surprisal_bits, [np.arange(6) / 2 + 0.25])
    np.testing.assert_array_equal(tokens.expected_codes, ((np.arange(12) - 6) / 8).reshape(1, 6, 2))


HEADER = {"cropMode": "centre", "width": 48, "height": 32, "grid": {"rows": 2, "columns": 3}}
VERSION_1 = {
    "format": "tatok-token-file",
    "version": 1,
    "model": {"name": "tiny", "version": "0.0.1", "hash": "a" * 64},
    **HEADER,
    "settings": {"lossRate": 0.5, "edgePriority": 0, "budget": "image", "conditioning": "distortion"},
    "edits": {"forcedKept": [], "forcedDropped": [], "replaced": []},
}
EARLIER = {"model": {"name": "tiny", "version": "0.0.1"}, **HEADER}
CODES = {"globalCodes": [3, 4], "patchCodes": [9, 8, 7, 6, 5, 4], "keep": [1, 0, 0, 0, 0, 1]}


@pytest.mark.parametrize("header", [EARLIER, VERSION_1], ids=["before version 1", "version 1"])
def test_token_files_of_the_command_line_are_loaded(header: dict[str, Any], tmp_path: Path):
    (tmp_path / "cat.tokens.json").write_text(json.dumps(header | CODES))
    arrays = {
        "global_codes": np.array([3, 4], np.int32),
        "patch_codes": np.arange(9, 3, -1, np.int32).reshape(2, 3),
        "keep": np.array([[True, False, False], [False, False, True]]),
        "levels": np.array([2, 3], np.int32),
    }
    np.savez(tmp_path / "cat.npz", settings=json.dumps({"image": "cat"} | header), **arrays)
    for file in ("cat.tokens.json", "cat.npz"):
        tokens = tatok.load_tokens(tmp_path / file)
        assert (tokens.paths, tokens.grid, tokens.model_hash) == (["cat"], (2, 3), header["model"].get("hash"))
        assert tokens.settings.get("conditioning") == header.get("settings", {}).get("conditioning")
        assert tokens.global_codes.tolist() == [[3, 4]]
        assert tokens.patch_codes.tolist() == [[9, 8, 7, 6, 5, 4]]
        assert tokens.keep.astype(int).tolist() == [[1, 0, 0, 0, 0, 1]]
        assert (tokens.entropy_bits, tokens.expected_codes, tokens.figures) == (None, None, {})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.tokens.json",
            json.dumps(VERSION_1 | CODES | {"version": 2}),
            "it has version 2 of the format, and version 1 is read",
        ),
        ("a.tokens.json", json.dumps(VERSION_1 | CODES | {"format": "other"}), "its format is other"),
        ("a.tokens.json", json.dumps(VERSION_1), "it has no codes"),
        ("a.tokens.json", json.dumps(CODES), "it lacks 'grid'"),
        ("a.tokens.json", "[1]", "is no file of tokens"),
        ("a.tokens.json", "{", "is no file of tokens"),
        ("a.npz", "text", "is no file of tokens"),
    ],
)
def test_a_file_that_holds_no_tokens_is_one_sentence(name: str, content: str, message: str, tmp_path: Path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        tatok.load_tokens(tmp_path / name)
    assert "\n" not in str(refusal.value)
    with pytest.raises(FileNotFoundError):
        tatok.load_tokens(tmp_path / "nothing.npz")


@pytest.fixture
def folder() -> Path:
    return DATASETS[0]


def test_numpy_maps_the_arrays_of_fixed_width(folder: Path, tmp_path: Path):
    assert main(["convert", str(folder), "--to", "memmap", "--out", str(tmp_path / "out")]) == 0
    codes, positions = (np.load(tmp_path / "out" / f"{name}.npy", mmap_mode="r") for name in ("codes", "positions"))
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert isinstance(codes, np.memmap)
    width = max(len(sequence(row)) for row in GOOD)
    assert codes.shape == (index["images"], index["width"]) == (len(GOOD), width)
    assert positions.shape == (len(GOOD), width - K)
    assert index["padding"] == -1
    images = [json.loads(line) for line in (tmp_path / "out" / "images.jsonl").read_text().splitlines()]
    for row, image, line, at in zip(GOOD, images, codes, positions, strict=True):
        assert image == {name: row[name] for name in ("id", "path", "label", "tokens")}
        assert line.tolist() == sequence(row) + [-1] * (width - row["tokens"])
        assert at.tolist() == np.flatnonzero(row["keep"]).tolist() + [-1] * (width - K - row["kept"])


class Upstream(Dataset):
    """Reads JSON lines as 1d-tokenizer's own data set does, at the commit that `_to_jsonl` names."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines = str(path), len(path.read_text().splitlines())

    def __len__(self) -> int:
        return self.lines

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        data = json.loads(linecache.getline(self.path, index + 1).strip())
        return torch.tensor(data["class_id"]), torch.tensor(data["tokens"])


def labelled(folder: Path, out: Path, labels: list[str | None]) -> Path:
    """A copy of a data set whose images have other labels."""
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("part-*"))
    source, copy = TokenDataset.open(folder), TokenDataset.open(out)
    copy.description = copy.description.model_copy(update={"shards": ()})
    left = iter(labels)
    for number, table in enumerate(source.tables()):
        relabelled = [row | {"label": next(left)} for row in table.to_pylist()]
        copy.write_shard(number, [pa.Table.from_pylist(relabelled, SCHEMA)])
    return out


@pytest.mark.parametrize(
    ("labels", "classes"), [("bcabc", {"a": 0, "b": 1, "c": 2}), (("7", "3", "3", "10", "7"), {"7": 7, "3": 3, "10": 10})]
)
def test_1d_tokenizers_reader_makes_batches_of_the_json_lines(
    labels: list[str], classes: dict[str, int], folder: Path, tmp_path: Path
):
    copy = labelled(folder, tmp_path / "copy.tokens", list(labels))
    assert main(["convert", str(copy), "--to", "jsonl", "--out", str(tmp_path / "out.jsonl")]) == 0
    width = max(len(sequence(row)) for row in GOOD)
    loader = DataLoader(Upstream(tmp_path / "out.jsonl"), batch_size=len(GOOD), collate_fn=default_collate)
    ((class_ids, tokens),) = loader
    failed = [i for i, row in enumerate(VALUES) if row["error"] is not None]
    assert class_ids.tolist() == [classes[label] for i, label in enumerate(labels) if i not in failed]
    assert tokens.tolist() == [sequence(row) + [4096] * (width - len(sequence(row))) for row in GOOD]


def test_json_lines_need_a_class_for_every_image(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    copy = labelled(folder, tmp_path / "copy.tokens", [None] * len(VALUES))
    assert main(["convert", str(copy), "--to", "jsonl", "--out", str(tmp_path / "out.jsonl")]) == 1
    assert "has no label, and 1d-tokenizer's format needs a class for every image" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["copy.tokens"]


def test_webdataset_reads_the_tars(folder: Path, tmp_path: Path):
    labels = ["5" if row["error"] is None else None for row in VALUES]
    copy = labelled(folder, tmp_path / "copy.tokens", labels)
    assert main(["convert", str(copy), "--to", "webdataset", "--out", str(tmp_path / "out")]) == 0
    tars = [str(tar) for tar in sorted((tmp_path / "out").glob("*.tar"))]
    assert len(tars) > 1
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode())
    assert [int(sample["__key__"]) for sample in samples] == [i for i, row in enumerate(VALUES) if row["error"] is None]
    for row, sample in zip(GOOD, samples, strict=True):
        assert sample["codes.npy"].tolist() == sequence(row)
        assert sample["positions.npy"].tolist() == np.flatnonzero(row["keep"]).tolist()
        assert sample["cls"] == 5
        assert sample["json"].items() >= {"path": row["path"], "id": row["id"], "grid": [4, 3], "globalTokens": K}.items()


def test_what_is_there_and_what_is_not_finished_is_not_converted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    convert = ["convert", str(folder), "--to", "memmap", "--out"]
    assert main([*convert, str(tmp_path)]) == 1
    assert "is there already: give another --out" in capsys.readouterr().err
    copy = tmp_path / "copy.tokens"
    shutil.copytree(folder, copy)
    description = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(description | {"shards": description["shards"][:1]}))
    assert main(["convert", str(copy), "--to", "memmap", "--out", str(tmp_path / "out")]) == 1
    assert "lacks 2 of 3 shards: finish it first" in capsys.readouterr().err
