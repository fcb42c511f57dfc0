"""The verbs that do one part of the way alone: score, validate, draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuitsearch import figures, formats
from circuitsearch.circuit import Circuit
from circuitsearch.cli import say
from circuitsearch.cli.inputs import Question, circuit_at, setting
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError
from circuitsearch.figures.canvas import FORMATS, suffix_of
from circuitsearch.figures.viewer import draw_page
from circuitsearch.files import write_whole
from circuitsearch.methods import Exact
from circuitsearch.run import MANIFEST, Manifest
from circuitsearch.scores import Rechecking
from circuitsearch.scores import score as score_edges
from circuitsearch.validation import Report, behaviour
from circuitsearch.validation import validate as validate_circuit


def score(question: Question, out: Path, terminal: Terminal) -> None:
    """Score every edge and write the scores; what is measured edge by edge is kept beside them until they are finished."""
    _check_writable(out)
    asked = setting(question)
    measured = behaviour(asked.model, asked.task, ablation=asked.ablation, granularity=question.granularity)
    say.behaviour(terminal, asked, measured)
    measured.check()
    journal = out.with_name(f"{out.name}.journal")
    notes = journal if isinstance(asked.method, Rechecking | Exact) else None
    with terminal.progress("scores") as bar:
        scores = score_edges(
            asked.model,
            asked.task,
            asked.method,
            granularity=question.granularity,
            ablation=asked.ablation,
            journal=notes,
            progress=bar,
        )
    write_whole(out, scores.save)
    journal.unlink(missing_ok=True)
    top = scores.top(say.STRONGEST)
    rows = [(f"{writer}->{reader}", f"{value:+.4f}", say.meaning(value)) for writer, reader, value in top]
    terminal.table("strongest edges (how much the metric falls when cut)", ("edge", " score", ""), rows)
    terminal.say("scores", f"{int(scores.scored.sum())} edges by {scores.method}, in {out}")
    if scores.agreement is not None:
        terminal.say("", say.agreement(scores.agreement))
    terminal.result({"out": str(out), "n": scores.n, "method": scores.method, "scores": scores.to_dict()})


def validate(circuit: Path, question: Question, out: Path | None, terminal: Terminal) -> None:
    """Test a circuit on a task's prompts, all of them taken as held out."""
    found = circuit_at(circuit)
    if out is not None:
        _check_writable(out)
    asked = setting(replace(question, granularity=found.graph.granularity))
    measured = behaviour(asked.model, asked.task, ablation=asked.ablation, granularity=found.graph.granularity)
    say.behaviour(terminal, asked, measured)
    with terminal.progress("validating") as bar:
        report = validate_circuit(
            asked.model, found, asked.task, ablation=asked.ablation, seed=question.seed, progress=bar
        )
    if out is not None:
        write_whole(out, report.save)
    terminal.console.print(str(report))
    terminal.result(report.to_dict())


@dataclass(frozen=True)
class Drawing:
    """Where a figure goes, and how it is to look."""

    out: Path
    roles: Path | None = None
    top: int | None = None
    theme: str = "light"
    width: str | None = None

    def read(self, path: Path) -> Circuit:
        """The circuit at a path, or its strongest edges."""
        found = circuit_at(path)
        return found if self.top is None else found.strongest(self.top)

    @property
    def look(self) -> dict[str, Any]:
        """What the figure's functions take."""
        return {"roles": self.roles, "theme": self.theme, "width": self.width}


def draw(circuit: Path, drawing: Drawing, terminal: Terminal) -> None:
    """Draw a circuit; the report and the manifest of its run, where they lie beside it, give the caption."""
    found, beside, out = drawing.read(circuit), _beside(circuit), drawing.out
    _check_writable(out)
    if suffix_of(out, (*FORMATS, "dot", "html")) == "html":
        write_whole(out, lambda path: draw_page(found, path, **beside))
    else:
        caption = _caption(found, circuit_at(circuit), beside)
        write_whole(out, lambda path: figures.draw(found, path, caption=caption, **drawing.look))
    terminal.say("figure", f"{len(found)} of {found.graph.n_edges} edges drawn in {out}")
    terminal.result({"out": str(out), "n_edges": len(found)})


def draw_against(circuit: Path, other: Path, drawing: Drawing, terminal: Terminal) -> None:
    """Draw two circuits in one figure; they are called by their methods, or else by their places."""
    first, second, out = drawing.read(circuit), drawing.read(other), drawing.out
    _check_writable(out)
    one, two = (str(_beside(path).get("method", "")).partition("(")[0] for path in (circuit, other))
    names = (one, two) if one and two and one != two else (str(circuit), str(other))
    write_whole(out, lambda path: figures.draw_comparison(first, second, path, names=names, **drawing.look))
    shared = int((first.mask & second.mask).sum())
    terminal.say("figure", f"{len(first)} and {len(second)} edges, {shared} of them shared, drawn in {out}")
    terminal.result({"out": str(out), "n_edges": [len(first), len(second)], "n_shared": shared})


def _caption(drawn: Circuit, whole: Circuit, beside: dict[str, Any]) -> str:
    """What stands below the figure; evidence is of the whole circuit, whatever part of it is drawn."""
    caption = figures.caption_for(whole, **beside)
    return caption if len(drawn) == len(whole) else f"The {len(drawn):,} strongest edges. {caption}"


def convert(circuit: Path, out: Path, roles: Path | None, terminal: Terminal) -> None:
    """Write a circuit as a graph for another program; its caption is the graph's title."""
    found, beside = circuit_at(circuit), _beside(circuit)
    _check_writable(out)
    formats.export(found, out, title=figures.caption_for(found, **beside), roles=roles)
    terminal.say("graph", f"{len(found)} of {found.graph.n_edges} edges in {out}")
    terminal.result({"out": str(out), "n_edges": len(found)})


def _beside(circuit: Path) -> dict[str, Any]:
    """The run's report, model and method, if ``circuit`` is a run's folder or the circuit in one."""
    folder = circuit if circuit.is_dir() else circuit.parent
    ours = circuit.is_dir() or circuit.name == "circuit.json"
    if not ours or not (folder / MANIFEST).is_file() or not (folder / "report.json").is_file():
        return {}
    choices = Manifest.load(folder / MANIFEST).choices
    report = Report.load(folder / "report.json")
    return {"report": report, "model": Path(choices.model).name, "method": choices.method}


def _check_writable(out: Path) -> None:
    """Say before the work, not after it, that there is no such folder."""
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} does not exist: make it, or choose another place with --out")
    if out.is_dir():
        raise InputError(f"{out} is a folder: give the name of a file with --out")
