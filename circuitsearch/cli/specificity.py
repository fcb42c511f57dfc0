"""``circuitsearch specificity``: the circuits of several runs on each other's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuitsearch import figures
from circuitsearch.cli import say
from circuitsearch.cli.asked import AskedRun
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import write_whole
from circuitsearch.steps import steps_beside
from circuitsearch.validation import Specificity
from circuitsearch.validation import specificity as specificity_of


def specificity(
    runs: Sequence[Path], out: Path | None, level: float, changed: dict[str, Any], terminal: Terminal
) -> None:
    """Measure the circuit of every run on the held-out prompts of every run, print the matrix and write it to a folder.

    Raises
    ------
    InputError
        If a run was made from Python, runs are of different models, or the prompts are not those of a run.
    """
    _check_folder(out)
    found = [AskedRun.read(path, changed, "cs.specificity") for path in runs]
    _check_model(found)
    question = found[0].question
    model, tokenizer = question.load_model()
    say.describe_model(terminal, model, question)
    tasks = [run.held_out(tokenizer) for run in found]
    names = _names([task.name for task in tasks], runs)
    circuits = [run.circuit for run in found]
    steps = steps_beside(out)
    with terminal.progress("tasks") as bar:
        measured = specificity_of(
            model,
            dict(zip(names, circuits, strict=True)),
            dict(zip(names, tasks, strict=True)),
            level=level,
            checkpoint=steps,
            progress=bar,
            **question.beside_circuit,
        )
    _check_weights(measured, found[0])
    terminal.console.print(str(measured))
    _write(measured, out, terminal)
    if steps is not None:
        steps.unlink(missing_ok=True)
    terminal.result(measured.to_dict())


def _check_model(runs: Sequence[AskedRun]) -> None:
    first = runs[0]
    other = next((run for run in runs if run.manifest.setup.weights != first.manifest.setup.weights), None)
    if other is not None:
        raise InputError(
            f"specificity compares circuits of one model, and {shortened(first.path)} and {shortened(other.path)} are of two:"
            " give runs of one"
        )


def _check_weights(measured: Specificity, run: AskedRun) -> None:
    if any(setup.weights != run.manifest.setup.weights for setup in measured.setups.values()):
        raise InputError(f"the weights of {shortened(run.question.model)} are not those of the runs: give their model")


def _names(tasks: Sequence[str], runs: Sequence[Path]) -> list[str]:
    """The names of the tasks, or if two are equal the runs' folders."""
    unique = len(set(tasks)) == len(tasks)
    names = list(tasks) if unique else [str(run) for run in runs]
    if len(set(names)) < len(names):
        raise InputError("specificity compares different runs, and the same run is given twice: leave one out")
    return names


def _check_folder(out: Path | None) -> None:
    """Raise an InputError before the work if the folder cannot be made."""
    if out is not None and (out.is_file() or not out.absolute().parent.is_dir()):
        raise InputError(f"{shortened(out)} cannot be a folder: choose another one with --out, in a folder that exists")


def _write(measured: Specificity, out: Path | None, terminal: Terminal) -> None:
    if out is None:
        return
    out.mkdir(exist_ok=True)
    write_whole(out / "specificity.json", measured.save)
    write_whole(out / "specificity.md", lambda path: path.write_text(measured.to_markdown(), encoding="utf-8"))
    write_whole(out / "specificity.svg", lambda path: figures.draw(measured, path))
    terminal.say("folder", f"{out}/ (specificity.json, specificity.md, specificity.svg)")
