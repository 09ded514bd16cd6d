"""Fréchet distance in SqueezeNet features. It is no FID: that name belongs to Inception's features."""

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from ..features import SqueezeNetDistance

MOST_FEATURES = 512
"""Channels of fire9, the last tap of the perceptual distance."""


class PooledFeatures(nn.Module):
    """uint8 [B, 3, S, S] -> [B, 512]: the last tap's features averaged over positions."""

    num_features = MOST_FEATURES

    def __init__(self, network: SqueezeNetDistance) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.pooled(image.float() / 127.5 - 1)


class FrechetDistance:
    """Between originals and reconstructions, batch by batch.

    Covariances of fewer images than features are singular: values are comparable between models on the same images only.
    """

    def __init__(self, network: SqueezeNetDistance, device: torch.device) -> None:
        self._metric = FrechetInceptionDistance(feature=PooledFeatures(network), normalize=False).to(device)

    @torch.inference_mode()
    def update(self, originals: Tensor, reconstructions: Tensor) -> None:
        """uint8 [B, 3, S, S] each."""
        self._metric.update(originals, real=True)
        self._metric.update(reconstructions, real=False)

    @torch.inference_mode()
    def compute(self) -> float:
        """Of all batches. Raises RuntimeError for fewer than two images."""
        return float(self._metric.compute())
