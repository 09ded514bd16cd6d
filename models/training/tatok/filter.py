"""Dynamic Token Filtering: the method note's definition, in NumPy. The inspector's TypeScript holds the same one."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

RANKINGS = ("entropy", "sequential", "distortion")
"""Orders in which patches are dropped: by ĥ given the global tokens alone; by ĥ given those and the kept patches, revealed in
rounds; and by that, weighed by the squared error that keeping a patch saves. Manifests call the first one `global`."""

DEFAULT_ROUNDS = {"sequential": 8, "distortion": 2}
"""R by ranking. A round by distortion takes a decoding more than one of ĥ alone: `models/benchmarks/rankings.md`."""
MOST_ROUNDS = 64
"""The greatest R that the inspector's settings may ask for."""

Floats = NDArray[np.floating]


def checkerboard_rank(rows: int, columns: int) -> NDArray[np.int64]:
    """Tie-break: rank of every cell, in raster order, in the recursive checkerboard (ordered-dither) order.

    Any prefix of the order is spread evenly over the grid, where raster order would clump.
    """
    size = 1
    matrix = np.zeros((1, 1), dtype=np.int64)
    while size < max(rows, columns):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
        size *= 2
    order = np.argsort(matrix[:rows, :columns].ravel(), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return rank


def edge_patches(rows: int, columns: int) -> NDArray[np.bool_]:
    """e_i: True on the outer ring of the grid, in raster order."""
    edge = np.zeros((rows, columns), dtype=bool)
    edge[[0, -1], :] = True
    edge[:, [0, -1]] = True
    return edge.ravel()


def drop_order(entropy_bits: Floats, rows: int, columns: int, edge_priority: float) -> NDArray[np.int64]:
    """π: patch indices by ascending priority ĥ_i + β·e_i, ties by the checkerboard rank."""
    priority = entropy_bits.astype(np.float64) + edge_priority * edge_patches(rows, columns)
    return np.lexsort((checkerboard_rank(rows, columns), priority))


class Ranking(NamedTuple):
    """π and the bits lost along it: `lost_bits[m]` is what dropping the first m patches of `order` loses."""

    order: NDArray[np.int64]  # [N], dropped first comes first
    lost_bits: NDArray[np.float64]  # [N + 1], from 0 to Σĥ

    def keep(self, loss_rate: float, budget_bits: float | None = None) -> NDArray[np.bool_]:
        """Kept mask: drops the longest prefix that loses at most ε·B; `budget_bits` None is the image budget B = Σĥ."""
        keep = np.ones(self.order.size, dtype=bool)
        if loss_rate > 0:
            budget = self.lost_bits[-1] if budget_bits is None else budget_bits
            keep[self.order[: int(np.searchsorted(self.lost_bits, loss_rate * budget, side="right")) - 1]] = False
        return keep


def rank_patches(entropy_bits: Floats, rows: int, columns: int, edge_priority: float = 0.0) -> Ranking:
    """One-shot ranking: ascending priority ĥ_i + β·e_i, ties by the checkerboard rank; the bits are true bits, without β."""
    order = drop_order(entropy_bits, rows, columns, edge_priority)
    return Ranking(order, np.concatenate([[0.0], np.cumsum(entropy_bits[order].astype(np.float64))]))


def lost_with(ranking: Ranking) -> NDArray[np.float64]:
    """[N] bits of every patch and all that are dropped before it, in raster order: it is dropped where ε·B holds them."""
    lost = np.empty(ranking.order.size)
    lost[ranking.order] = ranking.lost_bits[1:]
    return lost


def filter_tokens(
    entropy_bits: Floats,
    rows: int,
    columns: int,
    *,
    loss_rate: float,
    edge_priority: float = 0.0,
    budget_bits: float | None = None,
) -> NDArray[np.bool_]:
    """Kept mask: drops the longest prefix of π whose true bits sum to at most ε·B.

    `budget_bits` None is the image budget B = Σĥ. The order uses β, the constraint true bits; a larger ε drops a superset.
    """
    return rank_patches(entropy_bits, rows, columns, edge_priority).keep(loss_rate, budget_bits)


def hidden_counts(patches: int, rounds: int) -> list[int]:
    """Patches still hidden after each round, N − ⌈N·(r/R)²⌉: small steps first, where a revealed patch tells most.

    Two rounds reveal N/16 first and not N/4, for the same reason.
    """
    power = 4 if rounds == 2 else 2
    return [patches - math.ceil(patches * r**power / rounds**power) for r in range(1, rounds + 1)]


class Revealed(NamedTuple):
    """A model's view of the patches of B images, given the visible ones among them."""

    entropy: Floats  # [B, N] ĥ in bits
    weights: Floats | None = None  # [B, N] factors of ĥ in the priority; None: 1


Reveal = Callable[[NDArray[np.bool_]], Revealed]
"""From the visible sets of B images, [B, N], to the view of their patches given these."""


def rank_sequentially(
    reveal: Reveal, images: int, rows: int, columns: int, edge_priority: float = 0.0, *, rounds: int
) -> list[Ranking]:
    """Sequential conditioning: patches are revealed in R = `rounds`, highest priority first, ĥ re-estimated given G and Z_S.

    `reveal` is asked once a round about all `images` images. The priority is d_i·w_i·ĥ_i + β·e_i, with d_i of
    `damp_beside_better` where there are weights w_i, else 1; the bits lost stay true ones.

    Returns one ranking an image. `order` is the reverse of the order of revelation, and `lost_bits[m]` is Σ_D ĥ of the m
    patches still hidden, given the patches that were visible when their round began. Its running minimum from the end makes
    the first stop at which Σ_D ĥ ≤ ε·B the one that a search finds, so kept sets nest in ε here too.
    """
    patches = rows * columns
    hidden = np.ones((images, patches), dtype=bool)
    lost = np.zeros((images, patches + 1))
    revealed: list[NDArray[np.int64]] = []
    for left in hidden_counts(patches, rounds):
        given = reveal(~hidden)
        priority = given.entropy.astype(np.float64)
        if given.weights is not None:
            priority = priority * damp_beside_better(given.weights, priority, hidden, rows, columns)
        shown = []
        for image in range(images):
            order = drop_order(priority[image], rows, columns, edge_priority)
            order = order[hidden[image, order]]
            bits = np.cumsum(given.entropy[image, order].astype(np.float64))
            lost[image, left + 1 : order.size + 1] = bits[left:]
            shown.append(order[left:])
            hidden[image, order[left:]] = False
        revealed.append(np.stack(shown))
    orders = np.concatenate(revealed[::-1], axis=1)
    nested = np.minimum.accumulate(lost[:, ::-1], axis=1)[:, ::-1]
    return [Ranking(order, bits) for order, bits in zip(orders, nested, strict=True)]


def damp_beside_better(
    weights: Floats, bits: Floats, hidden: NDArray[np.bool_], rows: int, columns: int
) -> NDArray[np.float64]:
    """w_i·Π (1 − κ_j) over the hidden neighbours j that are worth more, w_j·ĥ_j > w_i·ĥ_i; all arrays are [B, N].

    What a patch shows tells something of the next one, of which a round that reveals both at once does not know yet. κ is 0.3
    beside and 0.15 at a corner: on photographs two rounds choose with it 0.1 dB better at equal tokens
    (`models/benchmarks/rankings.md`).
    """
    worth = np.where(hidden, weights.astype(np.float64) * bits, -1).reshape(-1, rows, columns)
    around = np.pad(worth, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    left = np.ones_like(worth)
    for down, across in itertools.product((-1, 0, 1), repeat=2):
        share = 0.3 if down == 0 or across == 0 else 0.15
        better = around[:, 1 + down : 1 + down + rows, 1 + across : 1 + across + columns] > worth
        left = np.where(better, left * (1 - share), left)
    return weights * left.reshape(weights.shape)


class RankedModel(Protocol):
    """The two questions that ranking the patches of a batch of images asks a model."""

    def estimate(self, visible: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Visible sets [B, N] -> ĥ in bits [B, N] and expected codes [B, N, D]."""

    def decode(self, expected_code: Floats, keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Expected codes [B, N, D] and kept masks [B, N] -> images [B, S, S, 3]."""


def rank_images(
    model: RankedModel,
    ranking: str,
    count: int,
    rows: int,
    columns: int,
    edge_priority: float = 0.0,
    images: NDArray[np.uint8] | None = None,
    rounds: int | None = None,
) -> list[Ranking]:
    """Ranks the patches of `count` images by one of `RANKINGS`; "distortion" needs the `images`, uint8 [count, S, S, 3].

    `rounds` is R of a ranking in rounds; None: that of `DEFAULT_ROUNDS`.
    """
    hidden = np.zeros((count, rows * columns), dtype=bool)
    entropy, expected = model.estimate(hidden)
    if ranking == "entropy":
        return [rank_patches(bits, rows, columns, edge_priority) for bits in entropy]

    def errors(expected_code: Floats, keep: NDArray[np.bool_]) -> list[Floats]:
        return [patch_errors(*pair, rows, columns) for pair in zip(images, model.decode(expected_code, keep), strict=True)]

    floor = errors(expected, ~hidden) if ranking == "distortion" else None

    def reveal(visible: NDArray[np.bool_]) -> Revealed:
        bits, filling = model.estimate(visible) if visible.any() else (entropy, expected)
        if floor is None:
            return Revealed(bits)
        weights = [distortion_weights(*each) for each in zip(errors(filling, visible), floor, visible, strict=True)]
        return Revealed(bits, np.stack(weights))

    return rank_sequentially(reveal, count, rows, columns, edge_priority, rounds=rounds or DEFAULT_ROUNDS[ranking])


def patch_errors(reference: NDArray[np.uint8], decoded: NDArray[np.uint8], rows: int, columns: int) -> Floats:
    """Mean squared difference per patch and channel, in squared 8-bit units: uint8 [S, S, 3] twice -> [N] float32."""
    squares = np.square(reference.astype(np.float64) - decoded)
    size, width = squares.shape[:2]
    tiles = squares.reshape(rows, size // rows, columns, width // columns, 3)
    return tiles.mean(axis=(1, 3, 4)).ravel().astype(np.float32)


def distortion_weights(errors: Floats, floor: Floats, visible: NDArray[np.bool_]) -> Floats:
    """w_i = max(0, D_i − D⁰_i), scaled to a mean of 1 over the hidden patches so that β stays in bits.

    D is each patch's squared error with what is visible decoded as kept, D⁰ that with every patch kept: what the patch's bits
    would save. Dynamic Token Filtering counts the bits that a dropped patch loses; rate–distortion theory, what they are worth.
    """
    saved = np.maximum(0, errors.astype(np.float64) - floor)
    total = saved[~visible].sum()
    return saved * ((~visible).sum() / total) if total > 0 else np.ones_like(saved)
