"""What measurements and solvers show of a circuit: which edges and nodes it needs, and how good any circuit can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from circuitsearch.files import STRICT, Number
from circuitsearch.target import reaches

LOCAL, QUASI = "local-minimal", "quasi-minimal"


@dataclass(frozen=True)
class Certificate:
    """Measurements, on the prompts of the search, which show that edges or nodes of a circuit cannot be removed.

    Attributes
    ----------
    target : float
        The faithfulness to reach.
    faithfulness : float
        The faithfulness of the circuit.
    without : dict
        For each edge that was tried and is needed, ``"a0.h1->a2.h3<q>"``, the faithfulness of the circuit without it (and
        without the edges that are then on no path any more); none reaches the target.
    without_nodes : dict
        The same for each node, ``"a0.h1"``: without all edges from it. Only :func:`circuitsearch.node_minimal` measures it.
    """

    __pydantic_config__ = STRICT

    target: float
    faithfulness: float
    without: dict[str, float]
    without_nodes: dict[str, float] = field(default_factory=dict)

    def kind(self, n_edges: int) -> str:
        """What is shown of a circuit of ``n_edges`` edges, by the names of Adolfi et al. (2410.08025).

        ``"local-minimal"`` if none of its edges can be removed, ``"quasi-minimal"`` if that is shown of at least one edge, and
        empty if of none, or if the circuit does not reach the target. That several edges cannot be removed together
        (subset-minimal) is shown by :func:`circuitsearch.smallest_subset`.

        Examples
        --------
        >>> one = Certificate(target=0.9, faithfulness=0.95, without={"embed->logits": 0.2})
        >>> one.kind(1), one.kind(2)
        ('local-minimal', 'quasi-minimal')
        """
        if not self.without or not reaches(self.faithfulness, self.target):
            return ""
        return LOCAL if len(self.without) == n_edges else QUASI

    def describe(self, n_edges: int) -> str:
        """In words; ``n_edges`` is the circuit's size."""
        return "; ".join([self._of_edges(n_edges), *([self._of_nodes()] if self.without_nodes else [])])

    def _of_edges(self, n_edges: int) -> str:
        if not self.without:
            return "exact runs did not show that any of its edges is needed"
        if len(self.without) == n_edges:
            tried, unknown = "each of its edges was", "several can be removed together"
        else:
            tried = f"{len(self.without)} of its edges were" if len(self.without) > 1 else "one of its edges was"
            unknown = "others can be removed"
        kind = self.kind(n_edges)
        return (
            f"{kind}{': ' if kind else ''}{tried} removed by exact runs on the selection prompts, where its faithfulness is"
            f" {self.faithfulness:.3f}; without any one of them it is {self._missed(self.without)}; whether {unknown} is not known"
        )

    def _of_nodes(self) -> str:
        return f"without all edges from any one of its {len(self.without_nodes)} nodes it is {self._missed(self.without_nodes)}"

    def _missed(self, without: Mapping[str, float]) -> str:
        """Where the faithfulness is without each of some edges or nodes."""
        overshoots = any(value > 1 for value in without.values())
        return f"below {self.target:.3f}" + (f" or above {2 - self.target:.3f}" if overshoots else "")


@dataclass(frozen=True)
class Bound:
    """How large the sum of the strengths of a circuit's edges is, and how large any circuit's can be.

    Attributes
    ----------
    n_edges : int
        How many edges a circuit may have.
    total : float
        The sum of this circuit.
    most : float
        The sum of every circuit of that many edges is at most this.
    solved : bool
        Whether the solver ended before its time was over: then no circuit has a larger sum.
    """

    __pydantic_config__ = STRICT

    n_edges: int
    total: Number
    most: Number
    solved: bool

    @property
    def gap(self) -> float:
        """By how much of the bound the sum may be too small, at most.

        Examples
        --------
        >>> Bound(20, total=9.0, most=10.0, solved=False).gap
        0.1
        """
        return (self.most - self.total) / self.most if self.most > self.total else 0.0

    def __str__(self) -> str:
        if self.solved:
            return f"no circuit of at most {self.n_edges} edges has a larger sum of strengths than its {self.total:.4g}"
        return (
            f"its strengths sum to {self.total:.4g}, those of any circuit of at most {self.n_edges} edges to at most"
            f" {self.most:.4g} (a gap of {self.gap:.1%}): the solver's time was over"
        )
