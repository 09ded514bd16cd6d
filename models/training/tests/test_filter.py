import itertools
import json
import re

import numpy as np
import pytest
from conftest import FIXTURES, ROOT

from tatok.filter import (
    DEFAULT_ROUNDS,
    MOST_ROUNDS,
    Revealed,
    checkerboard_rank,
    damp_beside_better,
    distortion_weights,
    edge_patches,
    filter_tokens,
    hidden_counts,
    patch_errors,
    rank_patches,
    rank_sequentially,
)

GENERATOR = np.random.default_rng(5)
CASES = [(GENERATOR.gamma(2, 2, 48).astype(np.float32), beta) for beta in (0.0, 0.7, 30.0) for _ in range(5)]


def test_agrees_with_the_vectors_that_hold_the_inspector():
    vectors = json.loads((FIXTURES / "filter-vectors.json").read_text())
    assert len(vectors) > 100
    for vector in vectors:
        grid, settings = vector["grid"], vector["settings"]
        kept = filter_tokens(
            np.array(vector["entropyBits"], dtype=np.float32),
            grid["rows"],
            grid["columns"],
            loss_rate=settings["lossRate"],
            edge_priority=settings["edgePriority"],
            budget_bits=vector["budgetBits"],
        )
        assert kept.astype(int).tolist() == vector["keep"]


@pytest.mark.parametrize(("entropy", "beta"), CASES)
def test_is_the_definition(entropy: np.ndarray, beta: float):
    """The longest prefix of ascending priority whose true bits fit, found by trying every length."""
    priority = entropy.astype(np.float64) + beta * edge_patches(6, 8)
    order = sorted(range(48), key=lambda i: (priority[i], checkerboard_rank(6, 8)[i]))
    for loss_rate in (0.1, 0.5, 0.93):
        fits = [
            m for m in range(49) if sum(float(entropy[i]) for i in order[:m]) <= loss_rate * float(entropy.sum(dtype=float))
        ]
        kept = filter_tokens(entropy, 6, 8, loss_rate=loss_rate, edge_priority=beta)
        assert set(np.flatnonzero(~kept)) == set(order[: max(fits)])


@pytest.mark.parametrize(("entropy", "beta"), CASES)
def test_sets_nest_and_ends_are_exact(entropy: np.ndarray, beta: float):
    masks = [filter_tokens(entropy, 6, 8, loss_rate=e, edge_priority=beta) for e in np.linspace(0, 1, 41)]
    for more, fewer in itertools.pairwise(masks):
        assert not (fewer & ~more).any()
    assert masks[0].all()
    assert not masks[-1].any()


def test_zero_loss_keeps_patches_without_entropy():
    assert filter_tokens(np.zeros(16, dtype=np.float32), 4, 4, loss_rate=0).all()


def test_ties_spread_over_the_grid():
    kept = filter_tokens(np.full(64, 2.0, dtype=np.float32), 8, 8, loss_rate=0.5).reshape(8, 8)
    assert kept.sum() == 32
    assert (kept.reshape(4, 2, 4, 2).sum((1, 3)) == 2).all()
    assert (kept[:, :-1] != kept[:, 1:]).all()


@pytest.mark.parametrize(("entropy", "beta"), CASES)
def test_sequential_ranking_without_information_is_one_shot(entropy: np.ndarray, beta: float):
    one_shot = rank_patches(entropy, 6, 8, beta)
    (sequential,) = rank_sequentially(lambda visible: Revealed(np.where(visible, 0, entropy[None])), 1, 6, 8, beta, rounds=5)
    assert sequential.order.tolist() == one_shot.order.tolist()
    np.testing.assert_allclose(sequential.lost_bits, one_shot.lost_bits, rtol=1e-6)


def test_sequential_rounds_reveal_everything():
    assert hidden_counts(256, 16) == [256 - r * r for r in range(1, 17)]
    assert hidden_counts(256, 2) == [240, 0]
    assert all(hidden_counts(7, rounds)[-1] == 0 for rounds in range(1, 40))


def test_rounds_are_those_of_the_extension():
    text = (ROOT / "src" / "method" / "sequential.ts").read_text()
    for ranking, rounds in DEFAULT_ROUNDS.items():
        assert re.search(rf"defaultRounds\b.*\b{ranking}: {rounds}\b", text)
    assert f"mostRounds = {MOST_ROUNDS};" in text


def test_the_edge_has_no_priority_unless_one_is_given():
    entropy = np.where(edge_patches(3, 4), 1, 2) + np.arange(12) / 100
    order = np.argsort(entropy).tolist()
    assert rank_patches(entropy, 3, 4).order.tolist() == order
    (sequential,) = rank_sequentially(lambda _: Revealed(entropy[None]), 1, 3, 4, rounds=1)
    assert sequential.order.tolist() == order


def test_weights_multiply_the_bits_in_the_order_and_not_in_the_budget():
    generator = np.random.default_rng(8)
    bits, weights = generator.gamma(2, 2, (1, 12)), generator.gamma(2, 1, (1, 12))
    (ranking,) = rank_sequentially(lambda _: Revealed(bits, weights), 1, 3, 4, 2.0, rounds=1)
    worth = (damp_beside_better(weights, bits, np.ones((1, 12), bool), 3, 4) * bits)[0] + 2 * edge_patches(3, 4)
    assert ranking.order.tolist() == np.argsort(worth).tolist()
    assert ranking.lost_bits.tolist() == pytest.approx([0, *np.cumsum(bits[0, ranking.order])])


def test_the_error_of_a_patch_is_the_mean_square_over_its_pixels():
    generator = np.random.default_rng(9)
    one, other = (generator.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(2))
    errors = patch_errors(one, other, 3, 2)
    for row, column in itertools.product(range(3), range(2)):
        pixels = (slice(2 * row, 2 * row + 2), slice(4 * column, 4 * column + 4))
        squares = [(int(a) - int(b)) ** 2 for a, b in zip(one[pixels].flat, other[pixels].flat, strict=True)]
        assert errors[2 * row + column] == pytest.approx(sum(squares) / 24, rel=1e-6)


def test_a_patch_weighs_what_its_bits_save_at_a_mean_of_one_over_the_hidden():
    errors, floor = np.array([5.0, 9.0, 0.75, 3.0, 4.5]), np.array([3.0, 1.0, 1.0, 3.0, 4.0])
    visible = np.array([False, True, False, False, False])
    # Saved are 2, 8, 0, 0 and ½: of the hidden ones 2½ in all, where four hidden patches are to have four.
    assert distortion_weights(errors, floor, visible).tolist() == pytest.approx([3.2, 12.8, 0, 0, 0.8])
    small = distortion_weights(errors / 100, floor / 100, visible)
    assert small.tolist() == pytest.approx([3.2, 12.8, 0, 0, 0.8])
    assert distortion_weights(floor, floor, visible).tolist() == [1] * 5
