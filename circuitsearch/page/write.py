"""The verb that writes the full page of a circuit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.figures.viewer import draw_page
from circuitsearch.page.measure import evidence
from circuitsearch.task import Task
from circuitsearch.validation import Report


def write_page(
    model: Any,
    circuit: Circuit,
    held_out: Task,
    path: str | Path,
    *,
    tokenizer: Any = None,
    report: Report | None = None,
    name: str = "",
    **settings: Unpack[Settings],
) -> None:
    """Write the page of a circuit with all that it can show, as one HTML file that works from disk.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    circuit : Circuit
        One of that model.
    held_out : Task
        Prompts, whose first are shown.
    path : path
        Where to.
    tokenizer : optional
        Names the tokens; without it they are shown as ids.
    report : Report, optional
        The evidence.
    name : str
        The model's, for the page's head.
    **settings
        As of :class:`circuitsearch.Experiment`; what is not given is as the circuit was found with.

    Raises
    ------
    InputError
        If the circuit is one of another graph than the model's, or has more edges than a page takes.
    """
    experiment = Experiment.of(model, held_out, circuit, **settings)
    shown = evidence(experiment, circuit, tokenizer)
    draw_page(circuit, path, report=report, evidence=shown, model=name, method=circuit.method)
