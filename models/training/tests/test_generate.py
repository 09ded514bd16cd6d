import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tatok.bench.generate import adaptive_tokens
from tatok.cli import main
from tatok.config import TINY_MODEL


def manifest(folder: Path, **values: object) -> Path:
    (folder / "manifest.json").write_text(
        json.dumps({"format": "tatok-bundle", "formatVersion": 1, "model": asdict(TINY_MODEL)} | values)
    )
    return folder


def test_the_adaptive_count_is_the_mean_over_the_manifests_images(tmp_path: Path):
    folders = {"a": {"images": 1, "default": {"tokens": 40.0}}, "b": {"images": 3, "default": {"tokens": 80.0}}}
    elsewhere = {"c": {"images": 9, "allTokens": {"tokens": 288.0}}}
    assert adaptive_tokens(manifest(tmp_path, metrics={"folders": folders | elsewhere})) == 70


def test_a_manifest_without_counts_asks_for_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["generate", str(manifest(tmp_path)), "--out", str(tmp_path / "out"), "--size", "tiny"]) == 1
    assert "give them with --tokens" in capsys.readouterr().err


def test_the_command_leaves_figures_and_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--size", "tiny", "--tokens", "20", "--lengths", "8", "--batches", "1", "2", "--runs", "1"]
    assert main(["generate", str(manifest(tmp_path)), "--out", str(tmp_path / "out"), *options]) == 0
    assert "256 tokens take" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "generation.json").read_text())
    assert results["model"]["codes"] == TINY_MODEL.codebook_size
    assert (tmp_path / "out" / "generation.png").stat().st_size > 1000
    modes = {"eager", "graph", "compiled"} if torch.cuda.is_available() else {"eager"}
    assert {(r["mode"], r["batch"]) for r in results["ratios"]} == {(m, b) for m in modes for b in (1, 2)}
    assert [r["tokens"] for r in results["results"] if (r["mode"], r["batch"]) == ("eager", 2)] == [8, 20, 256]
