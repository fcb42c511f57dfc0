"""Validate a circuit: faithfulness and other measures on held-out prompts, with intervals and controls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import numpy as np

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import Faithfulness, bounded
from circuitsearch.metrics import accuracy, neg_kl
from circuitsearch.progress import Progress, silent
from circuitsearch.task import Task
from circuitsearch.validation.bootstrap import METHOD, interval, ratio
from circuitsearch.validation.controls import random_circuits
from circuitsearch.validation.curve import size_curve
from circuitsearch.validation.report import Interval, Report
from circuitsearch.validation.significance import TaskTest, chance

CURVE_PROMPTS = 64  # at most, for the curve: large circuits cost as much as the model
CONTROL_PROMPTS = 16  # at most, for random circuits: they are many, and nearly always keep nothing
Intervals = Callable[..., Interval]  # from a statistic and columns (N,) to its interval over prompts


def validate(
    model: Any,
    circuit: Circuit,
    held_out: Task,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    n_controls: int = 20,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Report:
    """Measure a circuit on prompts that it was not found on, with intervals and controls.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    circuit : Circuit
        Every edge outside it is ablated.
    held_out : Task
        Prompts that the search did not use; the report counts those that it did. Duplicate pairs are left out, since they
        add no information.
    n_resamples, confidence
        Of the intervals over prompts: BCa bootstraps, widened for few prompts.
    n_controls : int
        Random circuits of the same size to compare with.
    progress : callable
        Called with (steps done, steps in all).
    **settings
        As of :class:`circuitsearch.Experiment`; by default the settings with which the circuit was found. ``seed`` is used
        for the controls and the intervals.

    Raises
    ------
    InputError
        If the circuit belongs to another graph, the model does not do the task, or the ablation or the metric differs from
        that of the search.
    """
    task = held_out.distinct()
    experiment = Experiment.of(model, task, circuit, **settings)
    _check_choices(n_resamples, confidence, n_controls)
    experiment.evaluator.ends(experiment.task.metric, accuracy)  # in one sweep over the prompts
    faithfulness, seed = Faithfulness(experiment), experiment.seed
    over_prompts: Intervals = partial(interval, confidence=confidence, n_resamples=n_resamples, seed=seed)
    numbers = _numbers(circuit, faithfulness, over_prompts)
    progress(1, 3)
    few = faithfulness.on_first(CONTROL_PROMPTS)
    controls = _controls(few, len(circuit), n_controls, seed)
    progress(2, 3)
    some = faithfulness.on_first(CURVE_PROMPTS)
    ends = (some.clean, some.ablated)
    curve = size_curve(circuit, some, interval_of=lambda values: over_prompts(ratio, values, *ends))
    progress(3, 3)
    return Report(
        setup=experiment.setup,
        n_seen=None if circuit.setup is None else circuit.setup.seen(experiment.setup.prompts),
        n_copies=len(held_out) - len(task),
        n_edges=len(circuit),
        n_edges_total=circuit.graph.n_edges,
        confidence=confidence,
        n_resamples=n_resamples,
        intervals=METHOD,
        controls=controls,
        n_control_prompts=len(few.clean),
        curve=curve,
        **numbers,
    )


def _numbers(circuit: Circuit, faithfulness: Faithfulness, over_prompts: Intervals) -> dict[str, Any]:
    """Everything in a report that is measured on the circuit itself."""
    values, kl, right = faithfulness.metrics(circuit.mask[None], faithfulness.metric, neg_kl, accuracy)
    ((model_right, _),) = faithfulness.experiment.evaluator.ends(accuracy)
    clean, ablated = faithfulness.clean, faithfulness.ablated
    return {
        "faithfulness": over_prompts(ratio, values[0], clean, ablated),
        "per_prompt": over_prompts(np.mean, bounded(values[0], clean, ablated)),
        "kl": over_prompts(np.mean, -kl[0]),
        "accuracy_kept": over_prompts(_kept, right[0], model_right),
        "clean": float(clean.mean()),
        "ablated": float(ablated.mean()),
        "circuit": float(values.mean()),
        "test": TaskTest.of(clean, ablated, model_right, chance(faithfulness.experiment.task)),
        "model_accuracy": float(model_right.mean()),
        "circuit_accuracy": float(right.mean()),
    }


def _check_choices(n_resamples: int, confidence: float, n_controls: int) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"the confidence must be between 0 and 1, not {confidence}")
    if n_resamples < 1 or n_controls < 0:
        raise InputError(f"there must be 1 resample or more and 0 controls or more, not {n_resamples} and {n_controls}")


def _kept(circuit: np.ndarray, model: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):  # not defined where the model is never right
        return circuit.mean(axis) / model.mean(axis)


def _controls(faithfulness: Faithfulness, n_edges: int, count: int, seed: int) -> tuple[float, ...]:
    if count == 0 or n_edges == 0:
        return ()
    masks = random_circuits(faithfulness.graph, n_edges, count, seed)
    return tuple(each.value for each in faithfulness.measured_each(list(masks)))
