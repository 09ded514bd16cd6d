"""Bits that a decoder has to be sent for an image: codes, and which patches they belong to."""

import math

import numpy as np
from numpy.typing import NDArray

from ..filter import Floats


def mask_bits(patches: int, kept: int, *, known: bool = False) -> float:
    """Bits of the kept set: its size among N + 1, and log2 C(N, |S|) for its members.

    `known`: the decoder finds the members out for itself, as where the order follows from tokens that it has or from a seed.
    """
    return math.log2(patches + 1) + (0.0 if known else math.log2(math.comb(patches, kept)))


def coded_bits(surprisal: Floats, keep: NDArray[np.bool_], global_bits: float) -> NDArray[np.float64]:
    """Ideal size of the tokens under a range coder that is driven by q(z | G): global tokens at fixed length, then Σ_S s.

    Surprisal [n, N] in bits given the global tokens alone, kept masks [n, N] -> [n].
    """
    return global_bits + np.where(keep, surprisal, 0).sum(1, dtype=np.float64)


def largest_prefixes(
    order: NDArray[np.integer], surprisal: Floats, budget_bits: NDArray[np.float64], global_bits: float, *, known: bool
) -> NDArray[np.bool_]:
    """Kept masks [n, N] that keep as many patches of an order as each image's bits allow, entropy-coded and with the mask.

    `order` [n, N] has the patch that is dropped first in front. An image whose global tokens alone cost more keeps no patch.
    """
    images, patches = order.shape
    kept_first = order[:, ::-1]
    bits = np.take_along_axis(surprisal.astype(np.float64), kept_first, 1).cumsum(1)
    bits = global_bits + np.concatenate([np.zeros((images, 1)), bits], 1)
    bits += [mask_bits(patches, kept, known=known) for kept in range(patches + 1)]
    # A full mask is cheaper than half of one, so the affordable sizes need not be an interval.
    counts = np.where(bits <= budget_bits[:, None], np.arange(patches + 1), 0).max(1)
    keep = np.zeros((images, patches), dtype=bool)
    np.put_along_axis(keep, kept_first, np.arange(patches) < counts[:, None], 1)
    return keep
