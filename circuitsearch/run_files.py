"""The files of a run for people: roles, figures with their captions, page and summary."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.figures import caption_files, caption_for, draw
from circuitsearch.figures.plan import fits
from circuitsearch.figures.viewer import draw_page
from circuitsearch.files import write_json
from circuitsearch.finding import Finding, Plan
from circuitsearch.page import evidence
from circuitsearch.registry import METHODS
from circuitsearch.roles import Roles
from circuitsearch.summary import summary
from circuitsearch.validation import Report

FIGURES = ("circuit.svg", "circuit.pdf", "circuit.png", "circuit.dot")
PAGE, ROLES, SUMMARY = "circuit.html", "roles.json", "report.md"
SOURCE = "source.json"  # where a judged circuit came from
DRAWN = 300  # edges, of a circuit that does not fit a page

Write = Callable[[str, Callable[[Path], object]], None]  # a file's name, and a function that writes it


def write_files(write: Write, plan: Plan, finding: Finding, model: str) -> None:
    """Let ``write`` write each file; ``model`` is the model's name."""
    circuit, report = finding.circuit, finding.report
    held_out = Experiment.of(plan.held_out, plan.held_out.task, circuit)
    shown = cache(lambda: evidence(held_out, circuit, plan.tokenizer))  # slow, and most files need it
    about = {"report": report, "model": model}
    write(ROLES, lambda path: write_json(path, dict(shown().roles)))
    for name in FIGURES:
        write(name, lambda path: write_figure(circuit, path, shown().roles))
    for name, text in caption_files(FIGURES[0], run_caption(circuit, report, model)).items():
        write(name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
    write(
        PAGE,
        lambda path: draw_page(circuit, path, evidence=shown(), method=METHODS.text_in_words(circuit.method), **about),
    )
    write(SUMMARY, lambda path: path.write_text(summary(plan, finding, model), encoding="utf-8"))


def write_figure(circuit: Circuit, path: Path, roles: Roles | None = None) -> None:
    """The circuit, or its strongest edges if it is too large for a page; DOT files have all."""
    draw(circuit if fits(circuit, path.suffix[1:]) else circuit.strongest(DRAWN), path, roles=roles)


def run_caption(circuit: Circuit, report: Report | None, model: str | None = None) -> str:
    """The caption of these figures."""
    part = "" if fits(circuit, "svg") else f" The {DRAWN} strongest of its edges are drawn."
    return f"{caption_for(circuit, report, model=model)}{part}"
