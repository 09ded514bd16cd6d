"""An entropy lens for a frozen tokenizer: backward elimination, filling in, and `python -m tatok lens`."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from conftest import SAMPLES
from lens_fixture import FIXTURE, SIZE, export_frozen, golden, image, uneven_lens
from PIL import Image

from tatok.bundle.check import check_bundle
from tatok.bundle.format import Manifest, read_manifest
from tatok.cli import main
from tatok.elimination import eliminate, given_others, kept_counts, quarters
from tatok.lens.fit import FitConfig, fit, hidden_nats, random_visible
from tatok.lens.frozen import Frozen
from tatok.lens.lens_graphs import FillGraph
from tatok.lens.network import FactoredCodes, Lens, TableCodes
from tatok.lens.sizes import LensSize


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for path in sorted(SAMPLES.glob("*.png"))[:3]:
        image = Image.open(path).convert("RGB").resize((192, 192))
        for index in range(8):
            left, top = 16 * (index % 4), 32 * (index // 4)
            image.crop((left, top, left + 96, top + 96)).resize((SIZE, SIZE)).save(folder / f"{path.stem}-{index}.png")
    (folder / "torn.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def frozen_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_frozen(tmp_path_factory.mktemp("frozen"))


@pytest.fixture(scope="module")
def bundle(frozen_bundle: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lens") / "out"
    options = ["--steps", "40", "--held-out", "6", "--batch", "8", "--threads", "1"]
    assert main(["lens", str(frozen_bundle), str(photographs), "--out", str(out), *options]) == 0
    return out


def test_tokens_of_one_part_are_no_neighbours():
    for rows, columns in ((1, 9), (4, 4), (5, 3)):
        part = quarters(rows, columns).reshape(rows, columns)
        assert (part[1:] != part[:-1]).all()
        assert (part[:, 1:] != part[:, :-1]).all()
        assert set(part.ravel()) <= {0, 1, 2, 3}


def test_the_entropy_given_the_others_hides_a_quarter_at_a_time():
    seen = []

    def estimate(visible: np.ndarray) -> np.ndarray:
        seen.append(visible[0].copy())
        return np.where(visible, 0, 10 + visible.sum(1, keepdims=True)).astype(np.float32)

    bits = given_others(estimate, np.ones((1, 16), dtype=bool), 4, 4)
    assert [v.sum() for v in seen] == [12, 12, 12, 12]
    assert (~np.stack(seen)).sum(0).tolist() == [1] * 16, "every token is hidden once"
    assert (bits == 22).all()


def test_elimination_drops_what_the_others_tell_first_and_never_neighbours_together():
    """A row of pairs that tell each other: one of each pair goes at first, the other costs its bits."""
    own = np.arange(1, 9, dtype=np.float64)
    partner = np.arange(8) ^ 1

    def estimate(visible: np.ndarray) -> np.ndarray:
        return np.where(visible, 0, np.where(visible[:, partner], 0.25, own)).astype(np.float32)

    (ranking,) = eliminate(estimate, 1, 1, 8, rounds=2)
    assert kept_counts(8, 2) == [2, 0]
    # The first round has six to drop: four of different pairs, then two that are left, in the order of their worth.
    first = ranking.order[:4].tolist()
    assert sorted(token // 2 for token in first) == [0, 1, 2, 3]
    assert sorted(ranking.order.tolist()) == list(range(8))
    assert np.isclose(ranking.lost_bits[4], sum(0.25 if (t ^ 1) not in ranking.order[:6] else own[t] for t in first))
    assert np.isclose(ranking.lost_bits[-1], own.sum())
    assert (np.diff(ranking.lost_bits) >= 0).all()
    assert ranking.keep(0.0).all()
    assert not ranking.keep(1.0).any()


def test_a_lens_learns_what_tokens_tell_of_each_other(frozen_bundle: Path, tmp_path: Path):
    """Pictures of one random code everywhere: one visible token tells all."""
    frozen = Frozen.open(frozen_bundle)
    torch.manual_seed(0)
    lens = Lens(frozen.manifest, frozen.stream, LensSize(32, 2, 1, 3e-3))
    codes = np.random.default_rng(0).integers(12, size=(256, 1)).repeat(16, 1).astype(np.int32)
    train, check = {"patch_codes": codes[:224]}, {"patch_codes": codes[224:]}
    config = FitConfig("tiny", 150, 16, 0)
    figures = fit(lens, train, check, config, tmp_path / "lens.pt", lambda _: None, device=torch.device("cpu"))
    assert figures is not None
    held_out = {"patch_codes": torch.from_numpy(codes[224:])}
    hidden = torch.zeros(32, 16, dtype=torch.bool)
    one = hidden.clone()
    one[:, 5] = True
    with torch.no_grad():
        alone, given = (float(lens.estimate(held_out, visible)[0].mean()) for visible in (hidden, one))
        code = lens.estimate(held_out, one)[2]
    assert alone > 2, "log2 12 = 3.6 bits where nothing is seen"
    assert given < 0.5
    assert (code.numpy() == codes[224:]).mean() > 0.95


def test_a_stopped_fit_goes_on_to_the_same_weights(frozen_bundle: Path, tmp_path: Path):
    frozen = Frozen.open(frozen_bundle)
    codes = {"patch_codes": np.random.default_rng(0).integers(12, size=(24, 16)).astype(np.int32)}
    config = FitConfig("tiny", 6, 4, 0)

    def run(checkpoint: Path, stop_after: int | None) -> Lens:
        torch.manual_seed(0)
        lens = Lens(frozen.manifest, frozen.stream, LensSize(16, 2, 1, 1e-3))
        asked = iter(range(100))
        ends = (lambda: next(asked) >= 2 * stop_after) if stop_after else (lambda: False)
        fit(lens, codes, codes, config, checkpoint, lambda _: None, device=torch.device("cpu"), stopped=ends)
        return lens

    whole = run(tmp_path / "whole.pt", None)
    run(tmp_path / "parts.pt", 2)
    assert 0 < torch.load(tmp_path / "parts.pt", weights_only=True)["step"] < 6
    parts = run(tmp_path / "parts.pt", None)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value)
    with pytest.raises(ValueError, match="a run with other options"):
        fit(whole, codes, codes, FitConfig("tiny", 7, 4, 0), tmp_path / "parts.pt", print, device=torch.device("cpu"))


def test_visible_sets_have_every_size_and_hide_one_token_at_least():
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.0, 0.5, 0.9999])
    assert random_visible(3, 16, shares, generator).sum(1).tolist() == [0, 8, 15]


def test_only_hidden_tokens_count(frozen_bundle: Path):
    frozen = Frozen.open(frozen_bundle)
    lens = Lens(frozen.manifest, frozen.stream, LensSize(16, 2, 1, 1e-3))
    codes = {"patch_codes": torch.zeros(1, 16, dtype=torch.int32)}
    visible = torch.ones(1, 16, dtype=torch.bool)
    visible[0, 3] = False
    surprisal = lens.estimate(codes, visible)[1].detach()
    assert (surprisal[visible] == 0).all()
    assert np.isclose(float(hidden_nats(lens, codes, visible).detach()) / np.log(2), float(surprisal.sum()), atol=1e-5)


def test_dropped_codes_become_those_that_are_expected():
    keep = torch.tensor([[True, False, False, True]])
    codes = torch.arange(4, dtype=torch.int64)[None]
    expected = torch.tensor([[9.0, 9.0, 2**24 - 1, 9.0]]).unsqueeze(-1)
    filled = FillGraph("patch_codes")(codes, expected, keep)
    assert filled.tolist() == [[0, 9, 2**24 - 1, 3]]
    assert filled.dtype == torch.int64


def test_the_code_to_fill_in_is_the_nearest_to_the_expectation():
    """Of levels one by one, and of vectors in their space; the likeliest where a table has no vectors, and on request."""
    levels = FactoredCodes((3, 4), 8)
    logits = torch.log(torch.tensor([[[[0.45, 0.1, 0.45, 1e-9], [0.1, 0.1, 0.2, 0.6]]]]))
    # Expectations of 1 and 2.3; the likeliest would be 0 or 2, and 3.
    assert levels.filling(logits, "expectation").tolist() == [[1 + 3 * 2]]
    assert levels.filling(logits + torch.tensor([0.1, 0, 0, 0]), "likeliest").tolist() == [[0 + 3 * 3]]
    table = TableCodes(3, 8, torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    likely = torch.log(torch.tensor([[[[0.45, 0.1, 0.45]]]]))
    assert table.filling(likely, "expectation").tolist() == [[1]]
    first = likely + torch.tensor([0.1, 0, 0])
    assert table.filling(first, "likeliest").tolist() == [[0]]
    assert TableCodes(3, 8).filling(first, "expectation").tolist() == [[0]]


def test_the_command_makes_a_bundle_that_keeps_the_contract(bundle: Path, frozen_bundle: Path):
    assert check_bundle(bundle) == []
    manifest = read_manifest(bundle)
    assert manifest.expected is not None
    assert (manifest.expected.given, manifest.expected.stream) == ("others", "patch_codes")
    assert manifest.defaults is not None
    assert 0 < manifest.defaults.loss_rate < 1
    assert (bundle / "encoder.onnx").read_bytes() == (frozen_bundle / "encoder.onnx").read_bytes()
    assert sorted(p.name for p in bundle.iterdir()) == [
        "decoder.onnx",
        "encoder.onnx",
        "entropy.onnx",
        "lens.json",
        "lens.md",
        "manifest.json",
    ]


def test_its_figures_are_of_photographs_that_were_held_out(bundle: Path):
    figures = json.loads((bundle / "lens.json").read_text())
    assert (figures["photographs"], figures["fittedTo"]) == (3, 18)
    assert len(figures["calibration"]) == 10
    assert set(figures["bits"]) == {"0", "0.25", "0.5", "0.75", "others"}
    curves = figures["curves"]["psnr"]
    assert set(curves) == {"backward elimination", "entropy given the others, in one pass", "random", "pixel variance"}
    assert all(list(row) == ["14", "12", "8", "4", "2"] for row in curves.values())
    text = (bundle / "lens.md").read_text()
    assert "| elimination over random, with 95 % interval |" in text


def test_the_decoder_fills_in_what_was_dropped_and_nothing_else(bundle: Path, frozen_bundle: Path):
    decoder = ort.InferenceSession(bundle / "decoder.onnx")
    plain = ort.InferenceSession(frozen_bundle / "decoder.onnx")
    codes = np.random.default_rng(0).integers(12, size=(3, 16)).astype(np.int32)
    expected = np.full((3, 16, 1), 7, dtype=np.float32)
    every = np.ones((3, 16), dtype=bool)
    (whole,) = decoder.run(["image"], {"patch_codes": codes, "expected_code": expected, "keep": every})
    np.testing.assert_array_equal(whole, plain.run(["image"], {"patch_codes": codes})[0])
    keep = every.copy()
    keep[:, 5] = False
    (filled,) = decoder.run(["image"], {"patch_codes": codes, "expected_code": expected, "keep": keep})
    replaced = codes.copy()
    replaced[:, 5] = 7
    np.testing.assert_array_equal(filled, plain.run(["image"], {"patch_codes": replaced})[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": {"kind": "vq", "size": 2**20}}, "too large: a lens takes up to 65,536"),
        ({"codes": {"kind": "bits", "bits": 30}}, "too large: a lens takes up to 16,777,216"),
        ({"codes": {"kind": "continuous", "dimensions": 2}}, "have no codes"),
    ],
)
def test_a_codebook_that_a_lens_cannot_read_is_refused(frozen_bundle: Path, change: dict, message: str):
    manifest = Manifest.model_validate(read_manifest(frozen_bundle).model_dump() | {"codebooks": change})
    with pytest.raises(ValueError, match=message):
        Lens(manifest, manifest.streams[0], LensSize(16, 2, 1, 1e-3))


@pytest.mark.parametrize("size", [4096, 16384])
def test_large_tables_of_vectors_have_one_logit_each(frozen_bundle: Path, size: int):
    books = {"codes": {"kind": "vq", "size": size, "dimensions": 8, "file": "codebook.npy"}}
    given = read_manifest(frozen_bundle).model_dump()
    files = [*given["files"], {"path": "codebook.npy", "bytes": 1, "sha256": "0" * 64}]
    manifest = Manifest.model_validate(given | {"codebooks": books, "files": files})
    vectors = np.random.default_rng(0).normal(size=(size, 8)).astype(np.float32)
    lens = Lens(manifest, manifest.streams[0], LensSize(16, 2, 1, 1e-3), {"codes": vectors})
    codes = {"patch_codes": torch.randint(size, (2, 16), generator=torch.Generator().manual_seed(0))}
    entropy, _, code = lens.estimate(codes, torch.zeros(2, 16, dtype=torch.bool))
    assert 0 < entropy.max() <= np.log2(size) + 1e-4
    assert code.shape == (2, 16)


def test_a_bundle_that_drops_tokens_already_is_refused(bundle: Path, photographs: Path, tmp_path: Path, capsys):
    assert main(["lens", str(bundle), str(photographs), "--out", str(tmp_path / "x")]) == 1
    assert "its tokens can be dropped as they are" in capsys.readouterr().err


def test_too_few_photographs_and_a_folder_with_a_bundle_are_refused(frozen_bundle: Path, bundle: Path, tmp_path: Path, capsys):
    assert main(["lens", str(frozen_bundle), str(tmp_path), "--out", str(tmp_path / "x")]) == 1
    assert "has 0 photographs: a lens needs 8 at least" in capsys.readouterr().err
    assert main(["lens", str(frozen_bundle), str(tmp_path), "--out", str(bundle)]) == 1
    assert "is a bundle already" in capsys.readouterr().err


def test_the_golden_values_of_the_inspector_are_those_of_the_network(frozen_bundle: Path):
    frozen = Frozen.open(frozen_bundle)
    stored = json.loads((FIXTURE / "golden.json").read_text())
    computed = golden(frozen, uneven_lens(frozen), image())
    for name in ("codes", "order", "keep", "filledCodes", "patchGreys"):
        assert computed[name] == stored[name], name
    for name in ("entropyBits", "surprisalBits", "cumulativeBits"):
        np.testing.assert_allclose(computed[name], stored[name], atol=2e-3)
    assert check_bundle(FIXTURE) == []
    assert 0 < sum(stored["keep"]) < 16
    assert np.ptp(stored["entropyBits"]) > 1, "entropies that differ"
