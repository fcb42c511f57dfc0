"""What a run sets out to do, what it came to, and who is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch import show
from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.scores import Method, Rechecking, Scores
from circuitsearch.setup import Setup, Spec
from circuitsearch.validation import Behaviour, Report


@dataclass(frozen=True)
class Plan:
    """What a run sets out to do.

    Attributes
    ----------
    whole, search, held_out : Experiment
        On all prompts, on those that the circuit is searched on, and on those that it is tested on; with prompts of one group
        only all three are the same.
    method : Method
        How edges are scored.
    faithfulness : float
        The share of the behaviour that the circuit must keep.
    tokenizer : optional
        For what shows prompts.
    """

    whole: Experiment
    search: Experiment
    held_out: Experiment
    method: Method | Rechecking
    faithfulness: float
    tokenizer: Any = None

    @property
    def halves(self) -> list[Experiment]:
        """The experiments whose prompts are together all prompts."""
        return [self.search] if self.held_out is self.search else [self.search, self.held_out]

    @property
    def setup(self) -> Setup:
        """Of the search."""
        return self.search.setup.model_copy(update={"method": Spec.of(self.method)})


@dataclass(frozen=True)
class Finding:
    """What a run came to.

    Attributes
    ----------
    behaviour : Behaviour
        What the model itself does, on all prompts.
    scores : Scores
        Every edge's score, on the prompts of the search.
    circuit : Circuit
        The circuit, with the scores of all edges.
    report : Report
        The evidence, on the held-out prompts.
    folder : Path, optional
        Where it was written to, or read from.
    """

    behaviour: Behaviour
    scores: Scores
    circuit: Circuit
    report: Report
    folder: Path | None = None

    def _repr_svg_(self) -> str | None:
        return show.as_svg(self.circuit)

    def __repr__(self) -> str:
        return f"Finding({self.report.task!r}, {self.circuit!r}, faithfulness {self.report.faithfulness})"


class Listener:
    """Is told what happens in a run; this one does nothing, and others override what they need.

    The stages are ``"behaviour"``, ``"scores"``, ``"circuit"`` and ``"report"``, in this order.
    """

    journal: Path | None = None  # where exact effects are kept while they are measured

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """Surround the stages of a run."""
        yield

    def recall(self, stage: str) -> Any:
        """The result of a stage, if it is known from an earlier run; else None."""

    def started(self, stage: str) -> None:
        """A stage begins."""

    def progressed(self, stage: str, done: int, total: int) -> None:
        """So many steps of a stage are done."""

    def finished(self, stage: str, result: Any, seconds: float | None) -> None:
        """A stage has its result; ``seconds`` is None where it was recalled."""

    def ended(self, plan: Plan, finding: Finding) -> None:
        """All stages have their results."""
