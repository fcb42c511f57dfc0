"""Confidence intervals over prompts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import nan

import numpy as np
from scipy import stats
from torch import Tensor

from circuitsearch.validation.report import Interval

Statistic = Callable[..., np.ndarray]


def interval(statistic: Statistic, *columns: Tensor, confidence: float, n_resamples: int, seed: int) -> Interval:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987) of a statistic of paired columns.

    Parameters
    ----------
    statistic : callable
        From arrays (..., N) to (...), with a keyword ``axis``.
    columns : Tensor
        (N,) each; row i of all of them is prompt i, and prompts are resampled.

    Notes
    -----
    One prompt has no interval: its ends are NaN.
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
            confidence_level=confidence, n_resamples=n_resamples, rng=np.random.default_rng(seed),
        )  # fmt: skip
    return Interval(value, float(result.confidence_interval.low), float(result.confidence_interval.high))
