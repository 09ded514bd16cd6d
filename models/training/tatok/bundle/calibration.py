"""Calibration of ĥ: a temperature for the entropy model's logits (Guo et al., 2017), fitted on images kept out of training."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.images import eval_batches, list_images
from ..tokenizer import TaTok

_LOWEST, _HIGHEST = math.log(0.25), math.log(4)


def fit_temperature(logits: Tensor, levels: Tensor) -> float:
    """τ that minimises the cross-entropy of softmax(logits / τ): [..., L] logits and [...] integer levels.

    Cross-entropy is convex in 1/τ, so a ternary search over log τ finds its only minimum.
    """
    flat, target = logits.flatten(0, -2).double(), levels.flatten().long()

    def cost(log_temperature: float) -> float:
        return float(F.cross_entropy(flat / math.exp(log_temperature), target))

    low, high = _LOWEST, _HIGHEST
    while high - low > 1e-3:
        third = (high - low) / 3
        if cost(low + third) < cost(high - third):
            high -= third
        else:
            low += third
    return math.exp((low + high) / 2)


@torch.inference_mode()
def calibrate(model: TaTok, folder: Path, batch: int = 8) -> float:
    """Divides the entropy model's logits by the temperature that fits `folder`'s images, in its head; returns it."""
    if model.entropy_model is None:
        raise ValueError("a model without an entropy model has nothing to calibrate")
    logits, levels = [], []
    for images in eval_batches(list_images(folder), model.config.image_size, batch):
        tokens = model.encode(torch.from_numpy(images).permute(0, 3, 1, 2))
        logits.append(model.logits(tokens, torch.zeros_like(tokens.patch_codes, dtype=torch.bool)))
        levels.append(model.quantizer.code_levels(tokens.patch_codes))
    if not logits:
        raise ValueError(f"no images in {folder}")
    temperature = fit_temperature(torch.cat(logits), torch.cat(levels))
    model.entropy_model.head.weight /= temperature
    model.entropy_model.head.bias /= temperature
    return temperature
