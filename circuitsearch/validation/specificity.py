"""``specificity``: runs every circuit of a model on every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import nan
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import bounded
from circuitsearch.files import STRICT, to_json
from circuitsearch.progress import Progress, silent
from circuitsearch.steps import Steps
from circuitsearch.task import Task
from circuitsearch.validation.behaviour import behaviour
from circuitsearch.validation.bootstrap import interval, ratio
from circuitsearch.validation.cross_task import Specificity
from circuitsearch.validation.measurement import Interval
from circuitsearch.validation.on_task import OnTask, Overlap

LEVEL = 0.5
UNDEFINED = Interval(nan, nan, nan)


def specificity(
    model: Any,
    circuits: Sequence[Circuit] | Mapping[str, Circuit],
    tasks: Sequence[Task] | Mapping[str, Task],
    *,
    level: float = LEVEL,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    checkpoint: str | Path | None = None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Specificity:
    """Measure every circuit of a model on every task, and how many edges circuits share.

    A circuit that is specific does its own task and no other. A circuit of many edges may do several.

    Prompts that chose a circuit's edges are left out where it is measured, unless no others are left. The circuit records no prompts
    on which the search stopped: give tasks of other prompts than those of the search, to have held-out ones. Duplicate
    prompts are left out, too. On a task that the model does not do nothing is measured; the result says why.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    circuits, tasks : sequence or mapping
        By name, or named after their tasks. Each circuit has the name of its own task; there may be more tasks than circuits.
    level : float
        Faithfulness from which a circuit counts as doing a task, in the sentences of the result.
    n_resamples, confidence
        Of the intervals over prompts: BCa bootstraps, widened for few prompts.
    checkpoint : path, optional
        A file that keeps what is measured on each finished task, from which work that was interrupted goes on.
    progress : callable
        Called with (tasks done, tasks in all).
    **settings
        As of :class:`circuitsearch.Experiment`; by default the ablation and the granularity with which the circuits were found.

    Raises
    ------
    InputError
        If two circuits or tasks have the same name, a circuit's own task is missing, circuits are of different graphs, or the
        ablation or the metric of a circuit's own task differs from that of its search.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> tasks = [cs.tasks.induction(tokenizer, n=16), cs.tasks.greater_than(tokenizer, n=16)]
    >>> circuits = [cs.top(cs.score(model, task, cs.EAP()), 20) for task in tasks]
    >>> found = cs.specificity(model, circuits, [task.fresh(16, seed=1) for task in tasks], n_resamples=50)
    >>> found.circuits
    {'induction': 13, 'greater_than': 20}
    >>> found["induction", "greater_than"].faithfulness.value < found.level
    True
    """
    of_task = _named("circuit", circuits, lambda circuit: circuit.task)
    experiments = _experiments(model, of_task, _named("task", tasks, lambda task: task.name), settings)
    about = partial(_identity, of_task, experiments, (confidence, n_resamples))
    finished: Steps[_Column] = Steps(checkpoint, _Column, about)
    columns: dict[str, _Column] = {}
    for done, (name, experiment) in enumerate(experiments.items(), 1):
        columns[name] = finished.once(name, partial(_measured, name, experiment, of_task, confidence, n_resamples))
        experiment.evaluator.release()
        progress(done, len(experiments))
    return Specificity(
        circuits={name: len(circuit) for name, circuit in of_task.items()},
        tasks=tuple(experiments),
        on_tasks=tuple(each for column in columns.values() for each in column.circuits),
        overlaps=tuple(Overlap.of(one, a.mask, two, b.mask) for (one, a), (two, b) in combinations(of_task.items(), 2)),
        undefined={name: column.undefined for name, column in columns.items() if column.undefined},
        level=level,
        confidence=confidence,
        n_resamples=n_resamples,
        setups={name: experiment.setup for name, experiment in experiments.items()},
    )


def _named(kind: str, given: Any, name_of: Any) -> dict[str, Any]:
    """By name, each of which is there once."""
    if isinstance(given, Mapping):
        named = dict(given)
    else:
        names = [name_of(each) for each in given]
        unclear = next((name for name in names if not name or names.count(name) > 1), None)
        if unclear is not None:
            raise InputError(
                f"a {kind} without a name, or two named {shortened(repr(unclear))}: give a mapping from names to {kind}s"
            )
        named = dict(zip(names, given, strict=True))
    if not named:
        raise InputError(f"specificity needs 1 {kind} or more, and none is given")
    return named


def _experiments(
    model: Any, circuits: Mapping[str, Circuit], tasks: Mapping[str, Task], settings: Settings
) -> dict[str, Experiment]:
    """The model on each task, checked against the task's own circuit."""
    alone = next((name for name in circuits if name not in tasks), None)
    if alone is not None:
        raise InputError(
            f"the circuit {shortened(repr(alone))} has no task of its own among {shortened(', '.join(tasks))}: give that"
            " task too, under the circuit's name"
        )
    first, *_ = circuits
    base = Experiment.of(model, tasks[first].distinct(), circuits[first], **settings)
    return {
        name: base if name == first else Experiment.of(base, task.distinct(), circuits.get(name))
        for name, task in tasks.items()
    }


def _not_done(experiment: Experiment) -> str:
    """Why the model does not count as doing a task; empty if it does."""
    try:
        behaviour(experiment, experiment.task).check()
    except InputError as problem:
        return str(problem)
    return ""


def _identity(
    circuits: Mapping[str, Circuit], experiments: Mapping[str, Experiment], intervals: tuple[float, int]
) -> dict[str, Any]:
    """What every column depends on."""
    return {
        "circuits": {name: to_json(circuit.to_dict()) for name, circuit in circuits.items()},
        "setups": {name: experiment.setup.identity() for name, experiment in experiments.items()},
        "intervals": intervals,
    }


@dataclass(frozen=True)
class _Column:
    """What circuits do on one task, and why nothing is defined there if so."""

    __pydantic_config__ = STRICT

    circuits: tuple[OnTask, ...]
    undefined: str = ""


def _measured(
    name: str, experiment: Experiment, circuits: Mapping[str, Circuit], confidence: float, n_resamples: int
) -> _Column:
    """Run every circuit by itself on a task, if the model does it."""
    problem = _not_done(experiment)
    if problem:
        nothing = (OnTask(circuit, name, UNDEFINED, UNDEFINED, len(experiment.task)) for circuit in circuits)
        return _Column(tuple(nothing), problem)
    on_task = _OnOneTask(name, experiment, confidence, n_resamples)
    values = experiment.evaluator.metric_of_each([circuit.mask for circuit in circuits.values()])  # (C, N)
    return _Column(tuple(on_task(*each, row) for each, row in zip(circuits.items(), values, strict=True)))


class _OnOneTask:
    """The prompts of a task, and the model on them."""

    def __init__(self, name: str, experiment: Experiment, confidence: float, n_resamples: int) -> None:
        self.name, self.digests = name, experiment.task.prompt_digests()
        self.settings = {"confidence": confidence, "n_resamples": n_resamples, "seed": experiment.seed}
        ((self.clean, self.ablated),) = experiment.evaluator.ends()

    def __call__(self, name: str, circuit: Circuit, values: Tensor) -> OnTask:
        """One circuit, on the prompts that did not choose its edges."""
        used = set() if circuit.setup is None else set(circuit.setup.prompts)
        new = torch.tensor([digest not in used for digest in self.digests])  # (N,)
        kept = new if bool(new.any()) else torch.ones_like(new)
        columns = [each[kept] for each in (values, self.clean, self.ablated)]
        if not float(columns[1].mean()) > float(columns[2].mean()):
            of_means = UNDEFINED
        else:
            of_means = interval(ratio, *columns, **self.settings)
        per_prompt = interval(np.mean, bounded(*columns), **self.settings)
        n_seen = None if circuit.setup is None else int((kept & ~new).sum())
        return OnTask(name, self.name, of_means, per_prompt, int(kept.sum()), n_seen)
