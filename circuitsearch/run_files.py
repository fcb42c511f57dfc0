"""The files of a run for people: figures, page and summary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.figures import caption_for, draw
from circuitsearch.figures.plan import fits
from circuitsearch.finding import Finding, Plan
from circuitsearch.page import write_page
from circuitsearch.summary import summary
from circuitsearch.validation import Report

FIGURES = ("circuit.svg", "circuit.pdf", "circuit.png", "circuit.dot")
PAGE = "circuit.html"
SUMMARY = "report.md"
DRAWN = 300  # edges, of a circuit that does not fit a page

Write = Callable[[str, Callable[[Path], object]], None]  # a file's name, and a function that writes it


def write_files(write: Write, plan: Plan, finding: Finding, model: str) -> None:
    """Let ``write`` write each file; ``model`` is the model's name."""
    circuit, report = finding.circuit, finding.report
    caption = caption_for(circuit, report, model=model, method=circuit.method)
    for name in FIGURES:
        write(name, lambda path: write_figure(circuit, path, report, caption))
    write(PAGE, lambda path: _page(plan, finding, model, path))
    write(SUMMARY, lambda path: path.write_text(summary(plan, finding, model), encoding="utf-8"))


def write_figure(circuit: Circuit, path: Path, report: Report | None, caption: str) -> None:
    """The circuit, or its strongest edges if it is too large for a page; DOT files have all."""
    if fits(circuit, path.suffix[1:]):
        draw(circuit, path, report=report, caption=caption)
    else:
        part = f"{caption} The {DRAWN} strongest of its edges are drawn."
        draw(circuit.strongest(DRAWN), path, report=report, caption=part)


def _page(plan: Plan, finding: Finding, model: str, path: Path) -> None:
    prompts = plan.held_out.task
    write_page(
        plan.held_out, finding.circuit, prompts, path, tokenizer=plan.tokenizer, report=finding.report, name=model
    )
