"""The model as a library: `from tatok import TaTok`."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FIXTURES, ROOT, SAMPLES

from tatok import TaTok, Tokens
from tatok.config import TINY_MODEL, TrainConfig
from tatok.data.images import centre_crop
from tatok.filter import RANKINGS
from tatok.training.train import RunFiles, train
from tatok.weights import save_weights

FIXED = replace(TINY_MODEL, global_tokens=7, patch_codes=False, entropy_layers=0)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """The sample photographs, uint8 [4, 3, 64, 64]."""
    crops = [centre_crop(path, 64) for path in sorted(SAMPLES.glob("*.png"))]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("readme", "tokens"), [("README.md", "tokens"), ("models/training/README.md", "filtered")])
def test_the_readmes_examples_run(
    readme: str, tokens: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "models" / "training"))
    example = re.findall(r"```python\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)[0]
    names: dict[str, object] = {}
    exec(compile(example, readme, "exec"), names)
    assert names["reconstruction"].shape == (1, 3, 256, 256)
    kept = int(names[tokens].keep.sum())
    assert 0 < kept < 256
    assert capsys.readouterr().out.split()[0] == str(32 + kept)


def test_golden_codes_and_kept_masks_of_the_bundled_model_come_back():
    """The vectors that hold the inspector: the same codes, bits and kept sets, from pixels on."""
    record = json.loads((FIXTURES / "golden" / "golden.json").read_text())["images"][1]
    model = TaTok.from_pretrained(ROOT / "models" / "tatok-s-256")
    image = torch.from_numpy(centre_crop(ROOT / record["file"], 256).copy()).permute(2, 0, 1)[None]
    tokens = model.encode(image)
    assert (tokens.global_codes[0].numpy() != record["globalCodes"]).mean() <= 0.05
    assert (tokens.patch_codes[0].numpy() != record["patchCodes"]).mean() <= 0.01
    tokens = Tokens(torch.tensor([record["globalCodes"]]), torch.tensor([record["patchCodes"]]))
    np.testing.assert_allclose(model.estimate(tokens).entropy[0].numpy(), record["entropyBits"], atol=2e-3)
    kept = model.filter(tokens, record["settings"]["lossRate"]).keep[0].int().tolist()
    assert sum(a != b for a, b in zip(kept, record["keep"], strict=True)) <= 2
    wanted = torch.from_numpy(centre_crop(ROOT / record["reconstructionFile"], 256).copy()).permute(2, 0, 1)
    drawn = model.decode(model.filter(tokens, record["settings"]["lossRate"]))[0]
    assert (drawn.float() - wanted.float()).abs().mean() < 0.5


@pytest.mark.parametrize("ranking", RANKINGS)
def test_a_batch_is_its_images(model: TaTok, images: torch.Tensor, ranking: str):
    tokens = model.encode(images)
    together = model.filter(tokens, 0.5, ranking=ranking, images=images)
    decoded = model.decode(together)
    assert decoded.dtype == torch.uint8
    assert decoded.shape == images.shape
    for index in (0, 3):
        one = slice(index, index + 1)
        alone = model.filter(tokens[one], 0.5, ranking=ranking, images=images[one])
        assert torch.equal(alone.keep, together.keep[one])
        assert torch.allclose(alone.expected_code, together.expected_code[one], atol=1e-5)
        assert (model.decode(alone).int() - decoded[one].int()).abs().max() <= 1
    assert torch.equal(together.counts, 4 + together.keep.sum(1))
    given = None if ranking == "entropy" else together.keep
    assert torch.equal(together.expected_code, model.estimate(tokens, given).expected_code)


def test_the_ends_of_the_loss_rate_are_everything_and_nothing(model: TaTok, images: torch.Tensor):
    tokens = model.encode(images)
    assert tokens.counts.tolist() == [20] * 4
    assert torch.equal(model.decode(model.filter(tokens, 0.0)), model.decode(tokens))
    assert model.filter(tokens, 1.0).counts.tolist() == [4] * 4


@pytest.mark.parametrize("ranking", RANKINGS)
def test_no_filter_loses_more_bits_than_it_may(model: TaTok, images: torch.Tensor, ranking: str):
    images = images[:2]
    tokens = model.encode(images)
    kept = model.filter(tokens, 0.6, ranking=ranking, images=images).keep.numpy()
    for ranked, keep in zip(model.rank(tokens, ranking=ranking, images=images), kept, strict=True):
        lost = ranked.lost_bits
        assert lost[(~keep).sum()] <= 0.6 * lost[-1] < lost[(~keep).sum() + 1]


def test_floats_are_the_bytes_they_stand_for(model: TaTok, images: torch.Tensor):
    assert torch.equal(model.encode(images.float() / 255).patch_codes, model.encode(images).patch_codes)


def test_no_gradient_is_recorded_but_where_training_needs_it(model: TaTok, images: torch.Tensor):
    tokens = model.encode(images)
    assert not model.estimate(tokens).entropy.requires_grad
    positions = model.positions(images.float() / 127.5 - 1)
    assert all(p.requires_grad for p in positions)
    assert torch.equal(model.quantizer.codes(positions[1]), tokens.patch_codes)


def test_weights_come_back_out_of_every_kind_of_file(model: TaTok, tiny: TrainConfig, pack: Path, tmp_path: Path):
    model.save_pretrained(tmp_path / "model.safetensors")
    model.save_pretrained(tmp_path / "weights.npz")
    train(RunFiles(pack, tmp_path / "run"), replace(tiny, steps=1))
    for path, tolerance in ((tmp_path, 0.0), (tmp_path / "model.safetensors", 0.0), (tmp_path / "weights.npz", 2e-3)):
        again = TaTok.from_pretrained(path)
        assert again.config == model.config
        assert not again.training
        for name, value in model.state_dict().items():
            assert torch.allclose(again.state_dict()[name], value, rtol=0, atol=tolerance), (path, name)
    assert TaTok.from_pretrained(tmp_path / "run" / "checkpoint.pt").config == tiny.model


@pytest.mark.parametrize("name", ["tatok-s-256", "fixed-256", "fixed-57"])
def test_shipped_bundles_open(name: str):
    model = TaTok.from_pretrained(ROOT / "models" / name)
    assert model.config.global_tokens == {"tatok-s-256": 32, "fixed-256": 0, "fixed-57": 57}[name]
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(38.1e6, rel=0.01)


def test_a_model_of_fixed_length_encodes_and_decodes_but_drops_nothing(images: torch.Tensor):
    torch.manual_seed(0)
    model = TaTok(FIXED).eval()
    tokens = model.encode(images)
    assert tokens.patch_codes is None
    assert tokens.counts.tolist() == [7] * 4
    assert model.decode(tokens).shape == images.shape
    for question in (lambda: model.filter(tokens, 0.5), lambda: model.estimate(tokens)):
        with pytest.raises(ValueError, match="has no entropy model: its tokens cannot be dropped"):
            question()


def test_wrong_input_is_one_sentence(model: TaTok, images: torch.Tensor):
    tokens = model.encode(images)
    for wrong, message in (
        (lambda: model.encode(images[:, :, :32]), r"images are \[B, 3, 64, 64\], and these are \[4, 3, 32, 64\]"),
        (lambda: model.encode(images.int()), "uint8 or floats in"),
        (lambda: model.filter(tokens, 1.2), "is a share in"),
        (lambda: model.filter(tokens, 0.5, budget_bits=0.0), "number of bits above 0"),
        (lambda: model.filter(tokens, 0.5, ranking="global"), "the rankings are entropy, sequential, distortion"),
        (lambda: model.filter(tokens, 0.5, ranking="distortion"), "pass images"),
        (lambda: model.rank(tokens, ranking="sequential", rounds=0), "a ranking takes 1 round or more, and 0 is less"),
        (lambda: model.filter(tokens, 0.5, ranking="distortion", images=images[:2]), "of 4 images, and 2 images"),
        (lambda: model.decode(replace(tokens, patch_codes=tokens.patch_codes + 65536)), r"codes are in \[0, 65536\)"),
        (lambda: model.decode(replace(tokens, keep=tokens.patch_codes > 0)), "belong together"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            wrong()
        assert "\n" not in str(caught.value)


def test_files_that_hold_no_model_are_named(model: TaTok, tmp_path: Path):
    (tmp_path / "broken.safetensors").write_text("no")
    (tmp_path / "broken.npz").write_text("no")
    (tmp_path / "weights.bin").write_text("no")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    save_weights(tmp_path / "other.safetensors", replace(TINY_MODEL, width=64), model.state_dict())
    for name, message in (
        ("", "holds no model"),
        ("broken.safetensors", "is not a safetensors file"),
        ("broken.npz", "is not an archive of TaTok weights"),
        ("other.npz", "is not an archive of TaTok weights"),
        ("weights.bin", r"those end in \.safetensors, \.npz, \.pt"),
        ("other.safetensors", "do not fit the configuration beside them"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            TaTok.from_pretrained(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(OSError, match="there is no"):
        TaTok.from_pretrained(tmp_path / "absent")
