"""Format 2, `tatok.export_tokenizer` and `python -m tatok check`."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from conftest import ROOT
from torch import Tensor, nn

import tatok
from tatok.bundle.check import check_bundle
from tatok.bundle.format import (
    BitsCodebook,
    ContinuousLatents,
    FsqCodebook,
    Manifest,
    json_schema,
    read_manifest,
)
from tatok.bundle.manifest import file_entry
from tatok.bundle.onnx_graph import save_graph
from tatok.cli import main

SIZE = 32


class Encode(nn.Module):
    """Nearest entries of a table to the patches' projections; `shape` is that of an image's codes."""

    def __init__(self, table: Tensor, shape: tuple[int, ...] = (2, 2)) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, table.shape[1], 16, 16)
        self.table, self.shape = nn.Parameter(table), shape

    def forward(self, image: Tensor) -> Tensor:
        z = self.project(image).flatten(2).transpose(1, 2)
        return (z.unsqueeze(2) - self.table).square().sum(-1).argmin(-1).reshape(-1, *self.shape)


class Decode(nn.Module):
    """The entries' linear pictures of patches."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table, self.paint = nn.Parameter(table), nn.ConvTranspose2d(table.shape[1], 3, 16, 16)

    def forward(self, codes: Tensor) -> Tensor:
        return self.paint(self.table[codes].permute(0, 3, 1, 2))


class DecodePrefix(nn.Module):
    """Sums the pictures of kept tokens; `leaky` ones look at all."""

    def __init__(self, *, leaky: bool = False) -> None:
        super().__init__()
        self.pictures, self.leaky = nn.Embedding(16, 3 * SIZE * SIZE), leaky

    def forward(self, codes: Tensor, keep: Tensor) -> Tensor:
        weights = torch.ones_like(codes).float() if self.leaky else keep.float()
        return (self.pictures(codes) * weights.unsqueeze(-1)).sum(1).reshape(-1, 3, SIZE, SIZE)


@pytest.fixture(scope="module")
def table() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(16, 4)


@pytest.fixture(scope="module")
def grid_bundle(table: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grid")
    options = {"name": "toy", "image_size": (SIZE, 48), "grid": (2, 3), "codebook": table}
    return tatok.export_tokenizer(Encode(table, (2, 3)), Decode(table), out=out, **options)


def test_a_pair_of_modules_becomes_a_bundle_that_computes_what_they_compute(table: Tensor, tmp_path: Path):
    torch.manual_seed(1)
    encode, decode = Encode(table), Decode(table)
    encode.train()
    options = {"name": "toy", "image_size": SIZE, "grid": (2, 2), "codebook": table, "value_range": (0, 1)}
    tatok.export_tokenizer(encode, decode, out=tmp_path, precision="float32", **options)
    assert encode.training, "the modules are left as they were"
    assert check_bundle(tmp_path) == []
    image = np.random.default_rng(0).integers(256, size=(5, SIZE, SIZE, 3), dtype=np.uint8)
    (codes,) = ort.InferenceSession(tmp_path / "encoder.onnx").run(None, {"image": image})
    (pixels,) = ort.InferenceSession(tmp_path / "decoder.onnx").run(None, {"patch_codes": codes})
    with torch.no_grad():
        wanted = encode(torch.from_numpy(image).permute(0, 3, 1, 2) / 255)
        decoded = (decode(wanted) * 255).clamp(0, 255).round().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(codes, wanted.flatten(1))
    assert np.abs(pixels - decoded).max() <= 1
    np.testing.assert_array_equal(np.load(tmp_path / "codebook.npy"), table.numpy())


def test_a_rectangular_grid_opens(grid_bundle: Path):
    manifest = read_manifest(grid_bundle)
    assert (manifest.image.width, manifest.image.height, manifest.image.patch) == (48, SIZE, 16)
    assert manifest.codebooks["codes"].model_dump(exclude_none=True) == {
        "kind": "vq",
        "size": 16,
        "dimensions": 4,
        "file": "codebook.npy",
    }
    assert check_bundle(grid_bundle) == []


class EncodeSequence(Encode):
    """Codes of four tokens, and their attention over the patches."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        codes = super().forward(image)
        rows = torch.softmax(self.project(image).flatten(2), -1).reshape(-1, 1, 2, 2, 4)
        return codes, torch.cat([rows, rows], 3)


def test_a_sequence_with_prefix_and_attention_keeps_the_contract(table: Tensor, tmp_path: Path):
    options = {"name": "toy", "image_size": SIZE, "tokens": 4, "prefix": True, "attention": (1, 2), "codebook": 16}
    tatok.export_tokenizer(EncodeSequence(table, (4,)), DecodePrefix(), out=tmp_path, **options)
    assert check_bundle(tmp_path) == []
    assert [i.name for i in ort.InferenceSession(tmp_path / "decoder.onnx").get_inputs()] == ["global_codes", "keep_global"]


def test_a_decoder_that_looks_behind_the_prefix_is_told(table: Tensor, tmp_path: Path):
    options = {"name": "toy", "image_size": SIZE, "tokens": 4, "prefix": True, "codebook": 16}
    tatok.export_tokenizer(Encode(table, (4,)), DecodePrefix(leaky=True), out=tmp_path, **options)
    # The exporter drops an input that nothing reads, or the picture depends on what is left out.
    (problem,) = check_bundle(tmp_path)
    assert "keep_global" in problem


class Bits(nn.Module):
    """Two residual codes of 40 bits a cell."""

    def forward(self, image: Tensor) -> Tensor:
        means = nn.functional.avg_pool2d(image, 16).flatten(2).transpose(1, 2)
        return ((means[..., :2] + 1) / 2 * (2**40 - 1)).long()


class PaintBits(nn.Module):
    def forward(self, codes: Tensor) -> Tensor:
        shade = codes.float().mean(-1) / 2**39 - 1
        return nn.functional.interpolate(shade.unsqueeze(1).expand(-1, 3, -1, -1), scale_factor=16)


def test_residual_codes_of_more_than_31_bits_are_int64(tmp_path: Path):
    options = {"name": "bits", "image_size": SIZE, "grid": (2, 2), "depth": 2, "codebook": BitsCodebook(bits=40)}
    tatok.export_tokenizer(Bits(), PaintBits(), out=tmp_path, **options)
    assert check_bundle(tmp_path) == []
    (output,) = ort.InferenceSession(tmp_path / "encoder.onnx").get_outputs()
    assert (output.type, output.shape[1:]) == ("tensor(int64)", [4, 2])


def test_continuous_latents_take_the_place_of_codes(tmp_path: Path):
    class Pool(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(image, 16).permute(0, 2, 3, 1)

    class Unpool(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            return nn.functional.interpolate(latents.permute(0, 3, 1, 2), scale_factor=16)

    options = {"name": "vae", "image_size": SIZE, "grid": (2, 2), "codebook": ContinuousLatents(dimensions=3)}
    tatok.export_tokenizer(Pool(), Unpool(), out=tmp_path, **options)
    assert check_bundle(tmp_path) == []


class BatchBaked(Encode):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image)[: len(image)] + torch.zeros(len(image), 1, 1, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": (4, 4)}, r"encode must return patch_codes as \[2, 16\] for 2 images, not \[2, 2, 2\]"),
        ({"grid": None}, "give grid, tokens or both"),
        ({"image_size": 40, "patch": 16}, "patches of 16 pixels do not tile 40×40 pixels"),
        ({"attention": (1, 1)}, "no stream is a sequence"),
        ({"tokens": 4}, "encode must return global_codes, patch_codes; it returned 1 tensors"),
        ({"codebook": torch.zeros(3)}, r"must be \[codes, dimensions\], not \[3\]"),
        ({"encode": nn.AvgPool2d(16), "codebook": 8}, r"patch_codes as \[2, 4\] for 2 images, not \[2, 3, 2, 2\]"),
        ({"decode": nn.Flatten()}, r"decode must return \[2, 3, 32, 32\] for 2 images, not \[2, 4\]"),
        ({"encode": BatchBaked}, "encoder works for one batch size only"),
    ],
)
def test_modules_that_do_not_do_what_is_said_are_refused(table: Tensor, tmp_path: Path, change: dict[str, Any], message: str):
    given = {"encode": Encode(table), "decode": Decode(table), "image_size": SIZE, "grid": (2, 2), "codebook": table} | change
    encode = given.pop("encode")
    encode = encode(table) if isinstance(encode, type) else encode
    with pytest.raises(ValueError, match=message):
        tatok.export_tokenizer(encode, given.pop("decode"), out=tmp_path / "bundle", name="toy", **given)
    assert not (tmp_path / "bundle" / "manifest.json").exists()


ENCODER = """<ir_version: 10, opset_import: ["" : 20]>
encoder (uint8[B, 16, 16, 3] image) => (int32[B, 1] patch_codes) <int64[4] corner = {0, 0, 0, 0}, int64[1] one = {1}>
{ %s }"""
DECODER = """<ir_version: 10, opset_import: ["" : 20]>
decoder (int32[B, 1] patch_codes) => (uint8[B, 16, 16, 3] image)
{ c = Constant <value = int64[4] {1, 16, 16, 3}> () s = Shape <start = 0, end = 1> (patch_codes)
  t = Constant <value = int64[3] {16, 16, 3}> () shape = Concat <axis = 0> (s, t)
  axes = Constant <value = int64[2] {2, 3}> () u = Unsqueeze (patch_codes, axes) w = Expand (u, shape)
  image = Cast <to = 2> (w) }"""
MEAN = "f = Cast <to = 1> (image) a = Constant <value = int64[3] {1, 2, 3}> () m = ReduceMean <keepdims = 0> (f, a) "
"""One code a picture: its mean level."""
GOOD = MEAN + "x = Constant <value = int64[1] {1}> () u = Unsqueeze (m, x) patch_codes = Cast <to = 6> (u)"


def write(folder: Path, encoder: str = GOOD, **changes: Any) -> Path:
    """A bundle of graphs written by hand: 256 codes, one for a picture of 16×16 pixels."""
    for name, text in (("encoder", ENCODER.replace("%s", encoder)), ("decoder", DECODER)):
        onnx.save(onnx.parser.parse_model(text), folder / f"{name}.onnx")
    manifest = {
        "format": "tatok-bundle",
        "formatVersion": 2,
        "name": "by hand",
        "version": "1",
        "licence": "MIT",
        "image": {"width": 16, "height": 16, "patch": 16},
        "streams": [{"name": "patch_codes", "kind": "grid", "rows": 1, "columns": 1, "codebook": "codes"}],
        "codebooks": {"codes": {"kind": "vq", "size": 256}},
        "graphs": {"encoder": "encoder.onnx", "decoder": "decoder.onnx"},
        "files": [file_entry(folder / f"{name}.onnx") for name in ("encoder", "decoder")],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


def test_a_bundle_written_by_hand_keeps_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(write(tmp_path))]) == 0
    assert "keeps the bundle contract" in capsys.readouterr().out


def test_every_violation_is_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path)
    (tmp_path / "encoder.onnx").unlink()
    (tmp_path / "decoder.onnx").write_bytes(b"x" * (tmp_path / "decoder.onnx").stat().st_size)
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "tatok: encoder.onnx is listed in files and is not in the folder.",
        "decoder.onnx has another SHA-256 than the manifest says.",
    ]


STREAM = {"name": "patch_codes", "kind": "grid", "rows": 1, "columns": 1, "codebook": "codes"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image": {"width": 24, "height": 16, "patch": 16}}, "image: patches of 16 pixels do not tile 24×16 pixels"),
        ({"streams": [STREAM | {"codebook": "no"}]}, "patch_codes names the codebook no, which is not among codebooks"),
        ({"streams": [STREAM | {"rows": 2}]}, "streams: no grid has the 1 rows and 1 columns of the image's patches"),
        ({"streams": [STREAM, STREAM]}, "streams: two have the same name"),
        ({"attention": {"layers": 1, "heads": 1}}, "attention: is that of a sequence's tokens"),
        ({"expected": {"dimensions": 3}}, "expected: goes with an entropy graph"),
        ({"graphs": {"encoder": "../encoder.onnx", "decoder": "decoder.onnx"}}, "graphs.encoder: String should match pattern"),
        ({"graphs": {"encoder": "other.onnx", "decoder": "decoder.onnx"}}, "files: must list other.onnx"),
        ({"codebooks": {"codes": {"kind": "vq", "size": 256, "file": "a.npy"}}}, "dimensions and file go together"),
        ({"formatVersion": 3}, "has format version 3: 1 and 2 can be read"),
        ({"codebooks": {"codes": {"kind": "vq", "size": 8}}}, "patch_codes has codes from"),
    ],
)
def test_a_wrong_manifest_is_told(tmp_path: Path, changes: dict[str, Any], problem: str):
    assert any(problem in sentence for sentence in check_bundle(write(tmp_path, **changes)))


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        # The mean over the batch in place of the picture's.
        (
            "f = Cast <to = 1> (image) a = Constant <value = int64[4] {0, 1, 2, 3}> () m = ReduceMean <keepdims = 0> (f, a) "
            "s = Shape <start = 0, end = 1> (image) o = Constant <value = int64[1] {1}> () e = Concat <axis = 0> (s, o) "
            "x = Expand (m, e) patch_codes = Cast <to = 6> (x)",
            "patch_codes of a picture depends on the others in its batch",
        ),
        (
            MEAN + "r = RandomUniformLike <high = 200.0> (m) x = Constant <value = int64[1] {1}> () u = Unsqueeze (r, x) "
            "patch_codes = Cast <to = 6> (u)",
            "patch_codes changes from run to run",
        ),
        (
            MEAN + "y = Neg (m) x = Constant <value = int64[1] {1}> () u = Unsqueeze (y, x) patch_codes = Cast <to = 6> (u)",
            "patch_codes has codes from -",
        ),
        ("patch_codes = Constant <value = int32[1, 1] {3}> ()", "the output patch_codes takes a batch of 1 only"),
    ],
)
def test_a_wrong_encoder_is_told(tmp_path: Path, encoder: str, problem: str):
    assert any(problem in sentence for sentence in check_bundle(write(tmp_path, encoder)))


def test_other_names_and_types_than_promised_are_told(tmp_path: Path):
    streams = [{"name": "global_codes", "kind": "sequence", "tokens": 1, "codebook": "codes", "prefix": True}]
    problems = check_bundle(write(tmp_path, streams=streams))
    assert set(problems) == {
        "encoder.onnx has no output global_codes, which the manifest promises: int32 or int64 [batch, 1].",
        "decoder.onnx has no input global_codes, which the manifest promises: int32 or int64 [batch, 1].",
        "decoder.onnx has no input keep_global, which the manifest promises: bool [batch, 1].",
        "decoder.onnx wants an input patch_codes that the format does not have for this manifest.",
    }


CASES = json.loads((ROOT / "test/fixtures/manifests.json").read_text(encoding="utf-8"))
"""Manifests that are accepted and refused here and by the inspector: a whole one, and what the others change of it."""


@pytest.mark.parametrize("change", [pytest.param(case["change"], id=case["name"]) for case in CASES["accepted"]])
def test_manifests_that_the_inspector_accepts_are_accepted(change: dict[str, Any]):
    Manifest.model_validate(CASES["manifest"] | change)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES["refused"]])
def test_manifests_that_the_inspector_refuses_are_refused(case: dict[str, Any], tmp_path: Path):
    (tmp_path / "manifest.json").write_text(json.dumps(CASES["manifest"] | case["change"]), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(case.get("reason", "manifest.json"))):
        read_manifest(tmp_path)


def test_the_published_schema_is_that_of_the_definitions():
    """`python -c "from tatok.bundle.format import *; print(json_schema(), end='')"` writes it anew."""
    assert (ROOT / "models/manifest.schema.json").read_text(encoding="utf-8") == json_schema()


@pytest.mark.parametrize("name", ["tatok-s-256", "fixed-256", "fixed-57"])
def test_manifests_of_format_1_map_into_format_2(name: str):
    manifest = read_manifest(ROOT / "models" / name)
    given = json.loads((ROOT / "models" / name / "manifest.json").read_text())
    tokens = {stream.name: int(np.prod(stream.shape)) for stream in manifest.streams}
    assert tokens.get("global_codes", 0) == given["globalTokens"]
    assert tokens.get("patch_codes", 0) == given["patchTokens"]
    assert manifest.codebooks["codes"] == FsqCodebook(levels=given["codebook"]["levels"])
    assert (manifest.estimated is None) == ("entropy" not in given["graphs"])


def test_the_shipped_bundle_with_an_entropy_model_keeps_the_contract():
    assert check_bundle(ROOT / "models" / "tatok-s-256") == []


def test_a_manifest_is_the_same_after_reading_and_writing(grid_bundle: Path):
    text = (grid_bundle / "manifest.json").read_text(encoding="utf-8")
    assert Manifest.model_validate_json(text).to_json() == text


def test_weights_beyond_one_file_lie_beside_the_graph_and_must_be_listed(grid_bundle: Path, table: Tensor, tmp_path: Path):
    for file in grid_bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    files = save_graph(onnx.load(tmp_path / "encoder.onnx"), tmp_path / "encoder.onnx", one_file_bytes=1000)
    assert [file.name for file in files] == ["encoder.onnx", "encoder.onnx.data"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    kept = [entry for entry in manifest["files"] if entry["path"] != "encoder.onnx"]
    manifest["files"] = [*kept, file_entry(files[0])]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert check_bundle(tmp_path) == ["encoder.onnx has weights in encoder.onnx.data, which files does not list."]
    manifest["files"].append(file_entry(files[1]))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert check_bundle(tmp_path) == []
