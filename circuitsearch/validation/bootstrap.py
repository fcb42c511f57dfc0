"""Confidence intervals over prompts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import nan, sqrt

import numpy as np
from scipy import stats
from torch import Tensor

from circuitsearch.validation.measurement import Interval

Statistic = Callable[..., np.ndarray]
METHOD = "t-widened BCa bootstraps"


def interval(statistic: Statistic, *columns: Tensor, confidence: float, n_resamples: int, seed: int) -> Interval:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987) of a statistic of paired columns, widened for few prompts.

    Parameters
    ----------
    statistic : callable
        From arrays (..., N) to (...), with a keyword ``axis``.
    columns : Tensor
        (N,) each; row i of all of them is prompt i, and prompts are resampled.

    Notes
    -----
    Resamples of N values vary less than the population, by sqrt((N - 1) / N), and their quantiles are normal ones. As in Hesterberg
    (2015, section 3.3), the level is that of Student's t: see :func:`widened`. One prompt has no interval: its ends are NaN.
    """
    data = tuple(column.double().numpy() for column in columns)
    value = float(statistic(*data, axis=-1))
    if len(data[0]) < 2:
        return Interval(value, nan, nan)
    rows = np.random.default_rng(seed).integers(len(data[0]), size=(64, len(data[0])))
    if np.ptp(statistic(*(column[rows] for column in data), axis=-1)) < 1e-12:
        return Interval(value, value, value)  # every resample gives the same value, for which BCa is not defined
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # division by zero in a resample without any spread
        result = stats.bootstrap(
            data, statistic, paired=True, vectorized=True, method="BCa", axis=-1,
            confidence_level=widened(confidence, len(data[0])), n_resamples=n_resamples, rng=np.random.default_rng(seed),
        )  # fmt: skip
    return Interval(value, float(result.confidence_interval.low), float(result.confidence_interval.high))


def widened(confidence: float, n: int) -> float:
    """The confidence of a percentile interval that is as wide for n values as one by Student's t with (n - 1) / 2 degrees of freedom.

    The variance of n normal values has n - 1 degrees of freedom, that of values with kurtosis k about 2 (n - 1) / (k - 1). Metrics of prompts
    have a kurtosis of 3 to 6 on most tasks, and 5 gives half of them. With all of them too few intervals hold the truth (docs/benchmarks.md, "Calibration").

    Examples
    --------
    >>> [round(widened(0.95, n), 4) for n in (8, 16, 32, 128)]
    [0.9983, 0.984, 0.9692, 0.9551]
    """
    quantile = sqrt(n / (n - 1)) * stats.t.ppf((1 + confidence) / 2, (n - 1) / 2)
    return min(2 * float(stats.norm.cdf(quantile)) - 1, 1 - 1e-9)


def ratio(circuit: np.ndarray, clean: np.ndarray, ablated: np.ndarray, axis: int) -> np.ndarray:
    """The ratio of means of NumPy arrays, along an axis of resampled prompts."""
    return (circuit - ablated).mean(axis) / (clean - ablated).mean(axis)
