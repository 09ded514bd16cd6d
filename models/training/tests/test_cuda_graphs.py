import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from conftest import SAMPLES
from onnx import TensorProto
from test_bundle import MANIFEST, MEASURED

from tatok.bundle.cuda.graphs import GRAPHS, add_cuda_graphs
from tatok.bundle.cuda.interpreter import GraphInterpreter
from tatok.bundle.export import example_inputs, export_bundle
from tatok.bundle.manifest import GRAPHS as PLAIN
from tatok.bundle.manifest import file_entry, read_manifest
from tatok.cli import main
from tatok.config import TINY_MODEL, ModelConfig
from tatok.evaluation.backend import OnnxBackend
from tatok.tokenizer import TaTok

# Wide enough that the blocks' weights are stored as float16.
CONFIG = replace(TINY_MODEL, width=64, entropy_layers=2)
# One number of levels, one that is no power of two, and global tokens that do not divide the patch tokens.
OTHER = (
    replace(CONFIG, levels=(8, 8, 8), global_tokens=3),
    replace(CONFIG, levels=(5, 8, 7), entropy_layers=1),
    replace(CONFIG, refinement_width=8),
)
CODES = ("global_codes", "patch_codes")
ESTIMATES = ("entropy", "surprisal", "expected_code")
SCALES = {"image": 255, "entropy": 10, "surprisal": 10}
OUTPUTS = {"encoder": CODES, "entropy": ESTIMATES, "decoder": ("image",), "tokenizer": CODES + ESTIMATES}


def random_model(config: ModelConfig) -> TaTok:
    # A seed with which no position lies within rounding of the border between two levels, where codes may differ by one.
    torch.manual_seed(2)
    model = TaTok(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # The small weights, too, as the CUDA graphs hold them.
            parameter.copy_((parameter + torch.randn_like(parameter) * 0.1).half().float())
            if name.endswith("key_norm.weight"):
                parameter[::5] *= -1
    return model.eval()


@pytest.fixture(scope="module")
def wide() -> TaTok:
    return random_model(CONFIG)


@pytest.fixture(scope="module")
def bundle(wide: TaTok, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle")
    export_bundle(wide, out, MANIFEST, MEASURED)
    add_cuda_graphs(out)
    return out


def inputs_of(path: Path, model: TaTok, batch: int) -> dict[str, np.ndarray]:
    examples = example_inputs(model, batch)
    return {i.name: examples[i.name].numpy() for i in onnx.load(path, load_external_data=False).graph.input}


def plain_results(bundle: Path, graph: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs of the plain graphs; the tokenizer is two of them."""
    plain = OnnxBackend(bundle)
    if graph != "tokenizer":
        return plain.run(graph, inputs, OUTPUTS[graph])
    codes = plain.run("encoder", inputs, CODES)
    visible = np.zeros(codes[1].shape, bool)
    return [*codes, *plain.run("entropy", dict(zip(CODES, codes, strict=True)) | {"visible": visible}, ESTIMATES)]


def check(graph: str, got: list[np.ndarray], wanted: list[np.ndarray], tolerance: float) -> None:
    for name, a, b in zip(OUTPUTS[graph], got, wanted, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        if a.dtype == np.int32:
            assert (a != b).mean() <= 20 * tolerance, name
        else:
            scale = SCALES.get(name, 1)
            assert np.abs(a.astype(np.float64) - b.astype(np.float64)).mean() / scale <= tolerance, name


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 2e-4), (torch.float16, 5e-3)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("graph", GRAPHS)
def test_they_compute_what_the_plain_graphs_compute(
    bundle: Path, wide: TaTok, graph: str, batch: int, precision: torch.dtype, tolerance: float
):
    path = bundle / GRAPHS[graph]
    inputs = inputs_of(path, wide, batch)
    got = GraphInterpreter(path, precision=precision).run(OUTPUTS[graph], inputs)
    check(graph, got, plain_results(bundle, graph, inputs), tolerance)


@pytest.mark.parametrize("config", OTHER)
def test_they_do_so_for_other_codebooks_and_heads(config: ModelConfig, tmp_path: Path):
    model = random_model(config)
    export_bundle(model, tmp_path, MANIFEST, MEASURED)
    add_cuda_graphs(tmp_path)
    for graph, file in GRAPHS.items():
        inputs = inputs_of(tmp_path / file, model, 2)
        got = GraphInterpreter(tmp_path / file, precision=torch.float32).run(OUTPUTS[graph], inputs)
        check(graph, got, plain_results(tmp_path, graph, inputs), 2e-4)


def test_onnx_runtime_computes_the_same_where_it_has_the_operators(bundle: Path, wide: TaTok):
    path = bundle / GRAPHS["entropy"]
    inputs = inputs_of(path, wide, 2)
    got = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(list(OUTPUTS["entropy"]), inputs)
    check("entropy", got, GraphInterpreter(path).run(OUTPUTS["entropy"], inputs), 5e-3)


@pytest.mark.parametrize("graph", ["encoder", "decoder", "tokenizer"])
def test_onnx_runtime_lacks_nothing_but_operators_of_the_gpu(bundle: Path, graph: str):
    missing = r"NOT_IMPLEMENTED .* kernel for com\.microsoft\.(NhwcConv|GroupNorm)"
    with pytest.raises(Exception, match=missing):  # ONNX Runtime names no public class
        ort.InferenceSession(bundle / GRAPHS[graph], providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("graph", GRAPHS)
def test_large_weights_are_read_out_of_the_plain_graphs(bundle: Path, graph: str):
    pointers = 0
    for tensor in onnx.load(bundle / GRAPHS[graph], load_external_data=False).graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            assert {e.key: e.value for e in tensor.external_data}["location"] in PLAIN.values()
            pointers += 1
    assert pointers >= 2 * 5


def test_the_manifest_lists_them_beside_the_plain_graphs(bundle: Path):
    manifest = read_manifest(bundle)
    assert manifest["variants"] == {"cuda": GRAPHS}
    assert manifest["files"] == [file_entry(bundle / name) for name in (*PLAIN.values(), *GRAPHS.values())]


def test_adding_them_again_changes_nothing(bundle: Path):
    before = {p.name: p.read_bytes() for p in bundle.iterdir()}
    add_cuda_graphs(bundle)
    assert {p.name: p.read_bytes() for p in bundle.iterdir()} == before


def test_a_model_without_entropy_model_has_none(tmp_path: Path):
    config = replace(TINY_MODEL, encoder_layers=1, entropy_layers=0, decoder_layers=1)
    export_bundle(TaTok(config), tmp_path, MANIFEST, MEASURED)
    with pytest.raises(ValueError, match="need global and patch tokens and an entropy model"):
        add_cuda_graphs(tmp_path)


def test_a_codebook_that_fits_no_table_is_named_with_its_limit(bundle: Path, tmp_path: Path):
    manifest = read_manifest(bundle)
    manifest["model"]["levels"] = [8, 8, 8, 8, 4, 5]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="81,920 codes and they look up at most 65,536"):
        add_cuda_graphs(tmp_path)


def test_parity_of_whole_paths(bundle: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["parity", str(bundle), str(SAMPLES), "--limit", "2"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["images"] == 2
    assert figures["equalPatchCodes"] > 0.9
    assert figures["decodedLevels"] < 1
    assert abs(figures["psnrPlain"] - figures["psnrCuda"]) < 0.5
