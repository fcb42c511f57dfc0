"""The full page of a circuit: what it shows beyond circuit and report is measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.figures.viewer import Evidence, draw_page
from circuitsearch.instruments import attention, direct_logit, head_roles
from circuitsearch.page.measure import evidence
from circuitsearch.task import Task
from circuitsearch.validation import Report

N_PROMPTS = 32  # that instruments look at
N_PATTERNS = 4  # prompts whose attention is shown
MOST_CELLS = 400_000  # of all patterns together: about a megabyte
LARGEST_SEARCHED = 200_000_000  # parameters of a model whose heads' roles are looked for: seconds, and above it minutes


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
        If the circuit is not one of the model, or has more edges than a page takes.
    """
    experiment = Experiment.of(model, held_out, circuit, **settings)
    found = page_evidence(experiment, circuit, tokenizer)
    draw_page(circuit, path, report=report, evidence=found, model=name, method=circuit.method)


def page_evidence(experiment: Experiment, circuit: Circuit, tokenizer: Any = None) -> Evidence:
    """Everything that a page shows beyond circuit and report; what a model does not have is left out."""
    model, task = experiment.described.model, experiment.task
    found = evidence(experiment, circuit, tokenizer)
    some = task.subset(range(min(N_PROMPTS, len(task))))
    nodes = {name: name.partition("@")[0] for name in circuit.nodes}  # a node of a span is measured as a whole
    return replace(
        found,
        direct=_of_nodes(nodes, _direct(model, some)),
        roles=_of_nodes(nodes, _roles(model, some, tokenizer)),
        attention=_of_nodes(nodes, _attention(model, some, sorted(set(nodes.values())))),
    )


def _of_nodes(nodes: Mapping[str, str], found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[whole] for name, whole in nodes.items() if whole in found}


def _direct(model: Any, task: Task) -> dict[str, float]:
    try:
        found = direct_logit(model, task)
    except InputError:  # logits that are no sum of what writers add
        return {}
    return dict(zip(found.writers, found.values.tolist(), strict=True))


def _roles(model: Any, task: Task, tokenizer: Any) -> dict[str, tuple[str, ...]]:
    if sum(each.numel() for each in model.parameters()) > LARGEST_SEARCHED:
        return {}
    try:
        return head_roles(model, task, tokenizer=tokenizer, shuffles=2).by_head
    except InputError:  # no heads that can be told apart
        return {}


def _attention(model: Any, task: Task, names: Sequence[str]) -> dict[str, list[Tensor]]:
    """Patterns of these heads on the first prompts, as many as the page has room for."""
    heads = [name for name in names if ".h" in name]
    patterns: dict[str, list[Tensor]] = {head: [] for head in heads}
    room = MOST_CELLS
    for row in range(min(N_PATTERNS, len(task)) if heads else 0):
        room -= len(heads) * len(task.clean[row]) ** 2 // 2
        if room < 0:
            break
        try:
            found = attention(model, task.subset([row]), heads)
        except InputError:  # a family whose patterns cannot be read
            return {}
        for head, pattern in zip(found.heads, found.patterns, strict=True):
            patterns[head].append(pattern)
    return {head: shown for head, shown in patterns.items() if shown}
