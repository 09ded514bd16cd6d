"""The default budget, ε and the table of rankings, on a tiny bundle."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FIXTURES, SAMPLES
from test_bundle import MANIFEST, MEASURED

from tatok.bench.rankings import KEPT, compare_rankings
from tatok.bundle.export import export_bundle
from tatok.bundle.manifest import read_manifest
from tatok.cli import main
from tatok.data.images import centre_crop, list_images
from tatok.evaluation.backend import OnnxBackend
from tatok.evaluation.budget import find_budgets
from tatok.evaluation.encoded_folder import CodedImages
from tatok.filter import rank_images
from tatok.tokenizer import TaTok

DEFAULTS = {"lossRate": 0.5, "edgePriority": 1, "budget": "image", "conditioning": "distortion", "rankingRounds": 3}


@pytest.fixture
def bundle(model: TaTok, tmp_path: Path) -> Path:
    export_bundle(model, tmp_path / "bundle", MANIFEST | {"defaults": DEFAULTS}, MEASURED)
    return tmp_path / "bundle"


def test_the_budget_that_is_written_gives_the_mean_number_of_tokens(bundle: Path, capsys: pytest.CaptureFixture[str]):
    before, config = read_manifest(bundle), TaTok.from_pretrained(bundle).config
    tokens = config.global_tokens + config.patch_tokens / 4
    arguments = ["calibrate-budget", str(bundle), str(SAMPLES), "--tokens", str(tokens)]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert read_manifest(bundle) == before
    assert main([*arguments, "--write"]) == 0
    assert found["best"] in capsys.readouterr().out
    manifest = read_manifest(bundle)
    best = found["budgets"][found["best"]]
    assert best["p10"]["psnr"] == max(point["p10"]["psnr"] for point in found["budgets"].values())
    assert manifest["defaults"] == DEFAULTS | {"budget": found["best"], "lossRate": best["loss_rate"]}
    assert manifest["referenceBudgetBits"] == found["budgets"]["reference"]["budget_bits"]
    assert {k: v for k, v in manifest.items() if k not in ("defaults", "referenceBudgetBits")} == {
        k: v for k, v in before.items() if k not in ("defaults", "referenceBudgetBits")
    }
    for budget, point in found["budgets"].items():
        assert main([*arguments, "--write", "--budget", budget]) == 0
        assert read_manifest(bundle)["defaults"] == DEFAULTS | {"budget": budget, "lossRate": point["loss_rate"]}
    # What the library keeps under the manifest's settings is what was reported.
    model = TaTok.from_pretrained(bundle)
    images = torch.stack([torch.from_numpy(centre_crop(f, config.image_size).copy()) for f in list_images(SAMPLES)])
    images = images.permute(0, 3, 1, 2)
    for point in found["budgets"].values():
        options = {"edge_priority": 1.0, "rounds": 3, "budget_bits": point["budget_bits"]}
        kept = model.filter(model.encode(images), point["loss_rate"], ranking="distortion", images=images, **options)
        assert len(kept) == found["images"]
        lengths = kept.counts.double()
        assert float(lengths.mean()) == pytest.approx(point["total"])
        assert (int(lengths.min()), int(lengths.max())) == tuple(config.global_tokens + point[n] for n in ("min", "max"))
        assert point["total"] <= tokens
        assert round(200 * point["loss_rate"]) == pytest.approx(200 * point["loss_rate"])
    assert found["budgets"]["reference"]["total"] > tokens - 1


def test_budgets_over_a_collection_are_those_that_the_inspector_finds():
    vectors = json.loads((FIXTURES / "collection-budgets.json").read_text())
    assert len(vectors) == 9
    for vector in vectors:
        lost = np.array(vector["lost"])
        sums = lost.max(1)

        def mean_total(loss_rate: float, bits: float | None, lost: np.ndarray = lost, first: int = vector["globalTokens"]):
            budget = lost.max(1) if bits is None else np.full(len(lost), bits)
            return float((first + (lost > loss_rate * budget[:, None]).sum(1)).mean())

        found = {each["kind"]: (each["lossRate"], each["budgetBits"]) for each in vector["found"]}
        expected = {"image": found["image"], "reference": found["collection"]}
        assert find_budgets(mean_total, sums, vector["wanted"]) == expected


@pytest.mark.parametrize("tokens", [1, 1000])
def test_a_mean_out_of_reach_is_one_sentence(bundle: Path, tokens: int, capsys: pytest.CaptureFixture[str]):
    assert main(["calibrate-budget", str(bundle), str(SAMPLES), "--tokens", str(tokens)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"tatok: a mean of {tokens} tokens is out of reach")
    assert error.count("\n") == 1


def test_rankings_are_compared_by_quality_and_by_passes(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tatok.bench.rankings.KEPT", (4, 9))
    result = compare_rankings(bundle, SAMPLES, rounds=(1, 2), limit=3, runs=1, runtime="onnx")
    assert [(row["ranking"], row["rounds"]) for row in result["rows"]] == [
        ("random", None),
        ("entropy", 1),
        *((ranking, rounds) for ranking in ("sequential", "distortion") for rounds in (1, 2)),
    ]
    last, calls = result["rows"][-1], {"decode": 0, "estimate": 0}

    class Counted(CodedImages):
        def decode(self, *arguments: np.ndarray) -> np.ndarray:
            calls["decode"] += 1
            return super().decode(*arguments)

        def estimate(self, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            calls["estimate"] += bool(visible.any())
            return super().estimate(visible)

    backend, psnrs = OnnxBackend(bundle), []
    for file in list_images(SAMPLES)[:3]:
        image = centre_crop(file, backend.image_size)[None]
        coded = Counted(backend, *backend.encode(image))
        calls.update(decode=0, estimate=0)
        (ranking,) = rank_images(coded, "distortion", 1, *backend.grid, images=image, rounds=2)
        assert (calls["decode"], calls["estimate"]) == (last["decodes"], last["estimates"])
        keep = np.zeros((1, ranking.order.size), dtype=bool)
        keep[0, ranking.order[-9:]] = True
        decoded = CodedImages.decode(coded, CodedImages.estimate(coded, keep)[1], keep)
        psnrs.append(10 * np.log10(255**2 / np.mean((decoded.astype(float) - image) ** 2)))
    assert last["9"] == pytest.approx(np.mean(psnrs), abs=1e-3)


def test_the_note_on_rankings_names_its_command(bundle: Path, tmp_path: Path):
    note = tmp_path / "rankings.md"
    assert main(["rankings", str(bundle), str(SAMPLES), "--rounds", "1,2", "--limit", "2", "--out", str(note)]) == 0
    lines = note.read_text().splitlines()
    assert any(line.strip().startswith("python -m tatok rankings") for line in lines)
    assert sum(line.startswith("| distortion | 2 (default) | 3 | 1 |") for line in lines) == 1
    assert all(f"{kept} kept" in note.read_text() for kept in KEPT)
