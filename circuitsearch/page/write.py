"""``write_page``: the full page of a circuit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.figures.viewer import draw_page
from circuitsearch.page.measure import evidence
from circuitsearch.registry import METHODS
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
    """Write the full page of a circuit, with prompts, roles and attention, as one HTML file that works from disk.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    circuit : Circuit
        A circuit of that model.
    held_out : Task
        Prompts, held-out ones if there are any; the first are shown.
    path : path
        The file to write.
    tokenizer : optional
        Names the tokens; without it they are shown as ids.
    report : Report, optional
        The evidence.
    name : str
        The model's name, for the page's header.
    **settings
        As for :class:`circuitsearch.Experiment`; by default those with which the circuit was found.

    Raises
    ------
    InputError
        If the circuit's graph is not the model's, or the circuit has more edges than a page can show.
    """
    experiment = Experiment.of(model, held_out, circuit, **settings)
    shown = evidence(experiment, circuit, tokenizer)
    draw_page(circuit, path, report=report, evidence=shown, model=name, method=METHODS.text_in_words(circuit.method))
