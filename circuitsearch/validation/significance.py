"""Whether a model does a task: a paired test against all edges ablated, and a test of accuracy against chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isnan, log, nan

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from circuitsearch.errors import counted
from circuitsearch.files import STRICT, Number
from circuitsearch.task import Task

LEVEL = 0.01
MOST_EXACT = 50  # prompts up to which the distribution of the rank sum is computed


@dataclass(frozen=True)
class TaskTest:
    """Two one-sided tests over N different prompts; a model does a task if both are significant.

    Attributes
    ----------
    n : int
        Number of different prompts.
    metric_p : float
        That the metric is higher in the model than with every edge ablated, prompt by prompt: Wilcoxon's signed-rank test.
    accuracy_p : float
        That the accuracy is above chance: exact binomial test; NaN if there are no wrong answers, and then the metric alone is tested.
    chance : float
        Accuracy of logits in random order: k / (k + w) for k right and w wrong answers, averaged over prompts; NaN if there are no
        wrong answers.

    Notes
    -----
    Each test has the level .01, so both together are significant by chance in at most 1% of the cases, however the two
    depend on each other. Fewer than 7 prompts cannot be significant at .01; for them the level is the smallest p that so many
    prompts can give, which only a result without exception has, and :attr:`verdict` says so.

    Where chance differs between prompts, the binomial distribution of its mean is wider than that of the number of right prompts
    (Hoeffding 1956), so that the test is conservative.
    """

    __pydantic_config__ = STRICT

    n: int
    metric_p: Number
    accuracy_p: Number
    chance: Number

    @classmethod
    def of(cls, clean: Tensor, ablated: Tensor, right: Tensor, chance: Tensor) -> TaskTest:
        """Test the metric of the model and with every edge ablated, and 1 for each right prompt, 0 for others: (N,) each."""
        n, mean_chance = len(clean), float(chance.mean())
        metric_p = signed_rank_p((clean - ablated).double().numpy())
        if isnan(mean_chance):
            return cls(n, metric_p, nan, nan)
        found = stats.binomtest(int(right.sum()), n, mean_chance, alternative="greater")
        return cls(n, metric_p, float(found.pvalue), mean_chance)

    @property
    def against_chance(self) -> bool:
        """Whether the accuracy is tested too: there are wrong answers."""
        return not isnan(self.chance)

    @property
    def levels(self) -> tuple[float, ...]:
        """Of the test of the metric, and of that of accuracy if there is one: .01, or the smallest p that the prompts can give."""
        return tuple(max(LEVEL, least**self.n) for least in (0.5, self.chance) if not isnan(least))

    @property
    def significant(self) -> bool:
        """Whether both tests are, or the only one."""
        rounding = 1 + 1e-9
        return all(
            p <= level * rounding for p, level in zip((self.metric_p, self.accuracy_p), self.levels, strict=False)
        )

    @property
    def verdict(self) -> str:
        """Whether the model does the task, at which level, and what so few prompts cannot show."""
        if not self.significant:
            return f"not shown at the level {LEVEL:g} that the model does the task"
        level = max(self.levels)
        if level <= LEVEL:
            return f"the model does the task (level {LEVEL:g})"
        enough = ceil(log(LEVEL) / log(max(0.5, self.chance if self.against_chance else 0.5)))
        return f"without exception, but {counted(self.n, 'prompt')} can show no more than p = {level:.2g}: give {enough} or more for the level {LEVEL:g}"

    def __str__(self) -> str:
        metric = f"Wilcoxon p {_p(self.metric_p)} against all ablated"
        if not self.against_chance:
            return f"{metric}; no wrong answers to compare with"
        return f"{metric}, binomial p {_p(self.accuracy_p)} against chance {self.chance:.1%}"


def _p(value: float) -> str:
    return f"= {value:.2g}" if value >= 1e-6 else "< 1e-06"


def chance(task: Task) -> Tensor:
    """Accuracy of logits in random order on each prompt: (N,); NaN where the answer is teacher-forced, without wrong ones."""
    if task.teacher_forced:
        return torch.full((len(task),), nan, dtype=torch.float64)
    counts = [(len(right), len(wrong)) for right, wrong in zip(task.answers, task.wrong, strict=True)]
    return torch.tensor([right / (right + wrong) for right, wrong in counts], dtype=torch.float64)


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values so that all are right at once with the level's probability (Holm 1979), in the order given.

    Examples
    --------
    >>> [round(each, 3) for each in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    order = np.argsort(p, kind="stable")
    raised = np.minimum(np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)), 1)
    adjusted = np.empty(len(p))
    adjusted[order] = raised
    return adjusted.tolist()


def signed_rank_p(differences: np.ndarray) -> float:
    """One-sided p of Wilcoxon's signed-rank test that differences (N,) are positive.

    Differences of 0 are ranked with the others and then left out (Pratt 1959). Up to 50 prompts the distribution is exact,
    also with ties; for more it is the normal approximation.

    Examples
    --------
    >>> signed_rank_p(np.array([1.0, 2.0, 3.0, -0.5])), signed_rank_p(np.zeros(4))
    (0.125, 1.0)
    """
    if not differences.any():
        return 1.0
    if len(differences) > MOST_EXACT:
        _, p = stats.wilcoxon(differences, zero_method="pratt", alternative="greater", method="asymptotic")
        return float(p)  # pyright: ignore[reportArgumentType]
    ranks = np.rint(2 * stats.rankdata(abs(differences))).astype(int)  # doubled, since ranks of ties are halves
    share = np.zeros(ranks.sum() + 1)  # share[s]: of all signs, those whose positive ranks sum to s
    share[0] = 1
    for rank in ranks[differences != 0]:
        share = (share + np.concatenate([np.zeros(rank), share[:-rank]])) / 2
    return float(share[ranks[differences > 0].sum() :].sum())
