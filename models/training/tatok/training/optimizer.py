"""Optimisers, the learning-rate schedule and the moving average of weights."""

import math

import torch
from torch import Tensor, nn

from ..config import TrainConfig
from .muon import Muon


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Those of `config.optimizer`; Muon is that of Jordan et al. (2024).

    Weight decay applies to matrices and convolutions only.
    """
    matrices, decayed, plain = [], [], []
    for name, parameter in model.named_parameters():
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


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to the final rate."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine


class MovingAverage:
    """Exponential moving average of parameters, with a warm-up so that early averages forget the initialisation."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters: list[Tensor] = [p.detach().float().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.parameters, [p.detach() for p in model.parameters()], 1 - decay)

    def load(self, model: nn.Module, averages: dict[str, Tensor]) -> None:
        self.parameters = [averages[name].to(p.device) for name, p in model.named_parameters()]

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """Averaged weights under the model's own names."""
        return {name: value for (name, _), value in zip(model.named_parameters(), self.parameters, strict=True)}
