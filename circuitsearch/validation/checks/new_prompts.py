"""Faithfulness on prompts that are new in one factor: new names, new templates, new words, and all new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.escape import plain_text
from circuitsearch.example import PromptWriter
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import bounded
from circuitsearch.knobs import Knobs
from circuitsearch.task import Task
from circuitsearch.validation.bootstrap import ratio
from circuitsearch.validation.measurement import Cell, Interval, Measurement, number
from circuitsearch.validation.trial import Trial

LEAST = 8  # prompts of a file that are new in the same factors

ENDS = ("", "_low", "_high")  # of the names of an interval's columns

Conditions = Iterator[tuple[tuple[str, ...], Task]]  # the factors that are new, and prompts


@dataclass(frozen=True)
class Generalisation:
    """Faithfulness on prompts that are new in some factors and written from the values of the search in all others.

    Attributes
    ----------
    new : tuple of str
        The factors (names, templates ...) whose values the search did not have; empty for new prompts of the same values.
    n : int
        Number of prompts.
    faithfulness, per_prompt : Interval
        As in :class:`circuitsearch.Report`.
    """

    new: tuple[str, ...]
    n: int
    faithfulness: Interval
    per_prompt: Interval

    @property
    def label(self) -> str:
        """What is new, in words; names of factors come from files, so they are shortened and without control characters."""
        return f"new {shortened(plain_text(', '.join(self.new)), 60) or 'prompts'}"


@dataclass(frozen=True)
class NewPrompts(Knobs):
    """Faithfulness on prompts that are new in no factor, in one factor, and in all.

    A task that writes its prompts writes ``n`` new ones for each: from the values that the search had, with those of one factor
    replaced by held-out values; the prompts that are new in all factors are the held-out ones. For a task of given prompts with
    ``factors``, the held-out prompts are divided by which of their values the search had; fewer than 8 of a kind are left out.

    Parameters
    ----------
    n : int
        Number of prompts that are written for each measurement.
    """

    n: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise InputError(f"there must be 1 new prompt or more, not {self.n}")

    def measure(self, trial: Trial) -> Measurement:
        """A row for each kind of prompts; none if they have no factors, or the prompts of the search are not known.

        The ratio of means is not defined (NaN) where the model does not do the task.
        """
        if trial.selection is None:
            return self.found(())
        return self.found([_found(trial, *kind) for kind in _conditions(trial.selection, trial.experiment, self.n)])

    def found(self, kinds: Sequence[Generalisation]) -> Measurement:
        """The measurement of some kinds of prompts."""
        return Measurement("new_prompts", table=tuple(map(_row, kinds)), lines=tuple(map(_line, kinds)))


def generalisations(measurement: Measurement) -> tuple[Generalisation, ...]:
    """The kinds of prompts of a measurement."""
    return tuple(
        Generalisation(
            tuple(row["new"]),  # pyright: ignore[reportArgumentType]
            int(number(row["n"])),
            *(Interval(*(number(row[f"{name}{end}"]) for end in ENDS)) for name in ("faithfulness", "per_prompt")),
        )
        for row in measurement.table
    )


def _row(kind: Generalisation) -> dict[str, Cell]:
    row: dict[str, Cell] = {"new": kind.new, "n": kind.n}
    for name in ("faithfulness", "per_prompt"):
        each: Interval = getattr(kind, name)
        row |= zip((f"{name}{end}" for end in ENDS), (each.value, each.low, each.high), strict=True)
    return row


def _line(kind: Generalisation) -> tuple[str, str]:
    return kind.label, f"faithfulness {kind.faithfulness}, per prompt {kind.per_prompt}, on {kind.n} prompts"


def _found(trial: Trial, new: tuple[str, ...], task: Task) -> Generalisation:
    """On prompts of one kind; those that are new in all factors are the trial's own."""
    if task is trial.experiment.task:
        return Generalisation(new, len(task), trial.of_means, trial.per_prompt)
    columns = _, clean, ablated = _measured(trial.circuit, trial.experiment.on(task))
    done = clean.mean() > ablated.mean()
    of_means = trial.interval(ratio, *columns) if done else Interval(nan, nan, nan)
    return Generalisation(new, len(task), of_means, trial.interval(np.mean, bounded(*columns)))


def _measured(circuit: Circuit, experiment: Experiment) -> tuple[Tensor, Tensor, Tensor]:
    """The metric of the circuit, of the model and with every edge ablated: (N,) each."""
    ((clean, ablated),) = experiment.evaluator.ends()
    return experiment.evaluator.metric_of(circuit.mask), clean, ablated


def generalisation(
    circuit: Circuit,
    selection: Experiment,
    evaluation: Experiment,
    *,
    n: int = 64,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> tuple[Generalisation, ...]:
    """Measure a circuit on prompts that are new in no factor, in one factor, and in all: see :class:`NewPrompts`.

    Parameters
    ----------
    circuit : Circuit
        Every edge outside it is ablated.
    selection, evaluation : Experiment
        The prompts on which the circuit was found, and others.
    n : int
        Number of prompts that are written for each measurement.
    confidence, n_resamples
        Of the intervals.

    Returns
    -------
    tuple of Generalisation
        Empty if the prompts have no factors.
    """
    trial = Trial(evaluation, circuit, selection, confidence, n_resamples)
    return generalisations(NewPrompts(n).measure(trial))


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


def _new_factors(ours: PromptWriter, theirs: PromptWriter) -> tuple[str, ...]:
    """Those of which no value is in both pools."""
    return tuple(factor for factor, values in ours.pools.items() if not set(values) & set(theirs.pools[factor]))


def _written(ours: PromptWriter, theirs: PromptWriter, factors: tuple[str, ...], n: int, seed: int) -> Conditions:
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
