"""The commands for single steps: score, validate, draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuitsearch import figures
from circuitsearch.circuit import Circuit
from circuitsearch.cli import say
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.figures.canvas import FORMATS, suffix_of
from circuitsearch.figures.viewer import draw_page
from circuitsearch.files import write_whole
from circuitsearch.question import Question
from circuitsearch.registry import METRICS
from circuitsearch.run import MANIFEST, Manifest, about_run, circuit_at
from circuitsearch.summary import agreement, meaning
from circuitsearch.task import Task
from circuitsearch.validation import Report, behaviour
from circuitsearch.validation import validate as validate_circuit


def score(question: Question, out: Path, terminal: Terminal) -> None:
    """Score every edge and write the scores; until they are finished, exact effects are kept in a journal beside them."""
    question.check()
    check_writable(out)
    model, tokenizer, task = question.load()
    experiment = Experiment.of(model, task, **question.settings)
    say.describe_model(terminal, model, question)
    say.note(terminal, task)
    measured = behaviour(experiment, task, tokenizer=tokenizer)
    say.behaviour(terminal, measured)
    measured.check()
    journal = out.with_name(f"{out.name}.journal")
    with terminal.progress("scores") as bar:
        scores = experiment.score(question.method_asked, journal=journal, progress=bar)
    scores.save(out)
    journal.unlink(missing_ok=True)
    top = scores.top(say.STRONGEST)
    rows = [
        (f"{writer}->{reader}", f"{value:+.4f}", meaning(value) if scores.are_effects else "")
        for writer, reader, value in top
    ]
    terminal.table(say.TITLE, ("edge", " score", ""), rows)
    terminal.say("scores", f"{int(scores.scored.sum())} edges by {scores.method}, in {out}")
    if scores.agreement is not None:
        terminal.say("", agreement(scores.agreement))
    terminal.result({"out": str(out), "n": scores.n, "method": scores.method, "scores": scores.to_dict()})


def validate(circuit: Path, question: Question, given: set[str], out: Path | None, terminal: Terminal) -> None:
    """Test a circuit on a task's prompts; settings that are not ``given`` are those of the circuit."""
    question.check()
    found = circuit_at(circuit)
    if out is not None:
        check_writable(out)
    model, _, task = question.load()
    task = _with_metric_of(found, task) if question.metric is None else task
    settings = {name: getattr(question, name) for name in given}
    experiment = Experiment.of(model, task, found, **settings)
    say.describe_model(terminal, model, question)
    say.note(terminal, task)
    say.behaviour(terminal, behaviour(experiment, task))
    with terminal.progress("validating") as bar:
        report = validate_circuit(experiment, found, task, checks=question.checks_asked, progress=bar)
    if out is not None:
        report.save(out)
    terminal.console.print(str(report))
    terminal.result(report.to_dict())


def _with_metric_of(circuit: Circuit, task: Task) -> Task:
    """The task with the metric of a circuit, if it is a named one."""
    known = circuit.setup is not None and METRICS.knows(circuit.metric)
    return replace(task, metric=METRICS.read(circuit.metric)) if known else task


@dataclass(frozen=True)
class Drawing:
    """A figure's file and look."""

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
        """Keyword arguments of the drawing functions."""
        return {"roles": self.roles, "theme": self.theme, "width": self.width}


def draw(circuit: Path, drawing: Drawing, terminal: Terminal) -> None:
    """Draw a circuit, with a caption from the report and the manifest of its run, if they are beside it."""
    found, beside, out = drawing.read(circuit), results_beside(circuit), drawing.out
    check_writable(out)
    if suffix_of(out, (*FORMATS, "dot", "html")) == "html":
        write_whole(out, lambda path: draw_page(found, path, **beside))
    else:
        caption = _caption(found, circuit_at(circuit), beside)
        write_whole(out, lambda path: figures.draw(found, path, caption=caption, **drawing.look))
    terminal.say("figure", f"{len(found)} of {found.graph.n_edges} edges drawn in {out}")
    terminal.result({"out": str(out), "n_edges": len(found)})


def draw_against(circuit: Path, other: Path, drawing: Drawing, terminal: Terminal) -> None:
    """Draw two circuits in one figure; their names are their methods, or else their paths."""
    first, second, out = drawing.read(circuit), drawing.read(other), drawing.out
    check_writable(out)
    one, two = (str(results_beside(path).get("method", "")).partition("(")[0] for path in (circuit, other))
    names = (one, two) if one and two and one != two else (str(circuit), str(other))
    write_whole(out, lambda path: figures.draw_comparison(first, second, path, names=names, **drawing.look))
    shared = int((first.mask & second.mask).sum())
    terminal.say("figure", f"{len(first)} and {len(second)} edges, {shared} of them shared, drawn in {out}")
    terminal.result({"out": str(out), "n_edges": [len(first), len(second)], "n_shared": shared})


def _caption(drawn: Circuit, whole: Circuit, beside: dict[str, Any]) -> str:
    """The caption; evidence is about the whole circuit, even if only a part of it is drawn."""
    caption = figures.caption_for(whole, **beside)
    return caption if len(drawn) == len(whole) else f"The {len(drawn):,} strongest edges. {caption}"


def results_beside(circuit: Path) -> dict[str, Any]:
    """The run's report, model and method, if ``circuit`` is a run's folder or the circuit in one."""
    folder = circuit if circuit.is_dir() else circuit.parent
    ours = circuit.is_dir() or circuit.name == "circuit.json"
    if not ours or not (folder / MANIFEST).is_file() or not (folder / "report.json").is_file():
        return {}
    return {"report": Report.load(folder / "report.json"), **about_run(Manifest.load(folder / MANIFEST))}


def check_writable(out: Path) -> None:
    """Raise an InputError before the work if there is no such folder."""
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} does not exist: make it, or choose another file with --out")
    if out.is_dir():
        raise InputError(f"{out} is a folder: give the name of a file with --out")
