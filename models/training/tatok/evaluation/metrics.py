"""Image metrics on the device that holds the images."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

# ITU-R BT.601 luma, the grey of 8-bit image tools.
_LUMA = (0.299, 0.587, 0.114)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per image over all three channels, dB; infinite for equal images.

    uint8 [B, S, S, 3] twice -> [B].
    """
    return peak_signal_noise_ratio(a.float(), b.float(), data_range=255.0, dim=(1, 2, 3), reduction="none")


def reduced(image: Tensor, side: int) -> Tensor:
    """Images at side×side pixels: averaged down, and bicubically up again. uint8 [B, S, S, 3] -> the same.

    How good that is tells how much images hold, whatever the model. Folders differ in it by more than models do, so figures of
    two folders say little without it.
    """
    pixels = image.permute(0, 3, 1, 2).float()
    size = pixels.shape[-1]
    small = F.adaptive_avg_pool2d(pixels, side)
    back = F.interpolate(small, size=(size, size), mode="bicubic", align_corners=False)
    return back.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def luma(image: Tensor) -> Tensor:
    """uint8 [B, S, S, 3] -> 8-bit luma as float [B, 1, S, S]."""
    weights = torch.tensor(_LUMA, device=image.device)
    return (image.float() @ weights).round().unsqueeze(1)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al., 2004) on 8-bit luma: 11×11 Gaussian window of σ 1.5, population variance,
    borders where the window does not fit left out. uint8 [B, S, S, 3] twice -> [B].

    Not torchmetrics': with its borders cut off it agrees within 5e-6 on photographs, but a flat white image has 0.9992 with
    itself there in float32, and in float64 the same images took 13 times as long on a CPU.
    """
    x, y = luma(a), luma(b)
    offset = torch.arange(11, device=a.device, dtype=torch.float32) - 5
    window = torch.exp(-offset.square() / (2 * 1.5**2))
    window = (window / window.sum()).view(1, 1, 1, 11)

    def blur(image: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(image, window), window.transpose(2, 3))

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return values.mean((1, 2, 3))
