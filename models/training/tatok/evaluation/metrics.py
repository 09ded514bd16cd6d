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


class Weave:
    """Power of luma at the patch grid's harmonics over that of the frequencies around, in dB, of all images together.

    A harmonic is a multiple of one cycle a patch in both directions, off the axes, below the Nyquist frequency; around it are
    the 24 frequencies that are at most two cycles an image away. Photographs are near 0 dB, a decoder's periodic texture shows
    as 5 to 20. The ratio is taken of powers that are averaged over images, then its decibels over harmonics.
    """

    _REACH = 2

    def __init__(self, size: int, columns: int) -> None:
        self._size, self._step, self._images = size, columns, 0
        self._power: Tensor | float = 0.0

    def update(self, images: Tensor) -> None:
        """uint8 [B, S, S, 3]."""
        grey = images.double() @ torch.tensor(_LUMA, device=images.device, dtype=torch.float64)
        spectrum = torch.fft.fft2(grey - grey.mean((1, 2), keepdim=True))
        self._power = self._power + spectrum.abs().square().sum(0)
        self._images += len(images)

    def decibels(self) -> float:
        """The mean over harmonics; 0 for flat images."""
        power = (self._power / self._images)[None, None]
        side = 2 * self._REACH + 1
        total = F.avg_pool2d(F.pad(power, [self._REACH] * 4, mode="circular"), side, stride=1) * side**2
        around = (total - power) / (side**2 - 1)
        harmonic = torch.arange(self._step, self._size // 2, self._step, device=power.device)
        both = torch.cat([harmonic, self._size - harmonic])
        # One half of the columns: the spectrum of real pixels is symmetric.
        at, near = (x[0, 0][both][:, harmonic] for x in (power, around))
        # Flat images have rounding errors alone, far below the power of one grey level at one pixel.
        return float((10 * torch.log10((at + 1e-6) / (near + 1e-6))).mean())
