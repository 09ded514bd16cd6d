"""Intervals, percentiles and rank correlations, held to closed forms; bits of kept sets, held to enumeration."""

import itertools
import math

import numpy as np
import pytest

from tatok.evaluation.rate import coded_bits, largest_prefixes, mask_bits
from tatok.evaluation.statistics import bootstrap_interval, spearman, summary


def test_an_interval_is_about_two_standard_errors_wide_on_each_side():
    values = np.random.default_rng(1).normal(20, 3, 400)
    low, high = bootstrap_interval(values)
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert bootstrap_interval(values) == (low, high)


def test_intervals_cover_the_true_mean_as_often_as_they_say():
    generator = np.random.default_rng(2)
    intervals = [bootstrap_interval(generator.exponential(1, 60)) for _ in range(200)]
    covered = np.mean([low <= 1 <= high for low, high in intervals])
    assert 0.87 <= covered <= 0.99


@pytest.mark.parametrize("values", [[3.5], [2.0, 2.0, 2.0]])
def test_images_that_are_all_alike_have_an_interval_of_no_width(values: list[float]):
    assert bootstrap_interval(np.array(values)) == (values[0], values[0])


def test_a_summary_has_means_and_the_named_tails_and_intervals():
    columns = {"psnr": np.arange(11.0), "bytes": np.full(11, 7.0)}
    result = summary(columns, intervals=("psnr",), tails=("psnr", "ssim"))
    assert (result["psnr"], result["bytes"], result["p10"]) == (5.0, 7.0, {"psnr": 1.0})
    assert list(result["interval"]) == ["psnr"]


def test_rank_correlation_knows_ties_and_sides_that_do_not_vary():
    assert spearman(np.array([1, 2, 3]), np.array([10, 40, 90])) == pytest.approx(1)
    assert spearman(np.array([1, 2, 3]), np.array([9, 4, 1])) == pytest.approx(-1)
    # Ranks 1.5, 1.5, 3 against 1, 2, 3.
    assert spearman(np.array([5, 5, 7]), np.array([1, 2, 3])) == pytest.approx(math.sqrt(3) / 2)
    assert spearman(np.array([4, 4, 4]), np.array([1, 2, 3])) == 0


@pytest.mark.parametrize("kept", range(6))
def test_a_mask_tells_its_size_and_which_of_all_sets_of_that_size_it_is(kept: int):
    sets = list(itertools.combinations(range(5), kept))
    assert mask_bits(5, kept) == pytest.approx(math.log2(6) + math.log2(len(sets)))
    assert mask_bits(5, kept, known=True) == pytest.approx(math.log2(6))


def test_the_coded_size_is_that_of_the_probability_of_all_kept_codes():
    probabilities = np.array([[0.5, 0.25, 0.1], [0.9, 0.01, 0.3]])
    keep = np.array([[True, False, True], [False, True, True]])
    wanted = [-math.log2(0.5 * 0.1), -math.log2(0.01 * 0.3)]
    assert coded_bits(-np.log2(probabilities), keep, 32.0) == pytest.approx(np.array(wanted) + 32)


@pytest.mark.parametrize("known", [False, True])
def test_prefixes_are_the_largest_that_a_search_finds_within_the_bits(known: bool):
    generator = np.random.default_rng(3)
    order = generator.random((40, 9)).argsort(1)
    surprisal, budgets = generator.exponential(6, (40, 9)), generator.uniform(0, 90, 40)
    found = largest_prefixes(order, surprisal, budgets, 8.0, known=known)
    for row, bits, most, keep in zip(order, surprisal, budgets, found, strict=True):
        sizes = [0]
        for kept in range(10):
            if 8 + bits[row[9 - kept :]].sum() + mask_bits(9, kept, known=known) <= most:
                sizes.append(kept)
        assert set(np.flatnonzero(keep)) == set(row[9 - max(sizes) :])
