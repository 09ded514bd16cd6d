import itertools
import json

import numpy as np
import pytest
from conftest import FIXTURES

from tatok.filter import (
    Revealed,
    checkerboard_rank,
    edge_patches,
    filter_tokens,
    hidden_counts,
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
