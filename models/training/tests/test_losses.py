import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from tatok import features
from tatok.evaluation.frechet import FrechetDistance
from tatok.features import (
    EfficientNetLite,
    LiteDistance,
    SqueezeNetDistance,
    perceptual_identity,
    read_squeezenet,
    upstream_efficientnet_lite,
)
from tatok.model import NO_LEVEL, entropy_bits, surprisal_bits
from tatok.quantizer import FiniteScalarQuantizer
from tatok.training.losses import flat_area_roughness, rate_bits, scale_gradient, weave, weave_excess

torch.manual_seed(0)
LOGITS = torch.randn(2, 5, 4, 8)
EIGHTS = torch.tensor([8, 8, 8, 8])


def test_rate_at_a_level_is_its_surprisal():
    levels = torch.randint(8, (2, 5, 4))
    assert torch.allclose(rate_bits(LOGITS, levels.float(), EIGHTS), surprisal_bits(LOGITS, levels), atol=1e-5)


def test_rate_between_levels_is_their_mixture_and_pulls_to_the_likelier():
    logits = torch.zeros(1, 1, 1, 8)
    logits[..., 3] = 2.0
    position = torch.tensor([[[2.25]]], requires_grad=True)
    rate = rate_bits(logits, position, EIGHTS[:1])
    bits = -torch.log_softmax(logits, -1)[0, 0, 0] / math.log(2)
    assert rate.item() == pytest.approx((0.75 * bits[2] + 0.25 * bits[3]).item(), abs=1e-5)
    rate.sum().backward()
    assert position.grad.item() < 0


def test_entropy_is_the_expected_surprisal_over_all_codes():
    logits = LOGITS[:1, :1]
    codes = torch.cartesian_prod(*[torch.arange(8)] * 4)
    bits = surprisal_bits(logits.expand(1, len(codes), 4, 8), codes[None])[0].double()
    assert (bits * 2**-bits).sum().item() == pytest.approx(entropy_bits(logits).item(), abs=1e-3)
    assert entropy_bits(torch.zeros(1, 1, 4, 8)).item() == pytest.approx(12)


def test_expectation_of_a_certain_level_is_its_coordinate():
    logits = torch.full((8, 8), -50.0).fill_diagonal_(50.0)
    quantizer = FiniteScalarQuantizer((8,))
    assert torch.allclose(quantizer.expectation(logits[:, None]).squeeze(-1), torch.linspace(-1, 1, 8), atol=1e-5)


def test_dimensions_may_have_fewer_levels():
    """An entropy model that knows nothing gives every level that exists the same share."""
    quantizer = FiniteScalarQuantizer((8, 4))
    logits = torch.where(quantizer.exists, 0.0, NO_LEVEL)
    assert entropy_bits(logits[None, None]).item() == pytest.approx(5)
    assert torch.allclose(quantizer.expectation(logits), torch.zeros(2), atol=1e-6)
    top = torch.tensor([[[7.0, 3.0]]])
    assert rate_bits(logits[None, None], top + 0.4, quantizer.levels).item() == pytest.approx(5)
    certain = logits.clone()
    certain[:, 3] = 60
    assert torch.allclose(quantizer.expectation(certain), torch.tensor([-1 / 7, 1.0]), atol=1e-6)


def test_texture_is_rough_where_the_image_is_flat():
    grid = torch.zeros(1, 3, 64, 64)
    grid[..., ::2, ::2] = 0.1
    flat, noise = torch.zeros_like(grid), torch.randn(grid.shape, generator=torch.Generator().manual_seed(0)) * 0.3
    assert flat_area_roughness(flat, flat) == 0
    assert flat_area_roughness(flat + 0.5, flat) < 1e-6
    on_flat = flat_area_roughness(grid, flat)
    assert on_flat > 0.03
    assert flat_area_roughness(noise + grid, noise) < 0.01 * on_flat


def test_scaled_gradient():
    x = torch.ones(3, requires_grad=True)
    y = scale_gradient(x, 0.25)
    assert torch.equal(y, x)
    y.sum().backward()
    assert x.grad.tolist() == [0.25] * 3


def compressed(arrays: dict[str, np.ndarray]) -> bytes:
    """Weights in the format of Deep Compression, written weight by weight; all are values of one codebook, whose first is 0."""
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in arrays))
    counts, body = [], b""
    for name in names:
        weight = arrays[f"{name}.weight"].astype(np.float32)
        codebook = np.unique(np.append(weight, 0.0))
        codebook = np.concatenate([[0.0], codebook[codebook != 0]])
        index = {value: code for code, value in enumerate(codebook)}
        codes, gaps, last = [], [], -1
        for place in np.flatnonzero(weight).tolist():
            while place - last > 16:
                codes.append(0)
                gaps.append(15)
                last += 16
            codes.append(index[weight.flat[place]])
            gaps.append(place - last - 1)
            last = place
        counts.append(len(codes))
        pairs = np.array([*gaps, 0][: len(gaps) + len(gaps) % 2], np.uint8).reshape(-1, 2)
        parts = (
            np.append(codebook, np.zeros(256 - len(codebook))).astype("<f4"),
            arrays[f"{name}.bias"].astype("<f4"),
            np.array(codes, np.uint8),
            pairs[:, 0] + 16 * pairs[:, 1],
        )
        body += b"".join(part.tobytes() for part in parts)
    return np.array(counts, "<u4").tobytes() + body


def test_squeezenet_is_read_as_it_was_released(perceptual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Codes of few weights, and gaps between them of which some are longer than a code of them."""
    generator = np.random.default_rng(0)
    shapes = {name: array.shape for name, array in np.load(perceptual).items()}
    shapes |= {"classifier.1.weight": (1000, 512, 1, 1), "classifier.1.bias": (1000,)}
    arrays = {
        name: (generator.integers(1, 9, shape) * (generator.random(shape) < 0.02)).astype(np.float32)
        for name, shape in shapes.items()
    }
    path = tmp_path / "compressed_SqueezeNet.net"
    path.write_bytes(compressed(arrays))
    with pytest.raises(ValueError, match="has not the weights of SqueezeNet"):
        read_squeezenet(path)
    np.savez(tmp_path / "same.npz", **arrays)
    digest = re.search(r"\((\w+)…\)", _identity(tmp_path / "same.npz", monkeypatch)).group(1)
    assert _identity(path, monkeypatch) == f"SqueezeNet 1.0 ({digest}…)"
    read = read_squeezenet(path)
    assert read.keys() == arrays.keys()
    assert all(np.array_equal(read[name], array) for name, array in arrays.items())


def _identity(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The identity of weights that the test takes for the right ones."""
    read = features._decompressed(path) if path.suffix == ".net" else dict(np.load(path))
    monkeypatch.setattr(features, "SQUEEZENET_SHA256", features._digest(read))
    return perceptual_identity(path)


@pytest.mark.parametrize("name", ["squeezenet.npz", "compressed_SqueezeNet.net"])
def test_a_file_that_is_no_squeezenet_is_one_sentence(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"<html>")
    with pytest.raises(
        ValueError, match=r"is not an archive of arrays|is neither an \.npz file nor compressed_SqueezeNet\.net"
    ):
        read_squeezenet(tmp_path / name)
    with pytest.raises(OSError, match="No such file"):
        read_squeezenet(tmp_path / f"absent-{name}")


def test_torchvisions_squeezenet_is_refused(tmp_path: Path):
    """It has the same names and shapes."""
    weights = torchvision.models.squeezenet1_0().state_dict()
    np.savez(tmp_path / "torchvision.npz", **{name: value.numpy() for name, value in weights.items()})
    with pytest.raises(ValueError, match="torchvision's are others"):
        SqueezeNetDistance(tmp_path / "torchvision.npz")


@pytest.fixture
def distance(perceptual: Path) -> SqueezeNetDistance:
    return SqueezeNetDistance(perceptual)


def test_perceptual_distance_is_zero_only_for_equal_images_and_grows_with_noise(distance: SqueezeNetDistance):
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    noise = torch.randn_like(image)
    assert distance(image, image).abs().max() < 1e-6
    near, far = (distance((image + scale * noise).clamp(-1, 1), image) for scale in (0.05, 0.5))
    assert (near > 0).all()
    assert (far > near).all()
    assert (far < 2).all()


def test_frechet_distance_is_that_of_the_two_gaussians(distance: SqueezeNetDistance):
    images = torch.randint(256, (40, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    darker = (images * 0.6).to(torch.uint8)
    of_pairs, of_same = (FrechetDistance(distance, images.device) for _ in range(2))
    for i in range(0, 40, 10):
        of_pairs.update(images[i : i + 10], darker[i : i + 10])
        of_same.update(images[i : i + 10], images[i : i + 10])
    with torch.no_grad():
        a, b = (distance.pooled(x / 127.5 - 1).double().numpy() for x in (images, darker))
    covariance_a, covariance_b = np.cov(a.T), np.cov(b.T)
    # tr((Σa Σb)^½) from the singular values of Σa^½ Σb^½.
    roots = [
        vectors * np.sqrt(values.clip(0)) @ vectors.T for values, vectors in map(np.linalg.eigh, (covariance_a, covariance_b))
    ]
    overlap = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap
    assert of_pairs.compute() == pytest.approx(wanted, rel=0.01)
    assert of_same.compute() == pytest.approx(0, abs=0.01 * wanted)


def photograph_crops(photograph: np.ndarray, side: int = 128) -> torch.Tensor:
    places = range(0, min(photograph.shape[:2]) - side, 64)
    crops = np.stack([photograph[i : i + side, i : i + side] for i in places])
    return torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1


def test_weave_is_what_neighbouring_patches_share_whatever_its_place(photograph: np.ndarray):
    images = photograph_crops(photograph)
    tile = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.1
    woven = images + tile.tile(8, 8)
    assert weave(images, images, 16) == 0
    assert weave(images + 0.2, images, 16) < 1e-9
    of_tile = (tile - tile.mean((1, 2), keepdim=True)).square().mean()
    assert weave(woven, images, 16).item() == pytest.approx(of_tile.item(), rel=1e-3)
    # A weave whose sign changes halfway has no mean over the whole picture; windows see it.
    halves = torch.cat([tile.tile(8, 4), -tile.tile(8, 4)], 2)
    assert weave(images + halves, images, 16) > 0.6 * of_tile
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    assert weave(images + noise, images, 16) < 0.1 * of_tile


def test_excess_at_the_grids_frequencies_is_that_of_their_neighbours(photograph: np.ndarray):
    """Against NumPy's own transform, frequency by frequency."""
    images = photograph_crops(photograph)
    tile = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.05
    woven = images + tile.tile(8, 8)
    luma = np.einsum("nchw,c->nhw", woven.numpy().astype(np.float64), [0.299, 0.587, 0.114])
    power = (np.abs(np.fft.fft2(luma - luma.mean((1, 2), keepdims=True))) ** 2).mean(0)
    ratios = []
    for row in range(8, 128, 8):
        for column in range(8, 64, 8):
            if row == 64:
                continue
            square = [
                power[(row + a) % 128, (column + b) % 128] for a in range(-2, 3) for b in range(-2, 3) if (a, b) != (0, 0)
            ]
            ratios.append(max(0, 10 * np.log10(power[row, column] / np.mean(square))))
    assert weave_excess(woven, 16).item() == pytest.approx(np.mean(ratios), rel=0.01)
    assert np.mean(ratios) > 5
    assert weave_excess(images, 16) < 1.5


@pytest.mark.parametrize(("variant", "side"), [(0, 224), (1, 240)])
def test_efficientnet_lite_answers_as_the_published_module(variant: int, side: int, photograph: np.ndarray):
    """At each network's own size: the published module's padding is right for that one alone."""
    images = photograph_crops(photograph, side)
    with torch.no_grad():
        taps, logits = EfficientNetLite(variant)(images)
        wanted = upstream_efficientnet_lite(variant)(((images + 1) * 127.5 - 127) / 128)
    assert torch.allclose(logits, wanted, atol=1e-3)
    assert [-(-side // t.shape[-1]) for t in taps] == [2, 4, 8, 16, -(-side // -(-side // 32))]


@pytest.mark.parametrize("offset", [(0.3, 0.6), (0.7, 0.6)], ids=["whole picture scaled down", "whole picture as it is"])
def test_a_blurred_photograph_is_further_in_features_and_in_answer(photograph: np.ndarray, offset: tuple[float, float]):
    images = photograph_crops(photograph)
    distance = LiteDistance()
    blurred = [torch.nn.functional.avg_pool2d(images, k, stride=1, padding=k // 2) for k in (3, 9)]
    (near, near_answer), (far, far_answer) = (distance(b, images, offset) for b in blurred)
    assert distance(images, images, offset)[0] < 1e-6
    assert 0 < near < far
    assert 0 < near_answer < far_answer
