"""Muon (Jordan et al., 2024) for many matrices of few shapes.

`torch.optim.Muon` computes the same update, but orthogonalises one matrix after another. A transformer has dozens of equal
shape, each too small to fill a GPU, so here those of one shape are orthogonalised as one batch: for the 72 matrices of
`tatok-s-256`, 60 products of matrices and 716 operators a step in place of 1,080 and 3,600 (PyTorch 2.15's profiler on a CPU).
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

MOMENTUM = 0.95
_ITERATIONS = 5
# The quintic of the reference implementation: its slope at 0 is as steep as it can be.
_A, _B, _C = 3.4445, -4.775, 2.0315
_EPSILON = 1e-7


def orthogonalise(matrices: Tensor) -> Tensor:
    """Newton–Schulz iteration in bfloat16: [n, rows, columns] -> the nearest semi-orthogonal matrices, approximately."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    if tall:
        x = x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_EPSILON)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum 0.95 with Nesterov's look-ahead, orthogonalised; steps have the root mean square of AdamW's."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One update of every matrix that has a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for (rows, columns), parameters in shapes.items():
                update = orthogonalise(torch.stack(self._look_ahead(parameters)))
                # 0.2·√max(rows, columns) makes the root mean square of the step that of AdamW (Liu et al., 2025).
                scale = -group["lr"] * 0.2 * max(rows, columns) ** 0.5
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, list(update.to(parameters[0].dtype).unbind()), alpha=scale)

    def _look_ahead(self, parameters: list[Tensor]) -> list[Tensor]:
        """Updates the momenta; returns the gradients moved towards them."""
        gradients = [p.grad for p in parameters]
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        momenta = [self.state[p]["momentum_buffer"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        return list(torch._foreach_lerp(gradients, momenta, MOMENTUM))
