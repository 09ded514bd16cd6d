"""Loss terms: the differentiable rate, roughness of flat areas, and the weave of the patch grid."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


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


def weave(output: Tensor, image: Tensor, patch: int, window: int = 4) -> Tensor:
    """Mean square of the residual's mean over windows of patches, pixel of the patch by pixel: [B, 3, S, S] twice -> a scalar.

    Errors that neighbouring patches share at the same place within the patch form a weave. Windows of 4×4 patches, every second
    one, rather than the whole picture: a mean over the whole can be paid for with dots along the border.
    """
    residual = (output.float() - image.float()).unflatten(3, (-1, patch)).unflatten(2, (-1, patch))
    # [B, 3, rows, patch, columns, patch] -> [B, 3·patch², rows, columns]
    phases = residual.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    means = F.avg_pool2d(phases, window, stride=window // 2)
    # An error of the window's mean colour is no weave.
    means = means.unflatten(1, (3, -1))
    return (means - means.mean(2, keepdim=True)).square().mean()


def weave_excess(output: Tensor, patch: int, reach: int = 2) -> Tensor:
    """Power of luma at multiples of one cycle a patch, off the axes, over that of the frequencies around, in dB; excess over 0
    alone counts. [B, 3, S, S] in [−1, 1] -> a scalar; powers are means over the batch.
    """
    output = output.float()
    luma = (output * output.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    size = luma.shape[-1]
    power = torch.fft.fft2(luma - luma.mean((1, 2), keepdim=True)).abs().square().mean(0)
    around = F.avg_pool2d(F.pad(power[None, None], (reach,) * 4, mode="circular"), 2 * reach + 1, stride=1)[0, 0]
    around = (around * (2 * reach + 1) ** 2 - power) / ((2 * reach + 1) ** 2 - 1)
    step = size // patch
    rows = [m for m in range(step, size, step) if m != size // 2]
    index = torch.tensor(rows, device=power.device)
    peak, near = (x.index_select(0, index).index_select(1, index[: len(rows) // 2]) for x in (power, around))
    return (10 * torch.log10((peak + 1e-6) / (near + 1e-6))).clamp(min=0).mean()
