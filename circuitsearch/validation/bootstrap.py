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
    kurtosis = float(stats.kurtosis(jackknifed(statistic, data), fisher=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # division by zero in a resample without any spread
        result = stats.bootstrap(
            data, statistic, paired=True, vectorized=True, method="BCa", axis=-1,
            confidence_level=widened(confidence, len(data[0]), kurtosis), n_resamples=n_resamples, rng=np.random.default_rng(seed),
        )  # fmt: skip
    return Interval(value, float(result.confidence_interval.low), float(result.confidence_interval.high))


def jackknifed(statistic: Statistic, data: tuple[np.ndarray, ...]) -> np.ndarray:
    """The statistic of all prompts but one, for each (N,): how much each prompt matters."""
    n = len(data[0])
    rows = (np.arange(n)[:, None] + np.arange(1, n)) % n  # row i: all prompts but i
    return statistic(*(column[rows] for column in data), axis=-1)


def widened(confidence: float, n: int, kurtosis: float) -> float:
    """The confidence of a percentile interval that is as wide for n values as one by Student's t with as many degrees of freedom as their variance has.

    The variance of n values with kurtosis k has about 2 (n - 1) / (k - 1) degrees of freedom: n - 1 if they are normal. Metrics of prompts
    have a kurtosis of 3 to 6 on most tasks, so k is at least 5; and since a sample that has no values of the tail does not show it, k is otherwise 1 + 4 / sqrt(n)
    times the ``kurtosis`` of the sample. With k = 3 too few intervals hold the truth (docs/benchmarks.md, "Calibration").

    Examples
    --------
    >>> [round(widened(0.95, n, 3), 4) for n in (8, 16, 32, 128)]
    [1.0, 0.9885, 0.9696, 0.9551]
    >>> round(widened(0.95, 32, 8), 4)
    0.9914
    """
    population = max(5.0, kurtosis * (1 + 4 / sqrt(n)))
    freedom = max(1.0, 2 * (n - 1) / (population - 1))
    quantile = sqrt(n / (n - 1)) * stats.t.ppf((1 + confidence) / 2, freedom)
    return min(2 * float(stats.norm.cdf(quantile)) - 1, 1 - 1e-9)


def ratio(circuit: np.ndarray, clean: np.ndarray, ablated: np.ndarray, axis: int) -> np.ndarray:
    """The ratio of means of NumPy arrays, along an axis of resampled prompts."""
    return (circuit - ablated).mean(axis) / (clean - ablated).mean(axis)
