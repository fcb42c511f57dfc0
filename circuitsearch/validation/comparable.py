"""Comparable numbers: one circuit's faithfulness as other papers measure it."""

from __future__ import annotations

from typing import Any, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.progress import Progress, silent
from circuitsearch.task import Task
from circuitsearch.validation.checks.conventions import Conventions
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


def comparable(
    model: Any,
    circuit: Circuit,
    held_out: Task,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Measurement:
    """Measure a circuit's faithfulness under every combination of conventions that papers use.

    It is the check :class:`circuitsearch.validation.checks.Conventions`, which says what the columns of its table mean.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    circuit : Circuit
        The circuit.
    held_out : Task
        Prompts that the search did not use; the first 64 different ones are run.
    confidence, n_resamples
        Of the intervals over prompts.
    progress : callable
        Called with (ablations done, ablations in all).
    **settings
        As of :class:`circuitsearch.Experiment`; by default those with which the circuit was found.

    Returns
    -------
    Measurement
        A row for each combination; the first one, which is also the value, is the faithfulness of a report.

    Raises
    ------
    InputError
        As :func:`circuitsearch.validate`.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> train, held_out = cs.tasks.induction(tokenizer, n=16).split()
    >>> circuit = cs.top(cs.score(model, train, "eap"), 100)
    >>> found = comparable(model, circuit, held_out, n_resamples=50)
    >>> noised = found.where(ablation="Zero()", direction="noising", metric="logit_diff", average="bounded mean")
    >>> [row["granularity"] for row in noised]
    ['edges', 'nodes']
    """
    experiment = Experiment.of(model, held_out.distinct(), circuit, **settings)
    trial = Trial(experiment, circuit, confidence=confidence, n_resamples=n_resamples)
    return Conventions().measure(trial, progress)
