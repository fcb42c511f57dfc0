"""The commands for single steps: score, validate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from circuitsearch.circuit import Circuit
from circuitsearch.cli import say
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.question import Question
from circuitsearch.registry import METRICS
from circuitsearch.run import circuit_at
from circuitsearch.summary import agreement, meaning
from circuitsearch.task import Task
from circuitsearch.validation import behaviour
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


def check_writable(out: Path) -> None:
    """Raise an InputError before the work if there is no such folder."""
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} does not exist: make it, or choose another file with --out")
    if out.is_dir():
        raise InputError(f"{out} is a folder: give the name of a file with --out")
