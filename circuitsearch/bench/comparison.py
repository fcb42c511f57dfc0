"""Comparison: the prompts of one task and seed, on which every method and search is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.finding import Plan
from circuitsearch.pipeline import METHOD, planned
from circuitsearch.scores import Scores
from circuitsearch.validation import behaviour

from .cell_setup import CellSetup
from .cost import Cost, forward_operations, measured
from .definition import Benchmark, Cell
from .measures import (
    ACCURACY,
    BOUNDED,
    EDGES,
    FORWARDS,
    MEMORY,
    PER_PROMPT,
    SECONDS,
    Measure,
    of_circuit,
    of_ranking,
    packed,
    strongest_share,
)
from .named import method_named
from .searches import Search
from .subject import Subject
from .truth import against_truth

_SAID = {BOUNDED: "bounded {:.3f}", EDGES: "{:.0f} edges", PER_PROMPT: "per prompt {:.3f}", FORWARDS: "{:.1f} forwards"}


@dataclass(frozen=True)
class Found:
    """What a cell came to.

    Attributes
    ----------
    measures : tuple of Measure
        All numbers.
    edges : bytes
        The bits of the edges that are compared over seeds.
    scores : Scores, optional
        Of a ranking.
    """

    measures: tuple[Measure, ...]
    edges: bytes
    scores: Scores | None = None

    def __str__(self) -> str:
        said = {each.name: each.value for each in self.measures if each.share is None}
        return ", ".join(text.format(said[name]) for name, text in _SAID.items() if name in said)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A model on the prompts of one task and seed, divided as for :func:`circuitsearch.find`.

    Attributes
    ----------
    subject : Subject
        The model.
    benchmark : Benchmark
        What is measured.
    plan : Plan
        Prompts that choose edges, that decide, and that test; of the last, as many as are used.
    held_out : Faithfulness
        Measures circuits on those that test.
    accuracy : float
        Of the model itself.
    """

    subject: Subject
    benchmark: Benchmark
    plan: Plan
    held_out: Faithfulness
    accuracy: float

    @classmethod
    def of(cls, subject: Subject, cell: Cell, benchmark: Benchmark) -> Comparison:
        """Make the prompts; an InputError if the model does not do the task."""
        task = subject.task(cell.task_name, cell.seed, benchmark)
        settings: Any = {"ablation": benchmark.ablation, "seed": cell.seed, **subject.working(benchmark)}
        plan = planned(subject.model, task, benchmark.faithfulness, METHOD, 0, subject.tokenizer, settings)
        found = behaviour(plan.whole, plan.whole.task)
        found.check()
        plan.whole.evaluator.release()
        held_out = Faithfulness(plan.held_out).on_first(benchmark.measured)
        return cls(subject, benchmark, replace(plan, held_out=held_out.experiment), held_out, found.accuracy)

    def setup(self, cell: Cell) -> CellSetup:
        """All that the numbers of a cell depend on."""
        return CellSetup.of(self.plan, method_named(cell.method), self.benchmark)

    def measure(self, cell: Cell, checkpoint: Path) -> Found:
        """Score or search, and measure what was found; a search keeps its state in ``checkpoint``."""
        made: Any = method_named(cell.method)
        return self._of_search(cell, made, checkpoint) if hasattr(made, "circuit") else self._of_ranking(cell, made)

    def _of_ranking(self, cell: Cell, method: Any) -> Found:
        scores, cost = self._scored(lambda: self.plan.selection.score(method))
        costs = self._costs(cost.operations / self._forward, cost)
        measures = of_ranking(scores, self.held_out, self.benchmark.sizes)
        return Found(
            self._all(cell, scores, measures, costs), packed(strongest_share(scores, self.benchmark.agree_at)), scores
        )

    def _of_search(self, cell: Cell, search: Search, checkpoint: Path) -> Found:
        checkpoint.parent.mkdir(exist_ok=True)
        scores, cost = self._scored(lambda: search.start(self.plan))
        with measured(self.subject.model.device, counting=not search.keeps_count) as more:
            circuit = search.circuit(self.plan, scores, checkpoint)
        counted = 0.0 if circuit.history is None or not search.keeps_count else circuit.history.forwards
        both = cost.with_more(more)
        costs = self._costs(counted + both.operations / self._forward, both)
        return Found(self._all(cell, circuit, of_circuit(circuit, self.held_out), costs), packed(circuit.mask))

    def _scored(self, score: Any) -> tuple[Scores, Cost]:
        """Scores, and what they cost if nothing of the prompts was run before."""
        self.plan.selection.evaluator.release()
        with measured(self.subject.model.device) as cost:
            scores = score()
        return scores, cost

    def _all(
        self, cell: Cell, found: Scores | Circuit, measures: Iterable[Measure], costs: list[Measure]
    ) -> tuple[Measure, ...]:
        known = against_truth(self.subject, cell.task_name, found)
        return (*measures, *known, Measure(ACCURACY, self.accuracy), *costs)

    def _costs(self, forwards: float, cost: Cost) -> list[Measure]:
        peak = [] if cost.peak is None else [Measure(MEMORY, cost.peak)]
        return [Measure(FORWARDS, forwards), Measure(SECONDS, cost.seconds), *peak]

    @cached_property
    def _forward(self) -> int:
        """Operations of one plain forward of the prompts that choose edges."""
        return forward_operations(self.subject.model, self.plan.selection.task)
