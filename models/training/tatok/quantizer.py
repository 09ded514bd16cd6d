"""Finite scalar quantisation (Mentzer et al., 2023) with equal bins, and its code arithmetic.

A code c in [0, V) is c = Σ_d level_d · Π_{j<d} L_j (dimension 0 fastest); a level l of a dimension with L levels has the
coordinate 2·l/(L−1) − 1 in [−1, 1].
"""

import torch
from torch import Tensor, nn

# Keeps tanh's image strictly inside the outermost rounding bins.
INSIDE = 0.999


class FiniteScalarQuantizer(nn.Module):
    """Bounds, rounds and renumbers vectors of len(levels) dimensions."""

    levels: Tensor
    strides: Tensor
    exists: Tensor
    grid: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        strides = [1]
        for level in levels[:-1]:
            strides.append(strides[-1] * level)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.int32), persistent=False)
        self.register_buffer("strides", torch.tensor(strides, dtype=torch.int32), persistent=False)
        # [D, L] with L = max(levels): a dimension with fewer levels leaves the end of its row unused.
        level = torch.arange(max(levels))
        self.register_buffer("exists", level < self.levels.unsqueeze(1), persistent=False)
        grid = self.coordinates(level.float().unsqueeze(1).expand(-1, len(levels))).T
        self.register_buffer("grid", grid.where(self.exists, 0.0), persistent=False)

    def bound(self, x: Tensor) -> Tensor:
        """Continuous level positions in (−½, L−½): every level owns a bin of equal width. [..., D] -> [..., D]."""
        levels = self.levels.float()
        return (levels - 1) / 2 + levels / 2 * INSIDE * torch.tanh(x.float())

    def quantize(self, position: Tensor) -> Tensor:
        """Coordinates in [−1, 1] of the nearest levels, with the straight-through gradient. [..., D] -> [..., D]."""
        position = position + (position.round() - position).detach()
        return self.coordinates(position)

    def coordinates(self, level: Tensor) -> Tensor:
        return level / (self.levels.float() - 1) * 2 - 1

    def expectation(self, logits: Tensor) -> Tensor:
        """E_q[z] in coordinates: [..., D, L] logits over levels -> [..., D]."""
        return (logits.softmax(-1) * self.grid).sum(-1)

    def codes(self, position: Tensor) -> Tensor:
        """[..., D] continuous level positions -> [...] int32 codes."""
        return (position.round().to(torch.int32) * self.strides).sum(-1, dtype=torch.int32)

    def code_levels(self, codes: Tensor) -> Tensor:
        """[...] integer codes -> [..., D] int32 levels."""
        return (codes.to(torch.int32).unsqueeze(-1) // self.strides) % self.levels

    def decode(self, codes: Tensor) -> Tensor:
        """[...] integer codes -> [..., D] float coordinates in [−1, 1]."""
        return self.coordinates(self.code_levels(codes).float())
