"""An estimate of every edge, and the truth about those that matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from circuitsearch.ablation import Ablation, Resample
from circuitsearch.engine.pair import pairs
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.graph import Graph
from circuitsearch.methods.eap import EAPIG
from circuitsearch.methods.exact import Exact
from circuitsearch.metric_contract import Needs
from circuitsearch.scores import Method, Work, ranking
from circuitsearch.task import Task

READERS_TIMED, WRITERS_TIMED = 5, 8  # whose edges show how long one takes


@dataclass(frozen=True)
class Recheck:
    """Score every edge by a first method, then measure exactly the ``k`` edges nearest the decision.

    Which edges a circuit keeps is decided near the top of the ranking: the strongest few in a thousand are kept, and all
    others are not. So these are measured, and the estimate stands for the rest. ``Scores.agreement`` then says how well the
    two agree.

    Parameters
    ----------
    first : Method
        Scores every edge.
    k : int
        How many edges are measured.
    around : int, optional
        Ranks around which they lie, half of them on either side, where the size of the circuit is known; by default they
        are the ``k`` strongest.

    Raises
    ------
    InputError
        If ``k`` is below 1, or ``around`` is.
    """

    first: Method = field(default_factory=EAPIG)
    k: int = 200
    around: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("k", self.k), ("around", self.around)):
            if value is not None and value < 1:
                raise InputError(f"Recheck's {name} must be at least 1, not {value}")

    @property
    def needs(self) -> Needs:
        """What it takes from the metric: what ``first`` does."""
        return getattr(self.first, "needs", Needs.VALUES)

    def __repr__(self) -> str:
        around = "" if self.around is None else f", around={self.around}"
        return f"Recheck(first={self.first!r}, k={self.k}{around})"

    def second(self, graph: Graph, estimate: Tensor) -> Exact:
        """Choose the edges to measure by the estimate (U, V)."""
        first = 0 if self.around is None else max(0, self.around - self.k // 2)
        places = ranking(graph, estimate)[first : first + self.k].tolist()
        return Exact(edges=tuple((graph.writers[row], graph.readers[column]) for row, column in places))


def edges_in_time(
    model: Any,
    task: Task,
    seconds: float,
    ablation: Ablation | None = None,
    granularity: Granularity = WHOLE,
) -> int:
    """How many edges can be measured exactly in about so many seconds on this machine, by timing a few of them.

    The number is rounded down to 1, 2 or 5 times a power of ten, or is all edges; at least 1.
    """
    described = verified(model, task, granularity)
    graph = described.graph
    columns = torch.linspace(0, len(graph.readers) - 1, READERS_TIMED).long().unique().tolist()
    edges = tuple(
        (writer, graph.readers[c])
        for c in columns
        for writer in [graph.writers[row] for row in graph.mask[:, c].nonzero().flatten().tolist()][-WRITERS_TIMED:]
    )
    pair = next(pairs(described, task, ablation or Resample()))
    Exact(edges[:1]).effects(pair, Work())  # runs what all share, which is not timed
    began = perf_counter()
    Exact(edges).effects(pair, Work())
    per_edge = (perf_counter() - began) / len(edges) * len(task) / len(pair.batch)
    return min(round_number(seconds / per_edge), graph.n_edges)


def round_number(value: float) -> int:
    """The largest of 1, 2, 5, 10, 20, 50 ... that is not above ``value``; at least 1.

    Examples
    --------
    >>> [round_number(value) for value in (0.3, 4, 5, 99, 1519)]
    [1, 2, 5, 50, 1000]
    """
    best, power = 1, 1
    while power <= value:
        best = max(factor * power for factor in (1, 2, 5) if factor * power <= value)
        power *= 10
    return best
