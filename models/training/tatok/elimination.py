"""Backward elimination: the order of dropping where a token's entropy is that given the other tokens, which start visible.

A frozen tokenizer has no tokens that every estimate is given: with nothing visible each picture has the same entropies, and a
ranking that reveals tokens from there is no better than chance. The inspector's `src/method/elimination.ts` holds the same.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .filter import Floats, Ranking, drop_order

PARTS = 4
"""Passes of the model that estimate every token given the others, each a quarter of them."""

Estimate = Callable[[NDArray[np.bool_]], Floats]
"""From the visible tokens of B images, [B, N], to H(z_i | visible tokens) in bits, [B, N], 0 for those that are visible."""


def quarters(rows: int, columns: int) -> NDArray[np.int64]:
    """Which of four parts each token is estimated with, in raster order: cells of a 2×2 checkerboard, every fourth of a row.

    Tokens of one part are estimated together, without each other. No two of them are neighbours, which tell most of each other.
    """
    row, column = np.divmod(np.arange(rows * columns), columns)
    return column % 4 if rows == 1 else 2 * (row % 2) + column % 2


def kept_counts(tokens: int, rounds: int) -> list[int]:
    """Tokens still kept after each round, ⌈N·((R − r)/R)²⌉: large steps first, where what is left tells most of what goes."""
    return [math.ceil(tokens * (rounds - r) ** 2 / rounds**2) for r in range(1, rounds + 1)]


def given_others(estimate: Estimate, visible: NDArray[np.bool_], rows: int, columns: int) -> Floats:
    """H(z_i | the other visible tokens), bits [B, N], in four passes; of tokens that are not visible, that given the others."""
    bits = np.zeros(visible.shape, dtype=np.float32)
    for part in range(PARTS):
        own = quarters(rows, columns) == part
        bits = np.where(own, estimate(visible & ~own), bits)
    return bits


def eliminate(
    estimate: Estimate, images: int, rows: int, columns: int, edge_priority: float = 0.0, *, rounds: int
) -> list[Ranking]:
    """Drops tokens in R = `rounds`, those first that the others tell most of: the least H(z_i | other visible tokens) + β·e_i.

    The order is that of dropping. The bits that m dropped tokens lose are Σ H(z_i | Z_S) over them, given the tokens S that are
    left when their round ends, fewer than are left at m: a bound on H(Z_D | Z_S) from above. A token beside one that goes in
    the same round waits, see `_apart`. The running minimum from the end makes kept sets nest in ε, as in
    `filter.rank_sequentially`.
    """
    tokens = rows * columns
    visible = np.ones((images, tokens), dtype=bool)
    dropped = np.zeros((images, 0), dtype=np.int64)
    lost = np.zeros((images, tokens + 1))
    for left in kept_counts(tokens, rounds):
        bits = given_others(estimate, visible, rows, columns)
        orders = [drop_order(each, rows, columns, edge_priority) for each in bits]
        count = tokens - dropped.shape[1] - left
        goes = np.stack([_apart(o[seen[o]], count, rows, columns) for o, seen in zip(orders, visible, strict=True)])
        np.put_along_axis(visible, goes, False, axis=1)
        before, dropped = dropped.shape[1], np.concatenate([dropped, goes], axis=1)
        given_left = np.take_along_axis(estimate(visible), dropped, axis=1).astype(np.float64)
        lost[:, before + 1 : dropped.shape[1] + 1] = np.cumsum(given_left, axis=1)[:, before:]
    nested = np.minimum.accumulate(lost[:, ::-1], axis=1)[:, ::-1]
    return [Ranking(order, bits) for order, bits in zip(dropped, nested, strict=True)]


def _apart(order: NDArray[np.int64], count: int, rows: int, columns: int) -> NDArray[np.int64]:
    """The first `count` tokens of `order`, those left out that lie beside an earlier one, until no others are left.

    Two neighbours tell of each other: either can go, but after one has gone the other is not what it was estimated to be.
    """
    taken = np.zeros((rows, columns), dtype=bool)
    chosen, waiting = [], []
    for token in order:
        row, column = divmod(int(token), columns)
        beside = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        if any(0 <= r < rows and 0 <= c < columns and taken[r, c] for r, c in beside):
            waiting.append(token)
            continue
        taken[row, column] = True
        chosen.append(token)
    return np.array(list(itertools.islice(itertools.chain(chosen, waiting), count)), dtype=np.int64)
