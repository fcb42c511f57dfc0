"""Faithfulness on prompts that are new in one factor: new names, new templates, new words, and all new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import nan

import numpy as np
import torch

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import bounded
from circuitsearch.task import Task
from circuitsearch.tasks.writer import Writer
from circuitsearch.validation.bootstrap import interval, ratio
from circuitsearch.validation.report import Generalisation, Interval, Report

LEAST = 8  # prompts of a file that are new in the same factors

Conditions = Iterator[tuple[tuple[str, ...], Task]]  # the factors that are new, and prompts


def generalisation(
    circuit: Circuit,
    selection: Experiment,
    evaluation: Experiment,
    report: Report,
    *,
    n: int = 64,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> tuple[Generalisation, ...]:
    """Measure a circuit on prompts that are new in no factor, in one factor, and in all.

    A task that writes its prompts writes ``n`` new ones for each: from the values that the search had, with those of one factor
    replaced by the values of the evaluation; the prompts that are new in all factors are those of the evaluation. For a task of given
    prompts with ``factors``, the prompts of the evaluation are divided by which of their values the search had; fewer than 8 of a
    kind are left out.

    Parameters
    ----------
    circuit : Circuit
        Every edge outside it is ablated.
    selection, evaluation : Experiment
        The prompts on which the circuit was found, and others.
    report : Report
        Of the circuit on those others.
    n : int
        Number of prompts that are written for each measurement.
    confidence, n_resamples
        Of the intervals.

    Returns
    -------
    tuple of Generalisation
        Empty if the prompts have no factors. The ratio of means is not defined (NaN) where the model does not do the task.
    """

    def over_prompts(statistic: Callable[..., np.ndarray], *columns: torch.Tensor) -> Interval:
        return interval(statistic, *columns, confidence=confidence, n_resamples=n_resamples, seed=evaluation.seed)

    found = []
    for new, task in _conditions(selection, evaluation, n):
        if task is evaluation.task:
            found.append(Generalisation(new, report.n, report.faithfulness, report.per_prompt))
            continue
        columns = _, clean, ablated = _measured(circuit, evaluation.on(task))
        done = clean.mean() > ablated.mean()
        faithfulness = over_prompts(ratio, *columns) if done else Interval(nan, nan, nan)
        found.append(Generalisation(new, len(task), faithfulness, over_prompts(np.mean, bounded(*columns))))
    return tuple(found)


def _measured(circuit: Circuit, experiment: Experiment) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The metric of the circuit, of the model and with every edge ablated: (N,) each."""
    ((clean, ablated),) = experiment.evaluator.ends()
    return experiment.evaluator.metric_of(circuit.mask), clean, ablated


def _conditions(selection: Experiment, evaluation: Experiment, n: int) -> Conditions:
    ours, theirs = selection.task, evaluation.task
    if ours.writer is None or theirs.writer is None:
        yield from _divided(ours, theirs)
        return
    seen, length = set(ours.prompt_digests()), evaluation.granularity.positions
    factors = _new_factors(ours.writer, theirs.writer)
    for new, task in _written(ours.writer, theirs.writer, factors, n, evaluation.seed + 1):
        lengths_and_digests = zip(map(len, task.clean), task.prompt_digests(), strict=True)
        rows = [r for r, (long, digest) in enumerate(lengths_and_digests) if digest not in seen and length in (0, long)]
        if rows:
            yield new, task.subset(rows)
    if factors:
        yield factors, theirs


def _new_factors(ours: Writer, theirs: Writer) -> tuple[str, ...]:
    """Those of which no value is in both pools."""
    return tuple(factor for factor, values in ours.pools.items() if not set(values) & set(theirs.pools[factor]))


def _written(ours: Writer, theirs: Writer, factors: tuple[str, ...], n: int, seed: int) -> Conditions:
    """New prompts from our pools, and from theirs for one factor of several."""
    for new in [(), *((factor,) for factor in factors if len(factors) > 1)]:
        yield new, ours.taking(theirs, *new).draw(n, seed=seed, at_most=True)


def _divided(selection: Task, evaluation: Task) -> Conditions:
    """The prompts of the evaluation by which of their values the selection had."""
    if not (selection.factors and evaluation.factors):
        return
    had: dict[str, set[str]] = {}
    for factors in selection.factors:
        for factor, values in factors.items():
            had.setdefault(factor, set()).update(values)
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, factors in enumerate(evaluation.factors):
        rows.setdefault(_new_in(factors, had), []).append(row)
    for new in sorted(rows, key=len):
        if len(rows[new]) >= LEAST:
            yield new, evaluation.subset(rows[new])


def _new_in(factors: Mapping[str, tuple[str, ...]], had: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The factors of a prompt of which any value is new."""
    return tuple(factor for factor, values in factors.items() if not set(values) <= had.get(factor, set()))
