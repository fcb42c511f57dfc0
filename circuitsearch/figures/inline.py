"""Circuits as figures, and scores, reports and tasks as tables, for the cells of a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from functools import singledispatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.figures.curves import draw_curve
from circuitsearch.figures.drawing import draw
from circuitsearch.instruments.result import Result
from circuitsearch.methods.paths import PathEffects
from circuitsearch.metrics import metric_name
from circuitsearch.registry import METHODS
from circuitsearch.scores import Scores
from circuitsearch.task import Task
from circuitsearch.validation.behaviour import Behaviour
from circuitsearch.validation.cross_task import Specificity
from circuitsearch.validation.report import Report

ROWS = 10  # shown of a longer table
LONGEST = 200  # letters of a cell
CELL = ' style="text-align: left"'


def as_svg(drawn: Circuit | Result | Specificity) -> str | None:
    """Draw a circuit or a result; None if a circuit is empty or too large, or there is no Graphviz."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.svg"
        try:
            draw(drawn, path)
        except InputError:
            return None
        return _bare(path)


@singledispatch
def as_html(value: Any) -> str:
    """A value as a table."""
    return f"<pre>{_escaped(repr(value))}</pre>"


@as_html.register
def _(scores: Scores) -> str:
    rows = [(f"{writer} → {reader}", f"{value:+.4f}") for writer, reader, value in scores.top(ROWS)]
    header = ("edge", f"fall of {scores.metric} when it is ablated" if scores.are_effects else "strength")
    about = f"{scores.task}: {int(scores.scored.sum()):,} edges scored by {METHODS.text_in_words(scores.method)} on {scores.n:,} prompts"
    if scores.agreement is not None:
        found = scores.agreement
        about += f"; {found.n:,} of them measured (rank correlation of the estimate {found.spearman:.2f})"
    return _table(header, rows, about)


@as_html.register
def _(effects: PathEffects) -> str:
    rows = [(sender, f"{value:+.4f}") for sender, value in effects.top(ROWS)]
    header = ("sender", f"fall of {effects.metric} when its paths are patched")
    return _table(header, rows, f"{effects.task}: {effects.paths} into {', '.join(effects.receivers)}")


@as_html.register
def _(report: Report) -> str:
    """The numbers as they are printed, and the curve."""
    *rows, note = report.rows()
    return _table(("", ""), rows, "") + f"<p>{_escaped(note[1])}</p>" + _curve(report)


@as_html.register
def _(task: Task) -> str:
    lengths = sorted({len(ids) for ids in task.clean})
    tokens = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    rows = [
        ("prompts", f"{len(task):,} pairs of {tokens} tokens"),
        ("metric", metric_name(task.metric)),
        ("groups, kept together in a split", f"{len(set(task.groups)):,}"),
        ("token spans", ", ".join(dict.fromkeys(name for spans in task.spans for name in spans)) or "none named"),
        ("first clean prompt", f"{task.clean[0].tolist()}"),
        ("its counterfactual", f"{task.corrupt[0].tolist()}"),
        ("right, wrong", f"{task.answers[0].tolist()}, {task.wrong[0].tolist()}"),
    ]
    return _table(("", ""), rows, task.name)


@as_html.register
def _(behaviour: Behaviour) -> str:
    rows = [
        (f"mean {behaviour.metric}", f"{behaviour.clean:.3f}; {behaviour.ablated:.3f} with every edge ablated"),
        ("accuracy", f"{behaviour.accuracy:.1%}"),
        ("likeliest token right", f"{behaviour.top1:.1%}"),
        *([] if behaviour.test is None else [("test", f"{behaviour.test}; {behaviour.test.verdict}")]),
    ]
    return _table(("", ""), rows, f"{behaviour.task}, {behaviour.n:,} prompts")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Rows of cells; no script, no style but the alignment, no markup that is not ours."""
    head = "".join(f"<th{CELL}>{_escaped(cell)}</th>" for cell in header)
    lines = ["".join(f"<td{CELL}>{_escaped(cell)}</td>" for cell in row) for row in rows]
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    above = f"<p>{_escaped(caption)}</p>" if caption else ""
    return f"{above}<table>{top}<tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"


def _escaped(text: str) -> str:
    shown = plain_text(text[: 2 * LONGEST])
    return html.escape(shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…")


def _curve(report: Report) -> str:
    if not report.curve or any(not math.isfinite(point.faithfulness) for point in report.curve):
        return ""
    with TemporaryDirectory() as folder:
        draw_curve(report, Path(folder) / "curve.svg")
        return _bare(Path(folder) / "curve.svg")


def _bare(path: Path) -> str:
    """An SVG from its element on; HTML would show what comes before it as text, or ignore it."""
    content = path.read_text(encoding="utf-8")
    return content[content.index("<svg") :]
