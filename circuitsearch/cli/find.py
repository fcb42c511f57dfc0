"""``circuitsearch find``: from a task to a circuit, its evidence and its figure."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch import pipeline
from circuitsearch.circuit import Circuit
from circuitsearch.cli.say import Narrator, finding_as_json
from circuitsearch.cli.terminal import Terminal
from circuitsearch.devices import runs_on
from circuitsearch.distributed import world
from circuitsearch.engine.estimate import estimate
from circuitsearch.errors import InputError, shortened
from circuitsearch.finding import Finding, Listener, Plan
from circuitsearch.own_folder import own_folder
from circuitsearch.question import N_PROMPTS, Question
from circuitsearch.run import MANIFEST, Manifest, RunFolder


def find(
    question: Question,
    out: Path | None,
    overwrite: bool,
    minutes: float | None,
    library: Path | None,
    command: str,
    terminal: Terminal,
) -> None:
    """Find the circuit of a question, write its run folder, and keep it in a library if one is given."""
    question.check()
    with own_folder(out or Path("runs") / question.name, world(), MANIFEST) as path:
        folder = RunFolder(path, question, overwrite, command)
        terminal.result(finding_as_json(question, _found(question, folder, terminal, minutes, library)))


def find_again(
    path: Path,
    out: Path | None,
    changed: dict[str, Any],
    overwrite: bool,
    library: Path | None,
    command: str,
    terminal: Terminal,
) -> None:
    """Find the circuit of an earlier run again, in a new folder, from its manifest alone.

    What may have ``changed`` is where the model is now, where to run, and the memory.

    Raises
    ------
    InputError
        If the run was not made on the command line, or weights or prompts differ from those of the run.
    """
    earlier = Manifest.load(path)
    if earlier.question is None:
        raise InputError(
            f"{path} is of a run made from Python, which has no names of a model and a task: run it again from Python"
        )
    asked = earlier.question.model_copy(update=changed)
    question = asked.model_copy(update={"method": str(earlier.setup.method), "recheck": 0})
    question.check()
    new = path.resolve().parent.with_name(f"{path.resolve().parent.name}-again")
    with own_folder(out or new, world(), MANIFEST) as own:
        folder = RunFolder(own, asked, overwrite, command)
        finding = _found(question, folder, terminal, None, library, _SameRun(earlier, path))
    _compare(path.with_name("circuit.json"), finding.circuit, terminal)
    terminal.result(finding_as_json(question, finding))


@dataclass(frozen=True)
class _SameRun(Listener):
    """Refuses a run whose model or prompts are not those of an earlier one."""

    earlier: Manifest
    path: Path

    def running(self, plan: Plan) -> AbstractContextManager[None]:
        different = self.earlier.differences(Manifest.of(plan, None))
        if different:
            raise InputError(
                f"this is not the run of {shortened(self.path, 100)}: {shortened('; '.join(different), 120)}"
            )
        return nullcontext()


def _found(
    question: Question,
    folder: RunFolder,
    terminal: Terminal,
    minutes: float | None,
    library: Path | None,
    *listeners: Listener,
) -> Finding:
    terminal.say("size", _size(question))
    model, tokenizer, task = question.load()
    narrator = Narrator(terminal, question)
    finding = pipeline.find(
        model,
        task,
        question.faithfulness,
        method=question.method_asked,
        recheck=question.recheck,
        faithfulness_of=question.faithfulness_of,
        starts=question.starts_asked,
        checks=question.checks_asked,
        refine=question.refine,
        complete=question.complete,
        minutes=minutes,
        library=library,
        tokenizer=tokenizer,
        listeners=[*listeners, folder, narrator],
        **question.settings,
    )
    narrator.conclude(finding)
    if library is not None:
        terminal.say("library", f"kept in {library}")
    return finding


def _size(question: Question) -> str:
    """The model's size, and what the run takes at least; of a file's rows the number is not known yet."""
    found = estimate(question.model, runs_on(question.device), question.dtype)
    if question.task_file is not None and question.n is None:
        return str(found)
    n = 1 if question.prompt is not None else (question.n or N_PROMPTS) // 2
    return found.of_run(n, pipeline.FORWARDS)


def _compare(earlier: Path, circuit: Circuit, terminal: Terminal) -> None:
    """Print whether the circuit equals that of the earlier run, if its file is still beside the manifest."""
    if earlier.is_file():
        same = Circuit.load(earlier).edges == circuit.edges
        terminal.say("again", "the same circuit, edge for edge" if same else "NOT the circuit of the earlier run")
