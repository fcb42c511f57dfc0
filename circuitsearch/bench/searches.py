"""Searches that a benchmark compares with rankings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from circuitsearch import search
from circuitsearch.circuit import Circuit
from circuitsearch.finding import Plan
from circuitsearch.knobs import Knobs, check_at_least_one
from circuitsearch.pipeline import METHOD, scored_on
from circuitsearch.registry import METHODS
from circuitsearch.scores import Scores
from circuitsearch.search import Refine


class Search(Protocol):
    """A way to a circuit, from the prompts of a plan that choose edges and that decide.

    Attributes
    ----------
    keeps_count : bool
        Whether the circuit's history has the cost of the search; else operations are counted, which takes time.
    """

    keeps_count: ClassVar[bool]

    def start(self, plan: Plan) -> Scores:
        """The scores that it starts from."""
        ...

    def circuit(self, plan: Plan, scores: Scores, checkpoint: Path) -> Circuit:
        """The circuit; a search that was killed goes on from ``checkpoint``, where it can."""
        ...


@dataclass(frozen=True)
class Find(Knobs):
    """The search of :func:`circuitsearch.find`, by the gradient at the circuit.

    Parameters
    ----------
    method : str
        How edges are scored for its start.
    passes : int
        Of the search, at most.
    """

    keeps_count: ClassVar[bool] = True

    method: str = METHOD
    passes: int = Refine().passes

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "passes")
        METHODS.read(self.method)

    def start(self, plan: Plan) -> Scores:
        """Scores on some of the prompts."""
        return scored_on(plan.selection).score(self.method)

    def circuit(self, plan: Plan, scores: Scores, checkpoint: Path) -> Circuit:
        """The circuit that ``find`` returns."""
        return search.refine(
            plan.selection, plan.selection.task, scores, plan.stopping, plan.faithfulness,
            how=Refine(passes=self.passes), checkpoint=checkpoint,
        )  # fmt: skip


@dataclass(frozen=True)
class Minimal(Knobs):
    """The search of :func:`circuitsearch.minimal`, along a ranking and then edge by edge; one that was killed begins again.

    Parameters
    ----------
    method : str
        The ranking.
    """

    keeps_count: ClassVar[bool] = False

    method: str = METHOD

    def __post_init__(self) -> None:
        super().__post_init__()
        METHODS.read(self.method)

    def start(self, plan: Plan) -> Scores:
        """Scores on all prompts that choose edges."""
        return plan.selection.score(self.method)

    def circuit(self, plan: Plan, scores: Scores, checkpoint: Path) -> Circuit:
        """A circuit from which no single edge can be removed."""
        return search.minimal(plan.selection, plan.selection.task, scores, plan.faithfulness)
