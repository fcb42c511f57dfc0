"""What a cell runs on: a model with its tokenizer, and its prompts and known circuit if it comes with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuitsearch.budget import load_in
from circuitsearch.errors import InputError, shortened
from circuitsearch.experiment import Settings
from circuitsearch.models.planted import Design, KnownCircuit, plant
from circuitsearch.models.planted.known import TRUTH
from circuitsearch.question import Question
from circuitsearch.registry import METRICS
from circuitsearch.task import Task

from .definition import Benchmark
from .named import OWN, PLANTED, planted_named

DESIGN = Design(layers=4, heads=4, distractor_heads=4, distractor_mlps=1, rotated=True, noise=0.002)
"""Of planted models: among distractors, in a random basis, with noise on every weight."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that was loaded, or planted.

    Attributes
    ----------
    name : str
        As typed.
    model, tokenizer
        The model, and its tokenizer if it has one.
    known : KnownCircuit, optional
        Its prompts and its true edges.
    """

    name: str
    model: Any
    tokenizer: Any = None
    known: KnownCircuit | None = None

    @classmethod
    def load(cls, name: str, benchmark: Benchmark) -> Subject:
        """Load a model, read the folder of one with a known circuit, or plant one."""
        if name.startswith(PLANTED):
            motif, seed = planted_named(name)
            planted = plant(motif, seed, n=benchmark.n, design=DESIGN)
            return cls(name, planted.model, None, planted)
        if (Path(name) / TRUTH).is_file():
            known = KnownCircuit.load(name)
            return cls(name, known.model, None, known)
        return cls(name, *load_in(benchmark.memory, name, benchmark.device, benchmark.dtype))

    def working(self, benchmark: Benchmark) -> Settings:
        """The working memory that the benchmark's memory leaves; a planted model is too small to ask."""
        if benchmark.memory is None or self.known is not None:
            return {}
        return Question(
            model=self.name, device=benchmark.device, dtype=benchmark.dtype, memory=benchmark.memory
        ).working

    def task(self, name: str, seed: int, benchmark: Benchmark) -> Task:
        """The prompts of a task by its name, or the model's own, with the metric that was asked for."""
        if name != OWN:
            return self._question(name, seed, benchmark).prompts(self.tokenizer)
        if self.known is None:
            raise InputError(
                f"{shortened(self.name, 40)} comes with no prompts of its own: give its tasks by their names"
            )
        writer = self.known.task.writer
        task = self.known.task if writer is None else writer.draw(benchmark.n, seed)
        return task if benchmark.metric is None else replace(task, metric=METRICS.read(benchmark.metric))

    def _question(self, task: str, seed: int, benchmark: Benchmark) -> Question:
        n = None if Path(task).is_file() else benchmark.n
        return Question(task=task, model=self.name, n=n, seed=seed, metric=benchmark.metric)
