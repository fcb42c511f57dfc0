"""The effect of each edge in a circuit that has it, with its interval and its p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from circuitsearch.engine.interventions import Interventions
from circuitsearch.experiment import Experiment
from circuitsearch.validation import Interval

ROUNDING = 1e-6  # of a metric computed in float32, over the largest of its values


@dataclass(frozen=True)
class Effect:
    """How much the circuit's metric falls when the edge is ablated, averaged over prompts, and the p-value of no effect."""

    value: Interval
    p: float


NOT_MEASURED = Effect(Interval(nan, nan, nan), nan)


def effects_of(experiment: Experiment, circuits: Sequence[Tensor], edges: Tensor, confidence: float) -> list[Effect]:
    """The exact effect of each of the ``edges`` (E, 2), in the smallest of the ``circuits`` (U, V) that have it.

    In the union of all circuits, edges that stand in for one another would have no effect.
    """
    order = sorted(circuits, key=lambda mask: int(mask.sum()))
    has = torch.stack([mask[edges[:, 0], edges[:, 1]] for mask in order])  # (C, E)
    smallest = has.int().argmax(0)  # the first of the largest values
    found = [NOT_MEASURED] * len(edges)
    for place in smallest.unique().tolist():
        own = (smallest == place).nonzero().flatten()
        for row, drops in zip(own.tolist(), _drops(experiment, order[place], edges[own]), strict=True):
            found[row] = effect(drops, confidence)
    return found


def _drops(experiment: Experiment, mask: Tensor, edges: Tensor) -> np.ndarray:
    """How much the metric of a circuit (U, V) falls without each of its edges (E, 2), on every prompt: (E, N).

    Falls that rounding explains are 0.
    """
    evaluator = experiment.evaluator
    (whole,) = evaluator.circuits(mask[None], near=mask)  # (1, N)
    (without,) = evaluator.interventions(Interventions.ablating_each(edges), near=mask)
    drops = (whole - without).double()
    return torch.where(drops.abs() <= ROUNDING * whole.abs().max().clamp(min=1), 0.0, drops).numpy()


def effect(drops: np.ndarray, confidence: float) -> Effect:
    """From the falls (N,) of the metric on the prompts: their mean, with the interval and the two-sided test of Student's t.

    If all falls are equal, there is nothing to test: p is 1 if they are 0, and else 0. One prompt has neither.

    Examples
    --------
    >>> found = effect(np.array([1.0, 2.0, 3.0, 2.0]), confidence=0.95)
    >>> print(found.value, round(found.p, 4))
    2.000 [0.701, 3.299] 0.0163
    """
    mean = float(drops.mean())
    if len(drops) < 2:
        return Effect(Interval(mean, nan, nan), nan)
    if np.ptp(drops) <= ROUNDING * max(1.0, abs(mean)):
        return Effect(Interval(mean, mean, mean), float(mean == 0))
    test = stats.ttest_1samp(drops, 0)
    ends = test.confidence_interval(confidence)
    return Effect(Interval(mean, float(ends.low), float(ends.high)), float(test.pvalue))  # pyright: ignore[reportAttributeAccessIssue]


def adjusted(ps: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number, so that 5% of those below .05 are expected to be wrong (Benjamini and Hochberg 1995).

    Those that are not measured, NaN, stay so and do not count.
    """
    values = np.array(ps, dtype=float)
    known = ~np.isnan(values)
    if known.any():
        values[known] = stats.false_discovery_control(values[known], method="bh")
    return values.tolist()
