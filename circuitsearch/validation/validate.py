"""Validate a circuit: checks on held-out prompts, with intervals and controls."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.files import to_json
from circuitsearch.progress import Progress, silent
from circuitsearch.registry import CHECKS
from circuitsearch.steps import Steps
from circuitsearch.task import Task
from circuitsearch.validation.checks import USUAL, Check, RandomCircuits
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.report import Report
from circuitsearch.validation.trial import Trial


def validate(
    model: Any,
    circuit: Circuit,
    held_out: Task,
    *,
    selection: Experiment | None = None,
    checks: Sequence[Check | str] = (),
    n_resamples: int = 2000,
    confidence: float = 0.95,
    n_controls: int = 20,
    checkpoint: str | Path | None = None,
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
    selection : Experiment, optional
        On the prompts of the search: then the report has the faithfulness on new prompts, new names, new templates ..., where prompts
        have such factors.
    checks : sequence of Check or str
        Further checks, in addition to the usual ones (:mod:`circuitsearch.validation.checks`) or in place of those that measure the same.
    n_resamples, confidence
        Of the intervals over prompts: BCa bootstraps, widened for few prompts.
    n_controls : int
        Random circuits of the same size to compare with.
    checkpoint : path, optional
        A file for what each check found, which a call that was interrupted goes on from; it is left there.
    progress : callable
        Called with (checks done, checks in all).
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
    trial = Trial(Experiment.of(model, task, circuit, **settings), circuit, selection, confidence, n_resamples)
    wanted = _wanted(n_controls, [CHECKS.read(each) for each in checks])
    setup = trial.experiment.setup
    finished: Steps[Measurement] = Steps(checkpoint, Measurement, partial(_identity, trial))
    measurements = []
    for done, check in enumerate(wanted, 1):
        measurements.append(finished.once(f"{done} {check!r}", lambda check=check: check.measure(trial)))
        progress(done, len(wanted))
    report = Report(
        measurements=(),
        setup=setup,
        n_seen=None if circuit.setup is None else circuit.setup.seen(setup.prompts),
        n_copies=len(held_out) - len(task),
        n_edges=len(circuit),
        n_edges_total=circuit.graph.n_edges,
        confidence=confidence,
        n_resamples=n_resamples,
    )
    return report.adding(*measurements)


def _identity(trial: Trial) -> dict[str, Any]:
    """What every check depends on."""
    return {
        "setup": trial.experiment.setup.identity(),
        "selection": None if trial.selection is None else trial.selection.setup.identity(),
        "circuit": hashlib.sha256(to_json(trial.circuit.to_dict()).encode()).hexdigest(),
        "intervals": (trial.confidence, trial.n_resamples),
    }


def _wanted(n_controls: int, further: list[Check]) -> list[Check]:
    """The usual checks, of which further ones of the same class take the place, and then the others."""
    usual = [replace(each, count=n_controls) if isinstance(each, RandomCircuits) else each for each in USUAL]
    changed = {type(each): each for each in further}
    return [changed.pop(type(each), each) for each in usual] + list(changed.values())
