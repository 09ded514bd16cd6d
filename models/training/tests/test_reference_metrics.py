"""The way of images and weights into LPIPS and Inception, on random weights: the trained ones are not part of the project."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from tatok.evaluation.reference_metrics import LEAST_IMAGES, InceptionFigures, Lpips


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("lpips") / "alexnet.pth"
    torch.save(torchvision.models.alexnet().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=str(path))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def pictures(photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crops of a photograph, and the same with fewer grey levels."""
    generator = np.random.default_rng(0)
    corners = generator.integers(0, 400, (LEAST_IMAGES, 2))
    originals = np.stack([photograph[y : y + 64, x : x + 64] for y, x in corners])
    return originals, originals // 64 * 64 + 20


def test_lpips_is_the_published_sum_over_the_backbone_that_was_given(alexnet: Path, pictures: tuple[np.ndarray, np.ndarray]):
    a, b = (torch.from_numpy(x[:3].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1 for x in pictures)
    backbone = torchvision.models.alexnet()
    backbone.load_state_dict(torch.load(alexnet, weights_only=True))
    linear = torch.load(files("torchmetrics.functional.image") / "lpips_models/alex.pth", map_location="cpu", weights_only=True)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1), torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)

    def taps(image: torch.Tensor) -> list[torch.Tensor]:
        image, found = (image - shift) / scale, []
        for index, layer in enumerate(backbone.features.eval()):
            image = layer(image.clone())
            if index in (1, 4, 7, 9, 11):
                found.append(image / (image.square().sum(1, keepdim=True).sqrt() + 1e-8))
        return found

    with torch.inference_mode():
        terms = [
            ((x - y).square() * linear[f"lin{i}.model.1.weight"].view(1, -1, 1, 1)).sum(1).mean((1, 2))
            for i, (x, y) in enumerate(zip(taps(a), taps(b), strict=True))
        ]
    lpips = Lpips(alexnet)
    torch.testing.assert_close(lpips(a, b), torch.stack(terms).sum(0), rtol=1e-4, atol=1e-6)
    assert lpips(a, b).min() > 0
    assert lpips(a, a).abs().max() == 0


@pytest.fixture(scope="module")
def figures(inception: Path) -> InceptionFigures:
    return InceptionFigures(inception)


def test_inception_figures_are_those_of_their_definitions(
    figures: InceptionFigures, inception: Path, pictures: tuple[np.ndarray, np.ndarray]
):
    originals, coarse = pictures
    network = FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=str(inception))
    with torch.inference_mode():
        x, y = (network(torch.from_numpy(p.copy()).permute(0, 3, 1, 2))[0].double() for p in (coarse, originals))
    found = figures(coarse, originals, "crops")
    # The trace of the root of a product of covariances A·Aᵀ·B·Bᵀ is the nuclear norm of Aᵀ·B.
    a, b = ((v - v.mean(0)).T / (len(v) - 1) ** 0.5 for v in (x, y))
    means = (x.mean(0) - y.mean(0)).square().sum()
    frechet = means + a.square().sum() + b.square().sum() - 2 * torch.linalg.matrix_norm(a.T @ b, "nuc")
    assert found["rfid"] == pytest.approx(float(frechet), rel=0.02)

    def kernel(v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (v @ w.T / v.shape[1] + 1) ** 3

    n = len(x)
    within = sum((kernel(v, v).sum() - kernel(v, v).trace()) / (n * (n - 1)) for v in (x, y))
    assert found["kid"] == pytest.approx(float(within - 2 * kernel(x, y).mean()), rel=1e-3)
    # The radius of a sample is the distance to its third neighbour; the first is the sample itself.
    radius = torch.cdist(y, y).sort(1).values[:, 3]
    assert found["precision"] == pytest.approx(float((torch.cdist(x, y) <= radius).any(1).double().mean()))
    assert found["inception_score"] >= 1


def test_images_have_no_distance_to_themselves(figures: InceptionFigures, pictures: tuple[np.ndarray, np.ndarray]):
    found = figures(pictures[0], pictures[0], "crops")
    assert found["rfid"] == pytest.approx(0, abs=1e-3)
    assert (found["precision"], found["recall"]) == (1, 1)


def test_few_images_have_no_inception_figures(figures: InceptionFigures, pictures: tuple[np.ndarray, np.ndarray]):
    few = pictures[0][: LEAST_IMAGES - 1]
    assert figures(few, few, "few") == {}


def test_files_of_other_weights_are_refused(alexnet: Path, inception: Path, tmp_path: Path):
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    cut = tmp_path / "cut.pth"
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, cut)
    with pytest.raises(ValueError, match="no state dict of torchvision's AlexNet or VGG16"):
        Lpips(inception)
    with pytest.raises(ValueError, match="lacks features"):
        Lpips(cut)
    with pytest.raises(ValueError, match="is not torch-fidelity's Inception"):
        InceptionFigures(alexnet)
    for metric in (Lpips, InceptionFigures):
        with pytest.raises(ValueError, match="is no PyTorch file of weights"):
            metric(text)
        with pytest.raises(FileNotFoundError):
            metric(tmp_path / "absent.pth")
