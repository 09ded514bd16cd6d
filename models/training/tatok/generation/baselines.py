"""Samplers that know less than a generator, for it to beat: independent codes, and p(G) with the patches of other pictures."""

import math

import torch
from torch import Tensor

from ..quantizer import FiniteScalarQuantizer


class IndependentCodes:
    """Every token on its own, at its place, dimension by dimension: frequencies in a data set, one added to each level's count.

    Frequencies of whole codes would be counted less than once each: there are more codes than pictures.
    """

    def __init__(self, codes: Tensor, levels: tuple[int, ...]) -> None:
        """`codes` are [M, T] of the training pictures."""
        self._quantizer = FiniteScalarQuantizer(levels)
        found = self._quantizer.code_levels(codes).long()
        counts = torch.zeros(*found.shape[1:], max(levels))
        counts.scatter_add_(2, found.permute(1, 2, 0), torch.ones(found.permute(1, 2, 0).shape))
        self._probabilities = (counts + 1) * self._quantizer.exists
        self._probabilities /= self._probabilities.sum(-1, keepdim=True)

    def bits(self, codes: Tensor) -> Tensor:
        """−log2 p of pictures' codes [B, T]: [B]."""
        found = self._quantizer.code_levels(codes).long().permute(1, 2, 0)
        return -(self._probabilities.gather(2, found).log().sum((0, 1)) / math.log(2))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """[count, T] codes."""
        tokens, dimensions, most = self._probabilities.shape
        flat = self._probabilities.reshape(-1, most)
        levels = torch.multinomial(flat, count, replacement=True, generator=generator).T.reshape(count, tokens, dimensions)
        return (levels * self._quantizer.strides).sum(-1).to(torch.int32)


def unrelated(codes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The patches of drawn training pictures, [M, N] -> [count, N], unrelated to global tokens drawn beside."""
    return codes[torch.randint(len(codes), (count,), generator=generator)]
