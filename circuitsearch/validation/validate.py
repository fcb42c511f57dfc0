"""The verb that gathers the evidence for a circuit."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from circuitsearch.ablation import Ablation
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness, bounded
from circuitsearch.metrics import accuracy, metric_name, neg_kl
from circuitsearch.scores import Progress
from circuitsearch.task import Task
from circuitsearch.validation.bootstrap import Statistic, interval
from circuitsearch.validation.controls import random_circuits
from circuitsearch.validation.curve import size_curve
from circuitsearch.validation.report import Interval, Report


def validate(
    model: Any,
    circuit: Circuit,
    held_out: Task,
    *,
    ablation: Ablation | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    n_controls: int = 20,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Measure a circuit on prompts that it was not found on, with intervals and controls.

    Parameters
    ----------
    model
        A Hugging Face causal language model.
    circuit : Circuit
        Every edge outside it is cut.
    held_out : Task
        Prompts that the search did not see.
    ablation : Ablation, optional
        What a cut edge carries; the corrupt prompt's value by default. Use the search's own.
    n_resamples, confidence
        Of the BCa bootstrap over prompts.
    n_controls : int
        Random circuits of the same size to compare with.

    Raises
    ------
    InputError
        If the circuit belongs to another graph, the model does not do the task, or there are fewer than two prompts.
    """
    faithfulness = Faithfulness(model, held_out, ablation, granularity=circuit.graph.granularity)
    if circuit.graph != faithfulness.graph:
        raise InputError(
            f"the circuit is one of {circuit.graph}, the model has {faithfulness.graph}: give the model it was found in"
        )
    values, kl, right = faithfulness.evaluator.circuits(circuit.mask[None], held_out.metric, neg_kl, accuracy)
    (model_right,) = faithfulness.evaluator.clean(accuracy)
    progress(1, 3)
    controls = _controls(faithfulness, len(circuit), n_controls, seed)
    progress(2, 3)
    clean, ablated = faithfulness.clean, faithfulness.ablated

    def over_prompts(statistic: Statistic, *columns: Tensor) -> Interval:
        return interval(statistic, *columns, confidence=confidence, n_resamples=n_resamples, seed=seed)

    curve = size_curve(circuit, faithfulness, interval_of=lambda values: over_prompts(_ratio, values, clean, ablated))
    progress(3, 3)
    return Report(
        task=held_out.name,
        n=len(held_out),
        metric=metric_name(held_out.metric),
        ablation=repr(faithfulness.evaluator.ablation),
        confidence=confidence,
        n_edges=len(circuit),
        n_edges_total=circuit.graph.n_edges,
        faithfulness=over_prompts(_ratio, values[0], clean, ablated),
        per_prompt=over_prompts(np.mean, bounded(values[0], clean, ablated)),
        kl=over_prompts(np.mean, -kl[0]),
        accuracy_kept=over_prompts(_kept, right[0], model_right),
        clean=float(clean.mean()),
        ablated=float(ablated.mean()),
        circuit=float(values.mean()),
        model_accuracy=float(model_right.mean()),
        circuit_accuracy=float(right.mean()),
        controls=controls,
        curve=curve,
        seed=seed,
        n_resamples=n_resamples,
    )


def _ratio(circuit: np.ndarray, clean: np.ndarray, ablated: np.ndarray, axis: int) -> np.ndarray:
    """The ratio of means, as NumPy resamples it."""
    return (circuit - ablated).mean(axis) / (clean - ablated).mean(axis)


def _kept(circuit: np.ndarray, model: np.ndarray, axis: int) -> np.ndarray:
    return circuit.mean(axis) / model.mean(axis)


def _controls(faithfulness: Faithfulness, n_edges: int, count: int, seed: int) -> tuple[float, ...]:
    if count == 0 or n_edges == 0:
        return ()
    masks = random_circuits(faithfulness.graph, n_edges, count, seed)
    return tuple(faithfulness(masks).tolist())
