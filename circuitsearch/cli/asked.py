"""A run that was asked for on the command line, whose model and prompts can be made again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch import pipeline
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.question import Question
from circuitsearch.run import MANIFEST, Manifest, circuit_at
from circuitsearch.task import Task

FIELD = {
    **dict.fromkeys(("clean", "corrupt", "answer", "wrong"), "prompt"),
    **dict.fromkeys(("column", "corrupt_file", "chat"), "reading"),
    "check": "checks",
}  # of a question, by the option that gives it, where the names differ
TASK = frozenset({"task", "prompt"})
PROMPTS = TASK | {"n", "align", "reading"}  # fields that say what the prompts are; with the seed, they are the same


@dataclass(frozen=True)
class AskedRun:
    """The folder of a run, with what is needed to write its prompts again."""

    path: Path
    manifest: Manifest
    question: Question
    circuit: Circuit

    @classmethod
    def read(cls, path: Path, changed: Mapping[str, Any], instead: str) -> AskedRun:
        """Read a folder, with fields of its question that have changed; ``instead`` says what to use for a run from Python."""
        manifest = Manifest.load(path / MANIFEST)
        if manifest.question is None:
            raise InputError(
                f"the run in {shortened(path)} was made from Python, which has no names of a model and a task: use {instead}"
            )
        question = manifest.question.model_copy(update=changed)
        question.check()
        return cls(path, manifest, question, circuit_at(path))

    def held_out(self, tokenizer: Any) -> Task:
        """The prompts that tested the run's circuit."""
        return self.parts(tokenizer)[1]

    def parts(self, tokenizer: Any) -> tuple[Task, Task]:
        """The prompts that chose the run's circuit, and those that tested it."""
        selection, _, held_out = pipeline.parts(self.question.prompts(tokenizer), self.question.seed)
        if held_out.digest(self.question.granularity_asked.spans) != self.manifest.held_out_sha256:
            raise InputError(
                f"the prompts of {shortened(self.path)} cannot be written again: its task file, its model's tokenizer or this"
                " package has changed; run it again"
            )
        return selection, held_out


def given(**options: str | None) -> dict[str, Any]:
    """Those that are given."""
    return {name: value for name, value in options.items() if value is not None}


def changes(asked: Question, options: Collection[str]) -> dict[str, Any]:
    """The fields of a question that these options of the command line give; with another task come all that say what its prompts are."""
    names = {FIELD.get(option, option) for option in options} & set(Question.model_fields)
    names |= PROMPTS if names & TASK else set()
    return {name: getattr(asked, name) for name in names}


def changes_task(changed: Mapping[str, Any]) -> bool:
    """Whether another task is asked for."""
    return bool(TASK & changed.keys())


def changes_prompts(changed: Mapping[str, Any]) -> bool:
    """Whether other prompts are asked for."""
    return bool((PROMPTS | {"seed"}) & changed.keys())
