"""Sets of pictures against each other in the features of one network: Fréchet distance, precision and recall, neighbours.

Features are [n, F] float, a row a picture.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..features import EfficientNetLite
from .recognition import INPUT_SIDE

LITE0 = "EfficientNet-Lite0, 1,280 features averaged over positions"
"""The network that is in no loss."""


class PooledFeatures:
    """The last features of EfficientNet-Lite0. Raises ValueError where it is not installed."""

    def __init__(self, device: torch.device) -> None:
        self._network = EfficientNetLite(0).to(device)
        self._device = device

    @torch.inference_mode()
    def __call__(self, batches: Iterable[Tensor]) -> Tensor:
        """Batches of uint8 [B, S, S, 3] -> [n, 1280] in host memory."""
        rows = []
        for images in batches:
            pixels = images.to(self._device).permute(0, 3, 1, 2).float()
            if pixels.shape[-1] != INPUT_SIDE:
                side = (INPUT_SIDE, INPUT_SIDE)
                pixels = F.interpolate(pixels, side, mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
            rows.append(self._network(pixels / 127.5 - 1)[0][-1].mean((2, 3)).cpu())
        return torch.cat(rows)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|μ_a − μ_b|² + tr(Σ_a + Σ_b − 2·(Σ_a·Σ_b)^½), between Gaussians fitted to two sets (Heusel et al., 2017).

    The trace of the root is the sum of the singular values of X_a·X_bᵀ, with centred features X = Σ^½ in its wide sense,
    Σ = XᵀX: no covariance is made, and few pictures take little time. With fewer pictures than features covariances are
    singular, and values compare only at the same numbers of pictures.
    """
    means, roots = [], []
    for features in (a.double(), b.double()):
        means.append(features.mean(0))
        root = (features - means[-1]) / (len(features) - 1) ** 0.5
        # Rᵀ·R is the covariance too, with no more rows than features.
        roots.append(root if len(root) <= root.shape[1] else torch.linalg.qr(root).R)
    product = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    traces = sum(root.square().sum() for root in roots)
    return float((means[0] - means[1]).square().sum() + traces - 2 * product)


class PrecisionRecall(NamedTuple):
    """Improved precision and recall (Kynkäänniemi et al., 2019)."""

    precision: float
    """Share of the generated pictures that lie within the real ones' neighbourhoods."""
    recall: float
    """Share of the real pictures that lie within the generated ones'."""


def precision_recall(real: Tensor, generated: Tensor, neighbours: int = 3) -> PrecisionRecall:
    """A picture's neighbourhood reaches to its k-th nearest of the same set, k = `neighbours`."""
    return PrecisionRecall(_covered(generated, real, neighbours), _covered(real, generated, neighbours))


def _covered(points: Tensor, centres: Tensor, neighbours: int) -> float:
    among = torch.cdist(centres, centres).fill_diagonal_(torch.inf)
    radius = among.topk(min(neighbours, len(centres) - 1), largest=False).values[:, -1]
    return float((torch.cdist(points, centres) <= radius).any(1).float().mean())


def nearest(points: Tensor, among: Tensor, rows: int = 1024) -> tuple[Tensor, Tensor]:
    """Distance of each point to its nearest of `among`, and which one that is: [n] and [n]."""
    found = [torch.cdist(points[k : k + rows], among).min(1) for k in range(0, len(points), rows)]
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])
