"""What an evaluation says of budgets and of folders; its figures are those of the whole path in `test_bundle.py`."""

from pathlib import Path

import pytest
from conftest import SAMPLES
from test_bundle import MANIFEST, MEASURED

from tatok.bundle.export import export_bundle
from tatok.bundle.manifest import read_manifest, write_manifest
from tatok.evaluation import evaluate as evaluation
from tatok.evaluation import report
from tatok.evaluation.backend import TorchBackend
from tatok.evaluation.evaluate import evaluate, reference_budget
from tatok.tokenizer import TaTok
from tatok.weights import save_weights

CONDITIONINGS = ("global", "sequential", "distortion")


def test_a_total_that_a_budget_does_not_reach_is_marked(model: TaTok, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export_bundle(model, tmp_path, MANIFEST, MEASURED)
    write_manifest(tmp_path, read_manifest(tmp_path) | {"referenceBudgetBits": 1.0})
    for module in (evaluation, report):
        monkeypatch.setattr(module, "TARGET_TOTAL", 10)
    data = evaluate(tmp_path, [SAMPLES], tmp_path, limit=2, quick=True)["folders"][SAMPLES.name]["adaptivity"]
    lines = (tmp_path / f"{SAMPLES.name}.md").read_text().splitlines()
    for conditioning in CONDITIONINGS:
        image, reference = (data[f"{budget}, {conditioning}"] for budget in ("image", "reference"))
        assert image["total"] <= 10 < reference["total"]
        assert reference["loss_rate"] == 1.0
        rows = [next(line for line in lines if line.startswith(f"| {b}, {conditioning} |")) for b in ("image", "reference")]
        assert f"| {image['loss_rate']:.3f} |" in rows[0]
        assert "| 1.000, not reached |" in rows[1]


def test_weights_alone_have_no_reference_budget(model: TaTok, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    results = evaluate(tmp_path / "weights.npz", [SAMPLES], tmp_path, limit=2, quick=True)
    assert results["reference_budget_bits"] is None
    assert list(results["folders"][SAMPLES.name]["adaptivity"]) == [f"image, {c}" for c in CONDITIONINGS]
    assert "| reference" not in (tmp_path / f"{SAMPLES.name}.md").read_text()


def test_folders_of_one_name_are_refused(model: TaTok, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    with pytest.raises(ValueError, match="several folders are called samples:"):
        evaluate(tmp_path / "weights.npz", [SAMPLES, tmp_path / "samples"], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_one_image_has_no_frechet_distance(model: TaTok, perceptual: Path, tmp_path: Path):
    save_weights(tmp_path / "weights.npz", model.config, model.state_dict())
    for limit, wanted in ((1, False), (2, True)):
        results = evaluate(tmp_path / "weights.npz", [SAMPLES], tmp_path, perceptual=perceptual, limit=limit, quick=True)
        first = results["folders"][SAMPLES.name]["sweep"][0]
        assert "squeezenet_distance" in first
        assert ("squeezenet_frechet" in first) == wanted


def test_a_reference_folder_without_images_is_refused(model: TaTok, tmp_path: Path):
    with pytest.raises(ValueError, match="no images in"):
        reference_budget(TorchBackend(model, "tiny"), tmp_path)
