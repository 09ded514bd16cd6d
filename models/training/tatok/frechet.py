"""Fréchet distance in SqueezeNet features. It is no FID: that name belongs to Inception's features."""

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from .losses import SqueezeNetDistance

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


@torch.inference_mode()
def frechet_distance(network: SqueezeNetDistance, pairs: list[tuple[Tensor, Tensor]]) -> float:
    """Between the originals and the reconstructions of (originals, reconstructions) batches, uint8 [B, 3, S, S] each.

    Covariances of fewer images than features are singular: values are comparable between models on the same images only.
    """
    metric = FrechetInceptionDistance(feature=PooledFeatures(network), normalize=False).to(pairs[0][0].device)
    for originals, reconstructions in pairs:
        metric.update(originals, real=True)
        metric.update(reconstructions, real=False)
    return float(metric.compute())
