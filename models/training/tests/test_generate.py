import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tatok.bench.generate import adaptive_tokens
from tatok.bench.gpt import SIZES, Gpt, GreedyDecoder
from tatok.cli import main
from tatok.config import TINY_MODEL


@pytest.fixture
def gpt() -> Gpt:
    torch.manual_seed(0)
    return Gpt(SIZES["tiny"], 64, 12).eval()


def manifest(folder: Path, **values: object) -> Path:
    (folder / "manifest.json").write_text(
        json.dumps({"format": "tatok-bundle", "formatVersion": 1, "model": asdict(TINY_MODEL)} | values)
    )
    return folder


@pytest.mark.parametrize("batch", [1, 3])
def test_the_cache_changes_nothing(gpt: Gpt, batch: int):
    codes = GreedyDecoder(gpt, batch, 9).decode()
    before = torch.cat([torch.full((batch, 1), gpt.codes), codes[:, :-1]], dim=1)
    with torch.inference_mode():
        for length in range(1, 10):
            # All of the sequence at once, as if for the first time.
            logits = gpt(before[:, :length], torch.arange(length), gpt.empty_cache(batch, length))
            assert torch.equal(logits[:, -1].argmax(-1), codes[:, length - 1])


def test_a_decoder_can_be_used_again(gpt: Gpt):
    decoder = GreedyDecoder(gpt, 2, 7)
    first = decoder.decode().clone()
    assert torch.equal(decoder.decode(), first)


def test_no_code_looks_ahead(gpt: Gpt):
    tokens = torch.randint(64, (1, 6))
    changed = tokens.clone()
    changed[0, 4] = (changed[0, 4] + 1) % 64
    with torch.inference_mode():
        a, b = (gpt(t, torch.arange(6), gpt.empty_cache(1, 6)) for t in (tokens, changed))
    assert torch.allclose(a[:, :4], b[:, :4])
    assert not torch.allclose(a[:, 4], b[:, 4])


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
