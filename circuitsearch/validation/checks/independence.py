"""Independence: whether the model without the circuit still says something about the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np
from scipy.stats import norm

from circuitsearch.errors import InputError, counted
from circuitsearch.validation.binomial import POWER
from circuitsearch.validation.hypothesis import HypothesisTest, Tested, check_counts, rounding
from circuitsearch.validation.measurement import Interval
from circuitsearch.validation.trial import Trial

SIMULATED = 200  # pairs of samples whose dependence gives the power
_NORMAL_DISTANCE = np.float32(np.sqrt(2) * norm.ppf(0.75))  # median distance of two standard normal values


@dataclass(frozen=True)
class Independence(HypothesisTest):
    """Whether the metric of the model without the circuit depends on that of the model, over prompts (2410.13032).

    The Hilbert-Schmidt independence criterion (Gretton et al. 2005) of the two metrics with Gaussian kernels, each as wide as the median
    distance of its values; p by permuted prompts. The null hypothesis is independence. A significant test shows that something outside the
    circuit answers to the same prompts: other edges of the task, or only that some answers have higher logits than others in all runs. One that
    is not significant shows little on few prompts, which is why its power is given. The effect is the criterion over the geometric mean of that of each metric with itself: 0 if independent, 1 if the same.

    Parameters
    ----------
    permutations : int
        How many.
    prompts : int
        On how many of the prompts, at most: the cost grows with their square.
    """

    permutations: int = 1000
    prompts: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(permutations=self.permutations, prompts=self.prompts)
        if self.permutations < 1 / self.level - 1:
            raise InputError(
                f"Independence's permutations must be {int(1 / self.level)} or more for the level {self.level:g}, not"
                f" {self.permutations}"
            )

    def test(self, trial: Trial) -> Tested:
        """Over the prompts; left out where there are too few orders of them, or a metric is the same on all."""
        few = trial.faithfulness.on_first(self.prompts)
        n, needs = len(few.clean), next(n for n in range(1, 100) if factorial(n) >= 1 / self.level)
        if n < needs:
            why = f"{counted(n, 'prompt')} cannot be ordered in enough ways for the level {self.level:g}: it takes {needs} or more"
            return self.without("independence", why, n, needs=needs)
        rest = few.experiment.evaluator.metric_of(few.graph.mask & ~trial.circuit.mask)
        if min(np.ptp(rest.numpy()), np.ptp(few.clean.numpy())) <= rounding(few):
            return self.without("independence", "the metric is the same on all prompts", n)
        return self.found(few.clean.numpy(), rest.numpy(), trial)

    def found(self, model: np.ndarray, rest: np.ndarray, trial: Trial) -> Tested:
        """The test of the metric of the model, and of the model without the circuit: (N,) each."""
        seed, n = trial.experiment.seed, len(model)
        low, high = _interval(model, rest, trial.confidence, seed)
        return Tested(
            "independence",
            permutation_p(model, rest, self.permutations, seed),
            self.level,
            "the metric without the circuit depends on the model's",
            Interval(dependence(model, rest), low, high),
            "dependence",
            n,
            power=POWER,
            alternative=detectable_correlation(n, self.level),
            note="the power is that against a correlation of normal values",
        )


def kernel(values: np.ndarray) -> np.ndarray:
    """Centred Gaussian kernel of values (N,), as wide as their median distance: (N, N)."""
    distances = abs(values[:, None] - values[None, :])
    width = (
        np.median(distances[np.triu_indices(len(values), 1)]) or distances.max() or 1.0
    )  # where most values are the same
    return centred(np.exp(-((distances / width) ** 2) / 2))


def centred(gram: np.ndarray) -> np.ndarray:
    """A symmetric matrix (N, N) without the means of its rows and columns."""
    means = gram.mean(0)
    return gram - means[:, None] - means[None, :] + means.mean()


def dependence(first: np.ndarray, second: np.ndarray) -> float:
    """The criterion of two samples (N,), over the geometric mean of that of each with itself; NaN if one is constant."""
    one, other = kernel(first), kernel(second)
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else float("nan")


def permutation_p(first: np.ndarray, second: np.ndarray, permutations: int, seed: int) -> float:
    """P that two samples (N,) are independent: rank of the criterion among those of samples in random order."""
    one, other, rng = kernel(first), kernel(second), np.random.default_rng(seed)
    found = (one * other).sum() * (1 - 1e-12)  # sums in another order differ by rounding
    orders = (rng.permutation(len(first)) for _ in range(permutations))
    above = sum(bool((one * other[np.ix_(order, order)]).sum() >= found) for order in orders)
    return (1 + above) / (1 + permutations)


def _interval(first: np.ndarray, second: np.ndarray, confidence: float, seed: int) -> tuple[float, float]:
    """Subsampling interval of the dependence.

    Bootstrap samples contain prompts twice, which are dependent whatever the samples, so halves without repetition are drawn instead;
    their spread is that of n prompts (Politis and Romano 1994).
    """
    rng, n = np.random.default_rng(seed), len(first)
    halves = (rng.permutation(n)[: max(2, n // 2)] for _ in range(200))
    found = [dependence(first[rows], second[rows]) for rows in halves]
    low, high = np.nanquantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@lru_cache
def detectable_correlation(n: int, level: float) -> float:
    """The correlation of two normal samples of n that the criterion detects with a chance of 80%, by simulation; NaN if none below .99."""
    rng = np.random.default_rng(n)
    first, noise = rng.standard_normal((2, SIMULATED, n), dtype=np.float32)

    def gram(
        values: np.ndarray,
    ) -> np.ndarray:  # as wide as the median distance of normal values, which need not be measured
        return np.exp(-(((values[:, None] - values[None, :]) / _NORMAL_DISTANCE) ** 2) / 2)

    def criterion(correlation: float) -> np.ndarray:
        second = np.float32(correlation) * first + np.float32(np.sqrt(1 - correlation**2)) * noise
        return np.array([np.vdot(centred(gram(a)), gram(b)) for a, b in zip(first, second, strict=True)])

    least = np.quantile(criterion(0.0), 1 - level)
    low, high = 0.0, 0.99
    if (criterion(high) > least).mean() < POWER:
        return float("nan")
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if (criterion(middle) > least).mean() >= POWER else (middle, high)
    return high
