"""``circuitsearch view``, and what ``find`` puts into a run's page."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from circuitsearch.ablation import Ablation
from circuitsearch.circuit import Circuit
from circuitsearch.cli.inputs import circuit_at
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError
from circuitsearch.figures.viewer import Evidence, Shown, draw_page, evidence, index_page
from circuitsearch.files import write_bytes
from circuitsearch.instruments import attention, direct_logit, head_roles
from circuitsearch.run import MANIFEST, Manifest
from circuitsearch.scores import Scores
from circuitsearch.task import Task
from circuitsearch.validation import Report

PAGE = "circuit.html"
N_PROMPTS = 32  # that instruments look at
N_PATTERNS = 4  # prompts whose attention is shown
MOST_CELLS = 400_000  # of all patterns together: about a megabyte
LARGEST_SEARCHED = 200_000_000  # parameters of a model whose heads' roles are looked for: seconds, and above it minutes


def page_evidence(
    model: Any, circuit: Circuit, held_out: Task, tokenizer: Any, ablation: Ablation | None = None
) -> Evidence:
    """All that a page shows beyond circuit and report; what a model does not have is left out."""
    found = evidence(model, circuit, held_out, tokenizer, ablation=ablation)
    some = held_out.subset(range(min(N_PROMPTS, len(held_out))))
    nodes = {name: name.partition("@")[0] for name in circuit.nodes}  # a node of a span is asked for as a whole
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


# ---- the verb


def view(runs: Sequence[Path], out: Path, opened: bool, terminal: Terminal) -> None:
    """Open the page of a run, or of several with a comparison; a page that is not there yet is written first.

    Raises
    ------
    InputError
        If something is no run's folder and no circuit file, or two runs are the same one.
    """
    pages = [_page_of(run) for run in runs]
    if len(set(pages)) < len(pages):
        raise InputError("view compares different runs, and the same one is given twice: leave one of them out")
    place = pages[0] if len(runs) == 1 else _compared(runs, pages, out)
    terminal.say("page", str(place))
    if opened and not webbrowser.open(place.absolute().as_uri()):
        terminal.say("", "no browser could be started: open that file in one")
    terminal.result({"page": str(place), "runs": [str(run) for run in runs]})


def _page_of(run: Path) -> Path:
    """A run's page; one is written where there is none, without the prompts, which take the model."""
    page = run / PAGE if run.is_dir() else run.with_suffix(".html")
    if not page.is_file() or not run.is_dir():
        circuit, about = circuit_at(run), _about(run)
        draw_page(_with_scores(circuit, run), page, **about)
    return page


def _with_scores(circuit: Circuit, run: Path) -> Circuit:
    """The circuit with the scores of all edges, where its run keeps them."""
    file = run / "scores.safetensors"
    if not file.is_file():
        return circuit
    scores = Scores.load(file)
    return replace(circuit, scores=scores.values) if scores.graph == circuit.graph else circuit


def _about(run: Path) -> dict[str, Any]:
    """The report, the model's name and the method of a run's folder, as far as they are there."""
    if not run.is_dir():
        return {}
    about: dict[str, Any] = {}
    if (run / "report.json").is_file():
        about["report"] = Report.load(run / "report.json")
    if (run / MANIFEST).is_file():
        choices = Manifest.load(run / MANIFEST).choices
        about |= {"model": Path(choices.model).name, "method": choices.method}
    return about


def _compared(runs: Sequence[Path], pages: Sequence[Path], out: Path) -> Path:
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise InputError(f"{out} cannot be written: give a file in a folder that exists with --out")
    shown = [
        Shown(name, _seen_from(page, out), circuit_at(run), **_about(run))
        for name, run, page in zip(_names(runs), runs, pages, strict=True)
    ]
    write_bytes(out, index_page(shown).encode())
    return out


def _seen_from(page: Path, out: Path) -> str:
    """The way from one file to another, or where that crosses drives, the file's address."""
    try:
        return Path(os.path.relpath(page.absolute(), out.absolute().parent)).as_posix()
    except ValueError:
        return page.absolute().as_posix()


def _names(runs: Sequence[Path]) -> list[str]:
    """The runs' last names, or where two are alike their paths."""
    names = [run.absolute().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
