"""Tokenizers of a fixed length, and TaTok without global tokens: every part that the contract lets a bundle leave out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from conftest import SAMPLES
from test_bundle import MANIFEST, MEASURED

from tatok.bundle.export import export_bundle
from tatok.bundle.manifest import read_manifest
from tatok.cli import main
from tatok.config import TINY_MODEL, TrainConfig
from tatok.evaluation.backend import open_backend
from tatok.tokenizer import TaTok
from tatok.training.distributed import Workers
from tatok.training.train import RunFiles, Trainer, train

SHAPES = {
    "fixed-256": replace(TINY_MODEL, global_tokens=0, entropy_layers=0),
    "fixed-57": replace(TINY_MODEL, global_tokens=7, patch_codes=False, entropy_layers=0),
    "patches-only": replace(TINY_MODEL, global_tokens=0),
}
GRAPHS = {
    "fixed-256": ["encoder", "decoder"],
    "fixed-57": ["encoder", "decoder"],
    "patches-only": ["encoder", "entropy", "decoder"],
}
INPUTS = {
    "fixed-256": ["patch_codes"],
    "fixed-57": ["global_codes"],
    "patches-only": ["patch_codes", "expected_code", "keep"],
}


@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def bundle(shape: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    out = tmp_path_factory.mktemp(shape)
    export_bundle(TaTok(SHAPES[shape]), out, MANIFEST | {"name": shape}, MEASURED)
    return out


def test_a_bundle_says_which_parts_it_has(bundle: Path, shape: str):
    manifest, config = read_manifest(bundle), SHAPES[shape]
    assert list(manifest["graphs"]) == GRAPHS[shape]
    assert sorted(p.name for p in bundle.glob("*.onnx")) == sorted(f["path"] for f in manifest["files"])
    assert manifest["globalTokens"] == config.global_tokens
    assert manifest["patchTokens"] == (16 if config.patch_codes else 0)
    assert [i.name for i in ort.InferenceSession(bundle / "decoder.onnx").get_inputs()] == INPUTS[shape]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_bundle_computes_what_its_weights_compute_in_pytorch(bundle: Path, batch: int):
    images = np.random.default_rng(0).integers(0, 256, (batch, 64, 64, 3), dtype=np.uint8)
    onnx, torch_ = open_backend(bundle), open_backend(bundle, "torch")
    codes = onnx.encode(images)
    assert [c.shape for c in codes] == [(batch, onnx.global_tokens), (batch, onnx.patch_tokens)]
    for ours, theirs in zip(codes, torch_.encode(images), strict=True):
        assert (ours == theirs).mean() > 0.99 if ours.size else theirs.size == 0
    given = ()
    if onnx.filters:
        expected = onnx.estimate(*codes).expected_code
        given = (expected, np.arange(16)[None] % 2 == np.zeros((batch, 1)))
    difference = onnx.decode(*codes, *given).astype(float) - torch_.decode(*codes, *given)
    assert np.abs(difference).mean() < 0.01


def test_a_step_decreases_the_loss(shape: str, files: RunFiles, tiny: TrainConfig, alone: Workers):
    trainer = Trainer(files, replace(tiny, model=SHAPES[shape], batch=4), alone)
    losses = [trainer.step()["loss"].item() for _ in range(12)]
    assert min(losses[-3:]) < losses[0]
    assert all(p.grad is None or p.grad.isfinite().all() for p in trainer.model.parameters())


def test_every_parameter_is_trained(shape: str, files: RunFiles, tiny: TrainConfig, alone: Workers):
    """Data parallelism refuses parameters that the loss does not reach."""
    config = replace(tiny, model=SHAPES[shape], batch=4, full_token_phase=0.0)
    trainer = Trainer(files, config, alone)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    for _ in range(4):
        trainer.step()
    unmoved = [n for (n, p), b in zip(trainer.model.named_parameters(), before, strict=True) if torch.equal(p, b)]
    assert unmoved == []


def test_training_goes_on_from_a_bundle(bundle: Path, shape: str, pack: Path, tiny: TrainConfig, tmp_path: Path):
    files = RunFiles(pack, tmp_path / "run", start_from=bundle)
    train(files, replace(tiny, model=SHAPES[shape], steps=1, batch=4, learning_rate=0.0, final_learning_rate=0.0))
    before, after = (TaTok.from_pretrained(path).state_dict() for path in (bundle, files.out / "weights.npz"))
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=2e-3) for name in before)


def test_baselines_are_measured_and_compared(bundle: Path, shape: str, tmp_path: Path):
    assert main(["evaluate", str(bundle), str(SAMPLES), "--out", str(tmp_path / "report")]) == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    sweep = metrics["folders"][SAMPLES.name]["sweep"]
    config = SHAPES[shape]
    assert sweep[0]["total"] == config.global_tokens + config.patch_tokens
    assert sweep[0]["payload_bits"] == 16 * sweep[0]["total"]
    assert (len(sweep) > 1) == config.filters
    report = str(tmp_path / "report" / "metrics.json")
    assert main(["compare", report, report, "--out", str(tmp_path / "both")]) == 0
    assert shape in (tmp_path / "both" / "comparison.md").read_text()
    assert (tmp_path / "both" / f"{SAMPLES.name}-comparison.png").stat().st_size > 1000
