"""Exact binomial tests: smallest significant counts, what they can detect, intervals, and equivalence to one half."""

from __future__ import annotations

from math import ceil, log
from typing import Any

import numpy as np
from scipy import stats

from circuitsearch.validation.measurement import Interval

POWER = 0.8
"""Of what is called detectable."""


def at_least(count: int, n: int, share: float) -> float:
    """Chance of ``count`` successes or more in ``n`` trials: the one-sided p that the share is above ``share``."""
    return float(stats.binom.sf(count - 1, n, share))


def critical(n: Any, share: float, level: float) -> Any:
    """Smallest count of ``n`` (also an array) that shows at the level that the share is above ``share``; n + 1 if none does.

    Examples
    --------
    >>> int(critical(100, 0.9, 0.05)), int(critical(10, 0.9, 0.05))
    (96, 11)
    """
    return np.asarray(stats.binom.isf(level, n, share)).astype(int) + 1


def needed(share: float, level: float) -> int:
    """How many trials can show at the level, if all succeed, that the share of successes is above ``share``.

    Examples
    --------
    >>> needed(0.9, 0.05)
    29
    """
    return ceil(log(level) / log(share))


def detectable(n: int, share: float, level: float) -> float:
    """The true share that is shown with a chance of 80% to be above ``share``; 1 or less, NaN if none is.

    Examples
    --------
    >>> round(detectable(100, 0.9, 0.05), 3)
    0.969
    """
    count = int(critical(n, share, level))
    return float(stats.beta.ppf(POWER, count, n - count + 1)) if count <= n else float("nan")


def exact_interval(count: int, n: int, confidence: float, *, most: int | None = None) -> Interval:
    """Share of successes with its exact interval (Clopper and Pearson 1934); if it is not known whether ``count`` or ``most`` succeeded, of both.

    Examples
    --------
    >>> print(exact_interval(9, 10, 0.95))
    0.900 [0.555, 0.997]
    """
    top = count if most is None else most
    low, high = (stats.binomtest(k, n).proportion_ci(confidence, "exact") for k in (count, top))
    return Interval((count + top) / 2 / n, float(low.low), float(high.high))


# ---- equivalence to one half


def equivalence_p(wins: int, losses: int, ties: int, margin: float) -> float:
    """P of two one-sided exact tests that the chance of a win is within ``margin`` of 1/2: the larger of both (Schuirmann 1987).

    Half of the ties are wins. Of an odd number one tie counts against equivalence on either side.

    Examples
    --------
    >>> round(equivalence_p(50, 50, 0, 0.1), 4), equivalence_p(100, 0, 0, 0.1)
    (0.0271, 1.0)
    """
    n = wins + losses + ties
    return max(at_least(each + ties // 2, n, 0.5 - margin) for each in (wins, losses))


def difference_p(wins: int, losses: int, ties: int, margin: float) -> float:
    """P that the chance of a win is further than ``margin`` from 1/2, as in Shi et al. (2410.13032, equation of their equivalence test).

    It is the chance that a count with the success chance 1/2 + margin is as far from n/2, on either side, as the wins and half of the ties.
    """
    n = wins + losses + ties
    far = abs(wins - losses) / 2
    below, above = np.floor(n / 2 - far), np.ceil(n / 2 + far)
    tails = stats.binom.cdf(below, n, 0.5 + margin) + stats.binom.sf(above - 1, n, 0.5 + margin)
    return min(float(tails), 1.0)


def equivalence_power(n: Any, margin: float, level: float) -> Any:
    """Chance that ``n`` prompts (also an array) show equivalence if wins and losses are equally likely.

    Examples
    --------
    >>> [round(float(equivalence_power(n, 0.1, 0.05)), 3) for n in (32, 128, 256)]
    [0.0, 0.464, 0.882]
    """
    least = critical(n, 0.5 - margin, level)
    chance = stats.binom.cdf(np.asarray(n) - least, n, 0.5) - stats.binom.cdf(least - 1, n, 0.5)
    return np.maximum(chance, 0.0)


def equivalence_needs(margin: float, level: float, power: float = 0.0) -> int:
    """The smallest number of prompts with more than this power to show equivalence of equal chances.

    Examples
    --------
    >>> equivalence_needs(0.1, 0.05), equivalence_needs(0.1, 0.05, power=0.8)
    (76, 214)
    """
    most = 64
    while not (enough := equivalence_power(np.arange(1, most), margin, level) > power).any():
        most *= 2
    return int(enough.argmax()) + 1
