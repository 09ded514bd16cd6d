"""Random changes of crops: a few thousand photographs stand for many."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """How far crops are changed."""

    colour: float
    """Exposure, contrast and saturation are each multiplied by 1 ± this at most."""
    sharpening: float
    """Greatest strength of an unsharp mask: photographs of short side 320 are softer than larger ones scaled down to 256."""
    turned: float
    """Share of crops that are transposed, which with flips makes the quarter turns."""
    mixed: float = 0.0
    """Share of crops of which one side, beyond a line drawn anywhere, is the next crop's: fewer whole pictures to remember."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Random numbers of one batch, [8, count] in [0, 1)."""
        return torch.rand(8, count, generator=generator, device=generator.device)

    def __call__(self, image: Tensor, draw: Tensor) -> Tensor:
        """[B, 3, S, S] in [−1, 1] and `draw` -> the same shape and range."""
        exposure, contrast, saturation, sharpness, turn, mix, line, upright = draw.view(8, -1, 1, 1, 1).unbind(0)
        image = torch.where(turn < self.turned, image.mT, image)
        if self.mixed:
            place = (torch.arange(image.shape[-1], device=image.device) + 0.5) / image.shape[-1]
            beyond = torch.where(upright < 0.5, place, place[:, None]) > line
            image = torch.where((mix < self.mixed) & beyond, image.roll(-1, 0), image)
        blurred = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        image = image + self.sharpening * sharpness * (image - blurred)
        # Exposure scales light, so about black.
        image = (image + 1) * self._factor(exposure) - 1
        image = image * self._factor(contrast)
        luma = (image * image.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)
        return (luma + (image - luma) * self._factor(saturation)).clamp(-1, 1)

    def _factor(self, draw: Tensor) -> Tensor:
        return 1 + self.colour * (2 * draw - 1)
