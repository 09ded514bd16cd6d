"""Metrics of networks whose weights a user gives by path: LPIPS, and rFID, IS, KID, precision and recall of Inception.

The weights are other people's and are not part of this project; torchmetrics and torch-fidelity compute the figures.
"""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..bundle.manifest import file_entry

_INSTALL = "pip install 'tatok[reference-metrics]'"
_FIRST_LAYERS = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}
_FIDELITY_NAMES = {
    "rfid": "frechet_inception_distance",
    "inception_score": "inception_score_mean",
    "kid": "kernel_inception_distance_mean",
    "precision": "precision",
    "recall": "recall",
}
INCEPTION_FIGURES = tuple(_FIDELITY_NAMES)
_NEIGHBOURS = 3
"""Of precision and recall: the k-th nearest neighbour bounds a sample's part of the manifold (Kynkäänniemi et al., 2019)."""
_SPLITS, _SUBSET = 10, 1000
LEAST_IMAGES = 2 * _SPLITS
"""Fewer cannot be split for the Inception score."""


class Lpips:
    """LPIPS 0.1 (Zhang et al., 2018) with the learned linear layers of torchmetrics and a backbone given by path."""

    def __init__(self, weights: Path) -> None:
        """`weights` is torchvision's state dict of AlexNet or VGG16. Raises ValueError for another file."""
        try:
            # The public class downloads its backbone; this one can be filled from a file.
            from torchmetrics.functional.image.lpips import _LPIPS
        except ImportError as error:
            raise ValueError(f"LPIPS needs torchvision: {_INSTALL}") from error
        state = _state_dict(weights)
        first = state.get("features.0.weight")
        kind = None if first is None else _FIRST_LAYERS.get(tuple(first.shape))
        if kind is None:
            raise ValueError(f"{weights} is no state dict of torchvision's AlexNet or VGG16, the backbones of LPIPS")
        try:
            self._network = _LPIPS(net=kind, pnet_rand=True).eval()
        except ModuleNotFoundError as error:
            raise ValueError(f"LPIPS needs torchvision: {_INSTALL}") from error
        _fill(self._network.net, state, weights)
        self.name, self.sha256 = f"LPIPS ({kind})", file_entry(weights)["sha256"]

    def to(self, device: torch.device) -> "Lpips":
        self._network.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """[B, 3, S, S] in [−1, 1] twice -> [B]."""
        return self._network(a, b).flatten()

    def description(self) -> dict[str, str]:
        """Name and SHA-256 of the backbone's file, as the report carries them."""
        return {"name": self.name, "sha256": self.sha256}


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    # PyTorch raises nearly anything for a file of another kind.
    except Exception as error:
        raise ValueError(f"{path} is no PyTorch file of weights: {error}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} is no state dict")
    return state


def _fill(backbone: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """The backbone's slices keep the numbers that torchvision gives its layers."""
    layers = {name.partition(".")[2]: parameter for name, parameter in backbone.named_parameters()}
    missing = [name for name in layers if f"features.{name}" not in state]
    if missing:
        raise ValueError(f"{path} lacks features.{missing[0]}: it is a part of torchvision's network alone")
    with torch.no_grad():
        for name, parameter in layers.items():
            parameter.copy_(state[f"features.{name}"])


class InceptionFigures:
    """rFID, Inception score, KID, precision and recall of reconstructions, by torch-fidelity.

    The network is TensorFlow's Inception of 2015 in torch-fidelity's port; precision and recall are taken in its 2,048 pooled
    features, as ADM's evaluator does.
    """

    def __init__(self, weights: Path) -> None:
        """`weights` is torch-fidelity's `pt_inception-2015-12-05-….pth`. Raises ValueError for another file."""
        try:
            import torch_fidelity
        except ImportError as error:
            raise ValueError(f"rFID, IS, KID, precision and recall need torch-fidelity: {_INSTALL}") from error
        if "Conv2d_1a_3x3.conv.weight" not in _state_dict(weights):
            raise ValueError(f"{weights} is not torch-fidelity's Inception, pt_inception-2015-12-05-….pth")
        self._fidelity, self._weights = torch_fidelity, weights
        self.sha256 = file_entry(weights)["sha256"]
        self._cache = TemporaryDirectory(prefix="tatok-inception-")

    def __call__(self, reconstructions: np.ndarray, originals: np.ndarray, name: str) -> dict[str, float]:
        """uint8 [n, S, S, 3] twice. `name` is one of the originals: their features are computed once.

        Empty for fewer than 20 images. KID is the mean over 100 subsets of at most 1,000 images.
        """
        if len(originals) < LEAST_IMAGES:
            return {}
        with warnings.catch_warnings():
            # torch-fidelity passes arguments that PyTorch deprecates.
            warnings.simplefilter("ignore")
            figures = self._fidelity.calculate_metrics(
                input1=_Pictures(reconstructions),
                input2=_Pictures(originals),
                input2_cache_name=name,
                cache_root=self._cache.name,
                isc=True,
                fid=True,
                kid=True,
                prc=True,
                feature_extractor="inception-v3-compat",
                feature_extractor_weights_path=str(self._weights),
                isc_splits=_SPLITS,
                kid_subset_size=min(_SUBSET, len(originals)),
                prc_neighborhood=_NEIGHBOURS,
                cuda=torch.cuda.is_available(),
                save_cpu_ram=True,
                verbose=False,
            )
        return {ours: float(figures[theirs]) for ours, theirs in _FIDELITY_NAMES.items()}

    def description(self) -> dict[str, str]:
        """Name and SHA-256 of the weights, as the report carries them."""
        return {"name": f"Inception 2015 in torch-fidelity {self._fidelity.__version__}", "sha256": self.sha256}


class _Pictures(Dataset):
    def __init__(self, images: np.ndarray) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self._images[index]).permute(2, 0, 1).contiguous()
