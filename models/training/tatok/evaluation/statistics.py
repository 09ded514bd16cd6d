"""Means of images' figures, how sure they are, and rank correlations."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
"""Resamples of the images behind every interval."""

Columns = dict[str, NDArray[np.floating]]
"""Figures of images by name; every array has one value an image."""


def bootstrap_interval(values: NDArray[np.floating]) -> tuple[float, float]:
    """95 % interval of the mean by the percentile bootstrap over images, always from the same seed.

    One image, or images that are all alike, have an interval of no width.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        mean = float(np.mean(values))
        return mean, mean
    result = stats.bootstrap(
        (np.asarray(values, dtype=np.float64),),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def summary(columns: Columns, *, intervals: tuple[str, ...], tails: tuple[str, ...]) -> dict[str, object]:
    """Means by name; under `interval` the 95 % intervals of some of them, under `p10` the 10th percentiles over images."""
    return {
        **{name: float(np.mean(values, dtype=np.float64)) for name, values in columns.items()},
        "interval": {name: bootstrap_interval(columns[name]) for name in intervals if name in columns},
        "p10": {name: float(np.percentile(columns[name], 10)) for name in tails if name in columns},
    }


def spearman(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """Rank correlation, ties at their mean rank; 0 where one side does not vary."""
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return 0.0
    return float(stats.spearmanr(a, b).statistic)
