"""Optimisers, the learning-rate schedule and the moving average of weights."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..config import TrainConfig
from .muon import Muon


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Those of `config.optimizer`; Muon is that of Jordan et al. (2024).

    Weight decay applies to matrices and convolutions only. Parameters that need no gradient are left out.
    """
    matrices, decayed, plain = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or "position" in name or name.rsplit(".", 1)[-1] == "query":
            plain.append(parameter)
        elif config.optimizer == "muon" and ".blocks." in name and parameter.ndim == 2:
            matrices.append(parameter)
        else:
            decayed.append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    fused = next(model.parameters()).is_cuda
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=fused)
    ]
    if matrices:
        optimizers.append(Muon(matrices, config.learning_rate, config.weight_decay))
    return optimizers


def clip_gradient(parameters: Iterable[Tensor], limit: float) -> Tensor:
    """Scales the gradient down to a norm of at most `limit`; returns the norm that it had, on the device.

    A gradient with a number that is not finite becomes zero, and its norm says so: weights and their average stay finite, and
    nothing waits for the device to tell.
    """
    parameters = [p for p in parameters if p.grad is not None]
    norm = nn.utils.clip_grad_norm_(parameters, limit)
    # Clipping makes every number NaN where the norm is, and where it is infinite zero or NaN.
    for parameter in parameters:
        parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
    return norm


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to the final rate."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine


def batch_scale(crops: int, config: TrainConfig) -> float:
    """√(G / G₀) with G crops a step and G₀ = `reference_batch`; 1 where that is 0.

    The rule for optimisers whose steps do not grow with the gradient (Malladi et al., 2022, "On the SDEs and scaling rules for
    adaptive gradient algorithms"): AdamW, and Muon, whose steps have a norm of their own.
    """
    return math.sqrt(crops / config.reference_batch) if config.reference_batch else 1.0


def moving_average(model: nn.Module, decay: float, steps: int = 0) -> AveragedModel:
    """A copy of `model` whose weights are the exponential moving average of those after each step, `steps` of which are done.

    `update_parameters(model)` counts one step. The decay rises to `decay` as (1 + n) / (10 + n), so that early averages forget
    the initialisation.
    """

    def blend(averages: list[Tensor], weights: list[Tensor], _: Tensor) -> None:
        # The count given here is on the weights' device: reading it would wait for a GPU.
        done = int(average.n_averaged) - 1
        torch._foreach_lerp_(averages, weights, 1 - min(decay, (1 + done) / (10 + done)))

    average = AveragedModel(model, multi_avg_fn=blend)
    # At 0 the first step's weights would replace the initial ones.
    average.n_averaged.fill_(steps + 1)
    return average
