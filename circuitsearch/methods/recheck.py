"""An estimate for every edge, and exact measurements of the strongest ones."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field

from torch import Tensor

from circuitsearch.experiment import Experiment
from circuitsearch.graph import Graph
from circuitsearch.knobs import Knobs, check_at_least_one, in_words
from circuitsearch.methods.eap import EAPIG
from circuitsearch.methods.exact import Exact
from circuitsearch.metric_contract import Needs
from circuitsearch.scores import Method, ranking

WORK = 4e11  # operations that a recheck may take by default: some seconds of two cores
A_BATCH = 1.1e8  # operations that the fixed costs of running one edge on one batch are worth, measured on pico
FORWARDS = 15  # forwards of all prompts that it may take in any case, about as many as EAP-IG takes


@dataclass(frozen=True)
class Recheck(Knobs):
    """Score every edge by a first method, then measure exactly the ``k`` edges nearest the decision.

    A circuit keeps the strongest few edges in a thousand, so errors of the estimate matter near the top of the ranking.
    Those edges are measured, and the others keep their estimate. ``Scores.agreement`` then says how well the two agree.

    Parameters
    ----------
    first : Method
        Scores every edge.
    k : int
        How many edges are measured.
    around : int, optional
        Rank around which the measured edges are, half of them on either side, if the size of the circuit is known; by
        default the ``k`` strongest edges are measured.

    Raises
    ------
    InputError
        If ``k`` is below 1, or ``around`` is.
    """

    first: Method = field(default_factory=EAPIG)
    k: int = 200
    around: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "k", "around")

    @property
    def needs(self) -> Needs:
        """What ``first`` needs from the metric."""
        return getattr(self.first, "needs", Needs.VALUES)

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"{in_words(self.first)}; {self._measured} measured exactly"

    @property
    def _measured(self) -> str:
        near = "strongest edges" if self.around is None else f"edges around rank {self.around:,}"
        return f"the {self.k:,} {near}"

    def __repr__(self) -> str:
        around = "" if self.around is None else f", around={self.around}"
        return f"Recheck(first={self.first!r}, k={self.k}{around})"

    def second(self, graph: Graph, estimate: Tensor) -> Exact:
        """Choose the edges to measure by the estimate (U, V)."""
        first = 0 if self.around is None else max(0, self.around - self.k // 2)
        places = ranking(graph, estimate)[first : first + self.k].tolist()
        return Exact(edges=tuple((graph.writers[row], graph.readers[column]) for row, column in places))


def affordable_edges(experiment: Experiment, operations: float = WORK, forwards: float = FORWARDS) -> int:
    """How many edges can be measured exactly in this many operations, or this many forwards of all prompts if that is more.

    The number depends only on the sizes of the model and the prompts, so it is the same on every machine. It is rounded
    down to 1, 2 or 5 times a power of ten, or is the number of all edges.
    """
    per_edge = cost_of_an_edge(experiment)
    most = max(operations, forwards * cost_of_a_forward(experiment)) / per_edge
    return min(round_number(most), experiment.graph.n_edges)


def cost_of_a_forward(experiment: Experiment) -> float:
    """Operations of one forward over all prompts: two per token and weight of the blocks, and the logits of one token."""
    described = experiment.described
    weights = sum(weight.numel() for block in described.blocks for weight in block.parameters())
    tokens = sum(map(len, experiment.task.clean))
    return 2 * weights * tokens + _cost_of_logits(experiment)


def cost_of_an_edge(experiment: Experiment) -> float:
    """Operations of one exact effect over all prompts, on average over edges.

    Everything from the edge's reader on runs again, at the positions from the first difference on.
    """
    graph, described = experiment.graph.base, experiment.described
    weights = [sum(weight.numel() for weight in block.parameters()) for block in described.blocks]
    above = [sum(weights[part.layer :]) for part in graph.parts]
    n_edges = [part.seen * (part.columns.stop - part.columns.start) for part in graph.parts]
    mean_above = sum(map(operator.mul, above, n_edges)) / (sum(n_edges) + len(graph.writers))
    batches = list(experiment.task.batches(pad=described.causal))
    tokens = sum(len(batch) * (batch.clean.shape[1] - batch.start) for batch in batches)
    return 2 * mean_above * tokens + _cost_of_logits(experiment) + A_BATCH * len(batches)


def _cost_of_logits(experiment: Experiment) -> float:
    return 2 * experiment.described.vocabulary_size * experiment.described.d_model * len(experiment.task)


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
