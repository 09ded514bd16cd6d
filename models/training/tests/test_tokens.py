"""Token data sets: rows, inputs, going on after a stop, what is refused, and readers of other programs."""

import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import torch
from conftest import FIXTURES, ROOT, SAMPLES
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import tatok
from tatok.cli import main
from tatok.tokenizer import TaTok
from tatok.tokens.dataset import SCHEMA, TokenDataset, kept_masks

TINY = FIXTURES / "bundles" / "tiny"
GOLDEN = FIXTURES / "golden"
BROKEN = FIXTURES / "images" / "jpeg-lacks-rows.jpg"


def tokenize(inputs: Path | list[Path], out: Path, *options: str, model: Path = TINY) -> int:
    inputs = inputs if isinstance(inputs, list) else [inputs]
    return main(["tokenize", *map(str, inputs), "--out", str(out), "--model", str(model), "--provider", "cpu", *options])


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for table in TokenDataset.open(folder).tables() for row in table.to_pylist()]


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two classes: the four golden ones, two that are scaled and cut, and one that is neither."""
    folder = tmp_path_factory.mktemp("photographs")
    for label in ("cat", "dog"):
        (folder / label).mkdir()
    for i, file in enumerate(sorted(GOLDEN.glob("*-256.png"))):
        shutil.copy(file, folder / ("cat", "dog")[i % 2])
    Image.open(SAMPLES / "kodim23.png").rotate(90, expand=True).save(folder / "dog" / "tall.webp", lossless=True)
    Image.fromarray(np.full((20, 300, 3), 200, np.uint8)).save(folder / "cat" / "grey wide.jpg")
    Image.open(SAMPLES / "kodim15.png").crop((300, 100, 364, 164)).save(folder / "cat" / "small.png")
    return folder


@pytest.fixture(scope="session")
def made(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their data set in shards of four, with every column."""
    out = tmp_path_factory.mktemp("made") / "photographs.tokens"
    assert tokenize(photographs, out, "--shard-size", "4", "--entropies", "--quality") == 0
    return out


def test_the_codes_are_those_that_every_implementation_must_reproduce(tmp_path: Path):
    golden = json.loads((GOLDEN / "golden.json").read_text())
    assert tokenize([ROOT / image["file"] for image in golden["images"]], tmp_path / "out", "--ranking", "entropy",
                    "--entropies", model=ROOT / "models" / golden["model"]["name"]) == 0  # fmt: skip
    rows = rows_of(tmp_path / "out")
    keep = kept_masks(pa.concat_tables(TokenDataset.open(tmp_path / "out").tables()), 256)
    for image, row, kept in zip(golden["images"], rows, keep, strict=True):
        assert row["global_codes"] == image["globalCodes"]
        assert row["patch_codes"] == np.array(image["patchCodes"])[kept].tolist()
        np.testing.assert_allclose(row["entropy"], image["entropyBits"], atol=0.01)
        np.testing.assert_allclose(row["surprisal"], image["surprisalBits"], rtol=1e-3, atol=0.02)


def test_a_photograph_has_the_codes_that_the_extension_exported_of_it(tmp_path: Path):
    """Scaled and cut, on the CPU, in batches of one as the extension opens single pictures; no token is dropped."""
    options = ("--loss-rate", "0", "--ranking", "entropy", "--batch", "1")
    assert tokenize(SAMPLES / "kodim23.png", tmp_path / "out", *options, model=ROOT / "models" / "tatok-s-256") == 0
    tokens = tatok.load_tokens(tmp_path / "out")
    exported = tatok.load_tokens(ROOT / "models" / "training" / "notebooks" / "kodim23.tokens.json")
    assert tokens.model_hash == exported.model_hash, "another model: the notebook says how to write its export anew"
    np.testing.assert_array_equal(tokens.global_codes, exported.global_codes)
    np.testing.assert_array_equal(tokens.patch_codes, exported.patch_codes)


def test_a_row_says_what_was_computed_of_its_image(photographs: Path, made: Path):
    for row in rows_of(made):
        file = photographs / row["path"]
        assert row["id"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert row["label"] == file.parent.name
        with Image.open(file) as opened:
            assert (row["width"], row["height"]) == opened.size
        left, side = (row["width"] - row["height"]) / 2, min(row["width"], row["height"])
        assert (row["crop_width"], row["crop_height"]) == (side, side)
        assert abs(row["crop_x"] - max(0, left)) <= 2
        assert abs(row["crop_y"] - max(0, -left)) <= 2
        keep = np.unpackbits(np.frombuffer(row["keep"], np.uint8)).astype(bool)
        assert len(row["patch_codes"]) == row["kept"] == keep.sum()
        lost = np.array(row["lost"])
        assert (lost > 0.5 * lost.max()).tolist() == keep.tolist()
        assert lost.max() == pytest.approx(sum(row["entropy"]), rel=1e-3)
        assert row["tokens"] == 4 + row["kept"]
        assert row["payload_bits"] == 12 * row["tokens"]
        assert row["mask_bits"] == pytest.approx(math.log2(math.comb(16, row["kept"])))
        assert row["coded_bits"] == pytest.approx(48 + np.array(row["surprisal"])[keep].sum(), rel=1e-3)
        assert row["error"] is None


def test_a_row_has_what_the_library_makes_of_the_same_pixels(photographs: Path, made: Path):
    """Of a picture that is neither scaled nor cut."""
    row = next(r for r in rows_of(made) if r["path"] == "cat/small.png")
    pixels = np.array(Image.open(photographs / row["path"]))
    model, images = TaTok.from_pretrained(TINY), torch.from_numpy(pixels).permute(2, 0, 1)[None]
    filtered = model.filter(model.encode(images), loss_rate=0.5)
    keep = filtered.keep[0].numpy()
    assert np.unpackbits(np.frombuffer(row["keep"], np.uint8)).tolist() == keep.tolist()
    assert row["global_codes"] == filtered.global_codes[0].tolist()
    assert row["patch_codes"] == filtered.patch_codes[0].numpy()[keep].tolist()
    decoded = model.decode(filtered)[0].permute(1, 2, 0).numpy()
    assert row["psnr"] == pytest.approx(peak_signal_noise_ratio(pixels, decoded), abs=0.01)
    grey = [np.rint(each @ [0.299, 0.587, 0.114]) for each in (pixels, decoded)]
    similarity = structural_similarity(*grey, gaussian_weights=True, use_sample_covariance=False, data_range=255)
    assert row["ssim"] == pytest.approx(similarity, abs=0.02)


def test_pytorch_makes_the_same_rows(photographs: Path, made: Path, tmp_path: Path):
    assert tokenize(photographs, tmp_path / "out", "--runtime", "torch", "--shard-size", "4", "--entropies", "--quality") == 0
    for row, other in zip(rows_of(made), rows_of(tmp_path / "out"), strict=True):
        for column in ("id", "path", "global_codes", "patch_codes", "keep", "crop_x", "payload_bits"):
            assert row[column] == other[column], column
        assert row["psnr"] == pytest.approx(other["psnr"], abs=0.01)
    assert TokenDataset.open(tmp_path / "out").description.provider == "pytorch-cpu"


def test_pyarrow_duckdb_and_pandas_read_the_shards(made: Path):
    rows = rows_of(made)
    shards = sorted(made.glob("part-*.parquet"))
    assert len(shards) == 2
    by_pyarrow = pyarrow.dataset.dataset(shards).to_table()
    assert by_pyarrow.schema.equals(SCHEMA)
    assert by_pyarrow.to_pylist() == rows
    by_duckdb = duckdb.sql(
        f"select path, list_sum(patch_codes), kept, octet_length(keep) from '{made}/part-*.parquet' order by path"
    )
    assert by_duckdb.fetchall() == [(r["path"], sum(r["patch_codes"]), r["kept"], 2) for r in rows]
    by_pandas = pd.concat([pd.read_parquet(shard) for shard in shards])
    assert by_pandas["path"].tolist() == [row["path"] for row in rows]
    assert [codes.tolist() for codes in by_pandas["global_codes"]] == [row["global_codes"] for row in rows]


def test_dataset_json_says_how_it_was_made(made: Path, photographs: Path):
    text = json.loads((made / "dataset.json").read_text())
    shards = sorted(made.glob("part-*.parquet"))
    paths = sorted(f.relative_to(photographs).as_posix() for f in photographs.rglob("*.*"))
    assert text == {
        "format": "tatok-tokens",
        "version": 1,
        "model": {
            "name": "tiny",
            "version": "0.0.1",
            "hash": hashlib.sha256((TINY / "manifest.json").read_bytes()).hexdigest(),
        },
        "image": [64, 64],
        "grid": [4, 4],
        "globalTokens": 4,
        "codebookSize": 4096,
        "settings": {"lossRate": 0.5, "edgePriority": 0, "budget": "image", "conditioning": "global"},
        "provider": "cpu",
        "precision": "float32",
        "batchSize": 2,
        "crop": "centre",
        "input": {
            "count": 7,
            "hash": hashlib.sha256("\n".join(paths).encode()).hexdigest(),
            "sources": [os.path.relpath(photographs, made.parent)],
        },
        "shardSize": 4,
        "columns": {"entropies": True, "quality": True},
        "counts": {"rows": 7, "failed": 0},
        "shards": [
            {"file": s.name, "rows": rows, "sha256": hashlib.sha256(s.read_bytes()).hexdigest()}
            for s, rows in zip(shards, (4, 3), strict=True)
        ],
    }


def test_a_broken_image_is_a_row_and_the_status_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(BROKEN, folder / "b.jpg")
    (folder / "a.png").touch()
    (folder / "d.png").symlink_to(folder / "nowhere")
    shutil.copy(GOLDEN / "kodim05-256.png", folder / "c.png")
    assert tokenize(folder, tmp_path / "out") == 1
    assert "3 of 4 images could not be read" in capsys.readouterr().err
    empty, broken, good, missing = rows_of(tmp_path / "out")
    assert good["error"] is None
    assert good["tokens"] > 4
    assert broken["id"] == hashlib.sha256(BROKEN.read_bytes()).hexdigest()
    assert missing["id"] is None
    for row, reason in ((empty, "empty"), (broken, "damaged or cut short"), (missing, "No such file")):
        assert reason in row["error"]
        assert row["error"].endswith(".")
        assert all(v is None for n, v in row.items() if n not in ("id", "path", "label", "error"))
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["counts"] == {"rows": 4, "failed": 3}


def test_models_without_an_entropy_model_or_a_kind_of_token_have_nulls(photographs: Path, tmp_path: Path):
    for bundle, absent, tokens in (("fixed-7", "patch_codes", 7), ("fixed-16", "global_codes", 16)):
        assert tokenize(photographs, tmp_path / bundle, model=FIXTURES / "bundles" / bundle) == 0
        for row in rows_of(tmp_path / bundle):
            assert [row[n] for n in (absent, "keep", "coded_bits", "entropy", "psnr")] == [None] * 5
            assert len(row[{"patch_codes": "global_codes"}.get(absent, "patch_codes")]) == row["tokens"] == tokens
            assert row["mask_bits"] == 0
        assert json.loads((tmp_path / bundle / "dataset.json").read_text())["settings"] == {}


def test_lists_tars_and_parquet_have_the_rows_of_the_folder(photographs: Path, made: Path, tmp_path: Path):
    files = sorted(f for f in photographs.rglob("*.*"))
    names = [file.relative_to(photographs).as_posix() for file in files]
    listed = photographs / "list.txt"
    listed.write_text("\r\n".join(reversed(names)) + "\n\n")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i, file in enumerate(files):
            archive.add(file, f"{i}.x{file.suffix}")
            label = tarfile.TarInfo(f"{i}.cls")
            label.size = 1
            archive.addfile(label, io.BytesIO(str(i).encode()))
    images = [{"bytes": file.read_bytes(), "path": name} for file, name in zip(files, names, strict=True)]
    # Groups of rows that are smaller than a shard, and a row without an image.
    table = pa.table({"label": [*range(len(files)), 99], "image": [*images, {"bytes": None, "path": "none.png"}]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    wanted = [(r["id"], r["global_codes"], r["patch_codes"]) for r in rows_of(made)]
    found = {}
    try:
        for name, path in (("list", listed), ("tar", tmp_path / "a.tar"), ("parquet", tmp_path / "a.parquet")):
            assert tokenize(path, tmp_path / name, "--shard-size", "3") == (1 if name == "parquet" else 0)
            found[name] = rows_of(tmp_path / name)
            assert [(r["id"], r["global_codes"], r["patch_codes"]) for r in found[name]][: len(files)] == wanted, name
    finally:
        listed.unlink()
    assert [r["path"] for r in found["list"]] == names
    assert [r["label"] for r in found["list"]] == [n.split("/")[0] for n in names]
    assert [r["path"] for r in found["tar"]] == [f"{i}.x{file.suffix}" for i, file in enumerate(files)]
    assert [r["label"] for r in found["tar"]] == [str(i) for i in range(len(files))]
    assert [r["path"] for r in found["parquet"]] == [*names, "none.png"]
    assert found["parquet"][-1]["error"] == "The row of the Parquet file has no image."
    assert [r["label"] for r in found["parquet"]] == [*(str(i) for i in range(len(files))), "99"]


def test_a_tar_that_was_cut_short_loses_its_last_image_alone(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("kodim05-256.png", "kodim07-256.png"):
            archive.add(GOLDEN / name, name)
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:-30_000])
    assert tokenize(tmp_path / "a.tar", tmp_path / "out") == 1
    first, second = rows_of(tmp_path / "out")
    assert first["error"] is None
    assert second["error"] == "The archive ends before the image does."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tar", b"not a tar", "is damaged after 0 images"),
        ("a.tar.gz", b"", "is compressed: decompress it"),
        ("a.parquet", b"PAR1", "cannot be read as Parquet"),
        ("a.bin", b"\xff\xfe\x00", "is neither an image nor an archive"),
        ("empty.txt", b"\n", "no images in"),
        (None, None, "there is no"),
    ],
)
def test_an_input_that_cannot_be_listed_is_one_sentence(
    name: str | None, content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / (name or "nowhere")
    if content is not None:
        path.write_bytes(content)
    assert tokenize(path, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert error.startswith("tatok: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_only_absent_shards_are_written(photographs: Path, made: Path, tmp_path: Path):
    out = tmp_path / "out"
    shutil.copytree(made, out)
    first, second = sorted(out.glob("part-*"))
    wanted, before = rows_of(out), first.stat().st_mtime_ns
    second.unlink()
    # As a process leaves them that was killed while it wrote, and between a shard and dataset.json.
    (out / f".{second.name}.0badcafe").write_bytes(b"half")
    # Another size of batch is that of the beginning; see also the batch in dataset.json.
    assert tokenize(photographs, out, "--shard-size", "4", "--entropies", "--quality", "--batch", "3") == 0
    assert rows_of(out) == wanted
    assert first.stat().st_mtime_ns == before
    assert sorted(f.name for f in out.iterdir()) == ["dataset.json", first.name, second.name]
    description, before_it = (json.loads((folder / "dataset.json").read_text()) for folder in (out, made))
    assert description == before_it


def test_killed_at_any_moment_and_started_again_no_image_is_lost_or_doubled(photographs: Path, tmp_path: Path):
    out = tmp_path / "out"
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(24):
        shutil.copy(GOLDEN / "kodim05-256.png", folder / f"{i}.png")
    arguments = [str(folder), "--out", str(out), "--model", str(TINY), "--provider", "cpu", "--shard-size", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "models" / "training")}
    delays = iter((0.0, 0.007))
    for wanted in (1, 5):
        process = subprocess.Popen([sys.executable, "-m", "tatok", "tokenize", *arguments], env=environment)
        while len(list(out.glob("part-*"))) < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(next(delays))
        process.send_signal(signal.SIGKILL)
        process.wait()
    there = {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}
    assert 5 <= len(there) <= 12
    assert main(["tokenize", *arguments]) == 0
    assert [row["path"] for row in rows_of(out)] == sorted(f"{i}.png" for i in range(24))
    assert there.items() <= {file.name: file.stat().st_mtime_ns for file in out.glob("part-*")}.items()
    assert [f.name for f in out.iterdir() if f.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", str(FIXTURES / "bundles" / "patches-only")), "was begun with the model tiny ("),
        (("--loss-rate", "0.25"), 'was begun with settings {"lossRate": 0.5'),
        (("--shard-size", "5"), "was begun with shardSize 4, and this is 5"),
        (("--ranking", "sequential", "--rounds", "3"), '"conditioning": "sequential", "rankingRounds": 3}'),
    ],
)
def test_what_would_not_fit_the_shards_that_are_there_is_refused(
    options: tuple[str, ...], message: str, photographs: Path, made: Path, capsys: pytest.CaptureFixture[str]
):
    assert tokenize(photographs, made, "--shard-size", "4", "--entropies", "--quality", *options) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_other_inputs_and_other_folders_are_refused(
    photographs: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert tokenize(photographs / "cat", made, "--shard-size", "4", "--entropies", "--quality") == 1
    assert "was begun with 7 inputs, and these 4 are others" in capsys.readouterr().err
    (tmp_path / "notes.txt").touch()
    assert tokenize(photographs, tmp_path) == 1
    assert "is no token data set: it has no dataset.json" in capsys.readouterr().err
    assert tokenize([], tmp_path / "out") == 1
    assert "there are no images: name a folder" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--loss-rate", "1.5"), "--loss-rate is 1.5; its range is 0 to 1"),
        (("--edge-priority", "-1"), "--edge-priority is -1; its range is 0 or more"),
        (("--actors", "2"), "--actors goes with --engine ray"),
        (("--engine", "ray", "--gpus-per-actor", "-1"), "--gpus-per-actor is -1; its range is 0 or more"),
        (("--rounds", "0"), "--rounds is 0; its range is 1 or more"),
        (("--batch", "0"), "--batch is 0; its range is 1 or more"),
        (("--shard-size", "0"), "--shard-size is 0; its range is 1 or more"),
        (("--provider", "cuda"), "this ONNX Runtime has no CUDAExecutionProvider"),
        (("--model", "nowhere"), "there is no bundle in nowhere"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    options: tuple[str, ...], message: str, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert tokenize(photographs, tmp_path / "out", *options) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    # It does not keep anyone from beginning.
    assert tokenize(photographs, tmp_path / "out") == 0


def test_a_bundle_that_was_changed_makes_no_tokens(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(TINY, tmp_path / "tiny")
    graph = tmp_path / "tiny" / "encoder.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    assert tokenize(photographs, tmp_path / "out", model=tmp_path / "tiny") == 1
    assert "encoder.onnx is not the file that the bundle's manifest lists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version"),
        ({"grid": [4]}, "grid"),
        ({"model": {"name": "tiny", "hash": "0"}}, "model.hash"),
        ({"batchSize": 1025}, "batchSize"),
        ({"threads": 10**9}, "threads"),
        (
            {"shardSize": 1, "input": {"count": 2**22 + 1, "hash": "0" * 64}},
            "Value error, input.count is more than that of .* shards",
        ),
    ],
)
def test_a_description_of_another_format_is_one_sentence(change: dict, message: str, made: Path, tmp_path: Path):
    description = json.loads((made / "dataset.json").read_text()) | change
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=rf"cannot be read: {message}(: |$)") as refusal:
        TokenDataset.open(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_small_shard_that_unpacks_to_any_size_is_refused(made: Path, tmp_path: Path):
    shutil.copytree(made, tmp_path / "out")
    rows = pa.Table.from_pylist([{"path": "same"}] * 10**6, SCHEMA)
    pq.write_table(rows, tmp_path / "out" / "part-00001.parquet", compression="zstd")
    with pytest.raises(ValueError, match=r"part-00001\.parquet cannot be read: it claims more rows than it has bytes"):
        rows_of(tmp_path / "out")


def test_a_shard_that_is_damaged_is_named(made: Path, tmp_path: Path):
    shutil.copytree(made, tmp_path / "out")
    shard = tmp_path / "out" / "part-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"part-00001\.parquet cannot be read: "):
        rows_of(tmp_path / "out")
