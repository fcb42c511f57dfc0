"""A run that was asked for on the command line, whose model and prompts can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch import pipeline
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.question import Question
from circuitsearch.run import MANIFEST, Manifest, circuit_at
from circuitsearch.task import Task


@dataclass(frozen=True)
class AskedRun:
    """The folder of a run, with what is needed to write its prompts again."""

    path: Path
    manifest: Manifest
    question: Question
    circuit: Circuit

    @classmethod
    def read(cls, path: Path, changed: dict[str, str | None], instead: str) -> AskedRun:
        """Read a folder, with options that have changed; ``instead`` says what to use for a run from Python."""
        manifest = Manifest.load(path / MANIFEST)
        if manifest.question is None:
            raise InputError(
                f"the run in {shortened(path)} was made from Python, which has no names of a model and a task: use {instead}"
            )
        given = {name: value for name, value in changed.items() if value is not None}
        question = manifest.question.model_copy(update=given)
        question.check()
        return cls(path, manifest, question, circuit_at(path))

    def held_out(self, tokenizer: Any) -> Task:
        """The prompts that tested the run's circuit."""
        *_, task = pipeline.parts(self.question.prompts(tokenizer), self.question.seed)
        if task.digest(self.question.granularity_asked.spans) != self.manifest.held_out_sha256:
            raise InputError(
                f"the prompts of {shortened(self.path)} cannot be written again: its task file, its model's tokenizer or this"
                " package has changed; run it again"
            )
        return task
