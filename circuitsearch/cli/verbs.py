"""The commands for single steps: score, validate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.cli import say
from circuitsearch.cli.asked import AskedRun, changes, changes_prompts, changes_task
from circuitsearch.cli.beside import run_of
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.journal import remove_journal
from circuitsearch.own_folder import own_file
from circuitsearch.question import Question
from circuitsearch.registry import METHODS, METRICS
from circuitsearch.run import MANIFEST, Manifest, circuit_at, with_scores
from circuitsearch.steps import steps_beside
from circuitsearch.summary import agreement, meaning
from circuitsearch.task import Task
from circuitsearch.validation import behaviour
from circuitsearch.validation import validate as validate_circuit


def score(question: Question, out: Path, terminal: Terminal) -> None:
    """Score every edge and write the scores; until they are finished, what is measured is kept beside them."""
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
    if experiment.world.first:
        scores.save(out)
        remove_journal(journal)
    top = scores.top(say.STRONGEST)
    rows = [
        (f"{writer}->{reader}", f"{value:+.4f}", meaning(value) if scores.are_effects else "")
        for writer, reader, value in top
    ]
    terminal.table(say.TITLE, ("edge", " score", ""), rows)
    terminal.say("scores", f"{int(scores.scored.sum())} edges by {METHODS.text_in_words(scores.method)}, in {out}")
    if scores.agreement is not None:
        terminal.say("", agreement(scores.agreement))
    terminal.result({"out": str(out), "n": scores.n, "method": scores.method, "scores": scores.to_dict()})


def validate(circuit: Path, asked: Question, given: Collection[str], out: Path | None, terminal: Terminal) -> None:
    """Test a circuit on prompts that are asked for, or on those that tested it in its run.

    Options that are not ``given`` are those of the circuit's run, or else of its search.
    """
    changed = changes(asked, given)
    run = _asked_run(circuit, changed)
    question = asked if run is None else run.question
    question.check()
    found = with_scores(circuit_at(circuit), run_of(circuit) or circuit)
    if out is not None:
        check_writable(out)
    model, tokenizer = question.load_model()
    selection, task = (
        (None, question.prompts(tokenizer)) if run is None or changes_prompts(changed) else run.parts(tokenizer)
    )
    task = _with_metric_of(found, task) if question.metric is None else task
    settings: Settings = question.beside_circuit
    experiment = Experiment.of(
        model, task, found, **settings | ({"ablation": question.ablation} if "ablation" in changed else {})
    )
    say.describe_model(terminal, model, question)
    say.note(terminal, task)
    if selection is not None:
        terminal.say("prompts", "those that tested the circuit in its run")
    say.behaviour(terminal, behaviour(experiment, task, tokenizer=tokenizer))
    steps = steps_beside(out)
    with terminal.progress("validating") as bar, own_file(steps, experiment.world) as checkpoint:
        report = validate_circuit(
            experiment, found, task,
            selection=None if selection is None else experiment.on(selection), checks=question.checks_asked,
            checkpoint=checkpoint, progress=bar,
        )  # fmt: skip
    if out is not None and steps is not None and experiment.world.first:
        report.save(out)
        steps.unlink(missing_ok=True)
    terminal.console.print(str(report))
    terminal.result(report.to_dict())


def _asked_run(circuit: Path, changed: Mapping[str, Any]) -> AskedRun | None:
    """The run of a circuit; None if there is none, or it was made from Python and the prompts are given."""
    folder = run_of(circuit)
    if folder is None or (changes_task(changed) and Manifest.load(folder / MANIFEST).question is None):
        return None
    return AskedRun.read(folder, changed, "a task, and --model")


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
