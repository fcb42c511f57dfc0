"""Plan, result and listeners of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch import show
from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.models.gguf import Origin, origin_of
from circuitsearch.scores import Method, Rechecking, Scores
from circuitsearch.setup import Setup, Spec
from circuitsearch.validation import Behaviour, Report


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes
    ----------
    whole, search, held_out : Experiment
        On all prompts, on the prompts of the search, and on the held-out prompts. If all prompts are in one group, the three are the
        same and no prompts are held out.
    method : Method
        How edges are scored.
    faithfulness : float
        The share of the behaviour that the circuit must keep.
    tokenizer : optional
        Shows prompts as text.
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
    def origin(self) -> Origin | None:
        """Where the model comes from, if it was read from a GGUF file."""
        return origin_of(self.whole.model)

    @property
    def setup(self) -> Setup:
        """Setup of the search."""
        return self.search.setup.model_copy(update={"method": Spec.of(self.method)})


@dataclass(frozen=True)
class Finding:
    """The result of a run.

    Attributes
    ----------
    behaviour : Behaviour
        What the model itself does, on all prompts.
    scores : Scores
        Every edge's score, on the prompts of the search.
    circuit : Circuit
        The circuit, with the scores of all edges.
    report : Report
        The evidence, on the held-out prompts if there are any.
    folder : Path, optional
        The run folder, if there is one.
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
    """Its methods are called during a run; they do nothing, and subclasses override those that they need.

    The stages are ``"behaviour"``, ``"scores"``, ``"circuit"`` and ``"report"``, in this order.
    """

    journal: Path | None = None  # the file of exact effects, until the scores are finished

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """A context manager around all stages of a run."""
        yield

    def recall(self, stage: str) -> Any:
        """The result of a stage from an earlier run, or None."""

    def started(self, stage: str) -> None:
        """A stage begins."""

    def progressed(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of a stage are done."""

    def finished(self, stage: str, result: Any, seconds: float | None) -> None:
        """A stage has its result; ``seconds`` is None where it was recalled."""

    def ended(self, plan: Plan, finding: Finding) -> None:
        """All stages have their results."""
