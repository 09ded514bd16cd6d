"""Loss terms: the differentiable rate, and a perceptual distance in named features."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rate_bits(logits: Tensor, position: Tensor, levels: Tensor) -> Tensor:
    """R: −Σ_d log2 q_d, linearly interpolated between the two levels around the encoder's continuous position, in bits.

    Its gradient moves a patch towards levels that q finds likelier, which is what gives entropy its meaning: nothing else
    tells the quantiser not to spend all log2 V bits everywhere. [B, N, D, L], [B, N, D] and the
    number of levels of each dimension, [D] -> [B, N].
    """
    last = (levels - 1).float()
    cost = -F.log_softmax(logits, dim=-1) / math.log(2)
    position = position.clamp(min=0).minimum(last)
    low = position.detach().floor().minimum(last - 1)
    share = position - low
    low = low.long().unsqueeze(-1)
    below, above = cost.gather(-1, low).squeeze(-1), cost.gather(-1, low + 1).squeeze(-1)
    return (below * (1 - share) + above * share).sum(-1)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.scale, None


def scale_gradient(x: Tensor, scale: float) -> Tensor:
    """x, whose gradient is multiplied by `scale`."""
    return _ScaleGradient.apply(x, scale)


FLAT = 0.03  # four levels of 255, where pixels are in [-1, 1]
"""Standard deviation up to which a place counts as flat."""


def flat_area_roughness(output: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of fine detail where the image has none: [B, 3, S, S] twice -> a scalar.

    Detail is what a 5×5 mean leaves; a place's error counts by exp(−(σ / `FLAT`)²) with σ the local deviation of the image.
    A loss in a network's features rewards texture for its own sake, which in a textured place passes and in a flat one shows
    (visual masking); here texture costs what it shows.
    """
    output, image = output.float(), image.float()
    fine, wanted = (x - _mean5(x) for x in (output, image))
    flatness = torch.exp(-_mean5(wanted.square()).mean(1, keepdim=True) / FLAT**2).detach()
    return (flatness * (fine - wanted).abs()).mean()


def _mean5(x: Tensor) -> Tensor:
    """Mean of 5×5 pixels around each; beyond the border there is nothing to average."""
    return F.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=False)


class SqueezeNetDistance(nn.Module):
    """Perceptual distance in SqueezeNet 1.0 features (ImageNet, Iandola et al. 2016).

    The weights are those of the original Caffe release, for BGR images of 0–255 minus a mean, under torchvision's names.
    Torchvision's own, for RGB images normalised otherwise, have the same shapes: they load without an error, and every distance
    is then another.

    Mean over five layers of the squared difference of channel-normalised features, as Zhang et al. (2018) without their
    learned weights; 0 for equal images, at most 2. It is neither LPIPS nor a Fréchet distance, and is never called so.
    """

    taps = (1, 4, 7, 10, 12)
    mean: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        stem: list[nn.Module] = [nn.Conv2d(3, 96, 7, stride=2), nn.ReLU(), pool()]
        early = [_Fire(96, 16, 64), _Fire(128, 16, 64), _Fire(128, 32, 128), pool()]
        middle = [_Fire(256, 32, 128), _Fire(256, 48, 192), _Fire(384, 48, 192), _Fire(384, 64, 256), pool()]
        self.features = nn.Sequential(*stem, *early, *middle, _Fire(512, 64, 256))
        # Caffe's BGR means of 0–255 images.
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1), persistent=False)
        state = {k: torch.from_numpy(v.astype(np.float32)) for k, v in np.load(weights).items() if k.startswith("features")}
        self.features.load_state_dict({k.removeprefix("features."): v for k, v in state.items()})
        self.requires_grad_(False)

    def _normalised(self, image: Tensor) -> list[Tensor]:
        x = (image.flip(1) + 1) * 127.5 - self.mean
        taps = []
        for index, layer in enumerate(self.features[: self.taps[-1] + 1]):
            x = layer(x)
            if index in self.taps:
                taps.append(x * torch.rsqrt(x.float().square().sum(1, keepdim=True) + 1e-6).to(x.dtype))
        return taps

    def pooled(self, image: Tensor) -> Tensor:
        """Features of the last tap averaged over positions: [B, 3, S, S] in [−1, 1] -> [B, 512]."""
        x = (image.flip(1) + 1) * 127.5 - self.mean
        return self.features[: self.taps[-1] + 1](x).mean((-1, -2))

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """[B, 3, S, S] twice, in [−1, 1] -> [B]; the gradient flows to `image` only."""
        with torch.no_grad():
            wanted = self._normalised(target)
        differences = [
            (a - b).float().square().sum(1).mean((-1, -2)) for a, b in zip(self._normalised(image), wanted, strict=True)
        ]
        return torch.stack(differences).mean(0)


class _Fire(nn.Module):
    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], dim=1)
