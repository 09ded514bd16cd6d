import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from conftest import ROOT, SAMPLES

from tatok.bundle.description import read_description
from tatok.bundle.export import example_inputs, export_bundle, graph_modules
from tatok.bundle.format import read_manifest as read_any_manifest
from tatok.bundle.manifest import GRAPHS, file_entry, read_manifest
from tatok.cli import main
from tatok.config import TINY_MODEL
from tatok.tokenizer import TaTok
from tatok.weights import read_weights

MANIFEST = {
    "name": "tiny",
    "version": "1",
    "description": "a test",
    "licence": "MIT",
    "defaults": {"lossRate": 0.5, "edgePriority": 0, "budget": "image", "conditioning": "global"},
    "training": {"images": 3},
}
MEASURED = {"referenceBudgetBits": 100.0}


@pytest.fixture(scope="module")
def bundle(model: TaTok, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle")
    export_bundle(model, out, MANIFEST, MEASURED)
    return out


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_compute_what_pytorch_computes(bundle: Path, model: TaTok, name: str, batch: int):
    examples, module = example_inputs(model, batch), graph_modules(model)[name]
    with torch.no_grad():
        wanted = module(*(examples[i] for i in module.inputs))
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    session = ort.InferenceSession(bundle / GRAPHS[name])
    assert tuple(i.name for i in session.get_inputs()) == module.inputs
    assert tuple(o.name for o in session.get_outputs()) == module.outputs
    for got, want in zip(session.run(None, {i: examples[i].numpy() for i in module.inputs}), wanted, strict=True):
        want = want.numpy()
        assert got.dtype == want.dtype
        difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
        if got.dtype == np.int32:
            assert (difference > 0).mean() <= 0.001
        elif got.dtype == np.uint8:
            assert difference.mean() < 0.01
        else:
            assert difference.max() < 1e-3


def test_visible_patches_have_no_entropy(bundle: Path, model: TaTok):
    examples = example_inputs(model, 2)
    inputs = {name: examples[name].numpy() for name in ("global_codes", "patch_codes", "visible")}
    entropy, surprisal, expected = ort.InferenceSession(bundle / "entropy.onnx").run(None, inputs)
    visible = inputs["visible"]
    assert (entropy[visible] == 0).all()
    assert (surprisal[visible] == 0).all()
    assert (entropy[~visible] > 0).all()
    wanted = model.quantizer.decode(examples["patch_codes"]).numpy()
    np.testing.assert_allclose(expected[visible], wanted[visible], atol=1e-6)


def test_manifest_lists_the_files_as_they_are(bundle: Path):
    manifest = read_manifest(bundle)
    assert manifest["files"] == [file_entry(bundle / name) for name in GRAPHS.values()]
    assert manifest["codebook"] == {"size": 65536, "levels": [8, 8, 8, 8, 4, 4]}


def test_a_manifest_has_no_say_where_the_model_knows_better(bundle: Path, model: TaTok, tmp_path: Path):
    """As when one starts from a shipped bundle: its figures are not of these weights, nor are its graphs for CUDA."""
    given = read_manifest(bundle) | {
        "name": "another",
        "codebook": {"size": 4096, "levels": [8, 8, 8, 8]},
        "model": {"image_size": 512},
        "graphs": {"encoder": "old.onnx"},
        "variants": {"cuda": {"encoder": "encoder.cuda.onnx"}},
        "metrics": {"protocol": "…"},
        "entropyTemperature": 2.0,
        "referenceBudgetBits": 1.0,
    }
    (tmp_path / "encoder.cuda.onnx").write_text("stale")
    export_bundle(model, tmp_path, given, MEASURED)
    assert read_manifest(tmp_path) == read_manifest(bundle) | {"name": "another"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["decoder.onnx", "encoder.onnx", "entropy.onnx", "manifest.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("read", [read_manifest, read_any_manifest])
def test_a_manifest_that_is_no_file_is_refused_at_once(read: Callable[[Path], object], tmp_path: Path):
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(ValueError, match="is not a regular file but a folder, a pipe or a device"):
        read(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(ValueError, match="is too large"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match=r"is not (a TaTok bundle|the manifest of a bundle)"):
        read(tmp_path)


def test_a_manifest_may_begin_with_a_byte_order_mark(bundle: Path, tmp_path: Path) -> None:
    text = (bundle / "manifest.json").read_text(encoding="utf-8")
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8-sig")
    assert read_manifest(tmp_path) == read_manifest(bundle)


def test_a_model_without_an_entropy_model_leaves_no_entropy_graph_of_another(bundle: Path, tmp_path: Path):
    (tmp_path / "entropy.onnx").write_bytes((bundle / "entropy.onnx").read_bytes())
    export_bundle(TaTok(replace(TINY_MODEL, entropy_layers=0)), tmp_path, MANIFEST, {"referenceBudgetBits": 0.0})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["decoder.onnx", "encoder.onnx", "manifest.json"]


def test_what_a_given_manifest_lacks_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    manifest = tmp_path / "manifest.json"
    given = {k: v for k, v in MANIFEST.items() if k not in ("licence", "training")}
    manifest.write_text(json.dumps(given | {"defaults": {"lossRate": 0.5, "edgePriority": 0, "budget": "image"}}))
    options = ["--out", str(tmp_path / "bundle"), "--manifest", str(manifest), "--reference", str(SAMPLES)]
    assert main(["export", "no-weights.npz", *options]) == 1
    assert capsys.readouterr().err == f"tatok: {manifest} lacks licence, training, defaults.conditioning\n"


def test_the_manifest_that_the_readme_shows_is_complete(tmp_path: Path):
    text = (ROOT / "models/training/README.md").read_text()
    (tmp_path / "manifest.json").write_text(text.split("```json\n")[1].split("```")[0])
    assert read_description(tmp_path / "manifest.json").keys() == MANIFEST.keys()


def test_weights_come_back_out_of_a_bundle(bundle: Path, model: TaTok):
    config, weights = read_weights(bundle)
    assert config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(weights[name], value), name


def test_large_weights_are_stored_as_float16(bundle: Path):
    for name in GRAPHS.values():
        for tensor in onnx.load(bundle / name).graph.initializer:
            assert tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < 4096


def test_a_bundle_names_no_folder_of_this_machine(bundle: Path):
    for file in bundle.iterdir():
        assert str(ROOT).encode() not in file.read_bytes(), file.name


def test_the_whole_path_from_a_folder_of_images(tmp_path: Path):
    """pack → train → export → evaluate, as a user types it."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(MANIFEST))
    pack, run, bundle, report = (tmp_path / name for name in ("pack", "run", "bundle", "report"))
    options = ["--preset", "tiny", "--steps", "3", "--batch", "4", "--perceptual", "none"]
    assert main(["pack", str(SAMPLES), "--out", str(pack), "--short-side", "80"]) == 0
    assert main(["train", str(pack), "--out", str(run), *options]) == 0
    export = ["export", str(run / "weights.npz"), "--out", str(bundle), "--manifest", str(manifest)]
    assert main([*export, "--reference", str(SAMPLES)]) == 0
    assert main(["evaluate", str(bundle), str(SAMPLES), "--out", str(report)]) == 0
    metrics = json.loads((report / "metrics.json").read_text())["folders"][SAMPLES.name]
    assert metrics["sweep"][0]["total"] == 20
    assert metrics["sweep"][-1]["kept"] == 0
    assert metrics["orders"]["24"]["random"]["psnr"] > 0
    assert (report / f"{SAMPLES.name}-rate-distortion.png").stat().st_size > 1000
    assert main(["evaluate", str(bundle), str(SAMPLES), "--quick", "--limit", "1", "--out", str(report)]) == 0
    quick = json.loads((report / "metrics.json").read_text())["folders"][SAMPLES.name]
    assert set(metrics) - set(quick) == {"edge_priority", "zero_fill_48", "orders_equal_bits", "codecs"}
    assert list(quick["orders"]) == ["48"]


def test_missing_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["pack", str(tmp_path), "--out", str(tmp_path / "pack")]) == 1
    assert capsys.readouterr().err == f"tatok: no images in {tmp_path}\n"
