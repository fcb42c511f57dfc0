"""Circuit: a set of edges; every other edge is ablated."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from circuitsearch import show
from circuitsearch.certificate import Bound as Bound
from circuitsearch.certificate import Certificate as Certificate
from circuitsearch.errors import InputError
from circuitsearch.files import STRICT, Number, checking, parse_json, read_json, to_json, write_json
from circuitsearch.graph import Graph
from circuitsearch.history import History
from circuitsearch.names import ends_of
from circuitsearch.reachability import digraph, prune, touched
from circuitsearch.redundancy import Redundancy
from circuitsearch.setup import MadeWith, Setup

_WHAT = "a circuit that a run wrote"
_MOST_BYTES = 1 << 32  # of a file: every edge of Llama-70B takes a sixth of it


@dataclass(frozen=True, eq=False)
class Circuit(MadeWith):
    """A set of edges of a graph.

    Attributes
    ----------
    graph : Graph
        The graph that the edges belong to.
    mask : Tensor
        Boolean (U, V).
    scores : Tensor, optional
        (U, V) scores by which the circuit was chosen, used for its figure and its size curve.
    certificate : Certificate, optional
        Made by searches that remove edges by exact runs.
    history : History, optional
        The passes of the search.
    effects : Tensor, optional
        (U, V) what each edge brings to the circuit's metric, NaN outside it: integrated gradients (1703.01365) in the edges'
        weights, from no edges to the circuit. In the metric's unit, averaged over up to 32 of the prompts that chose the circuit;
        together they are what the circuit's metric is above that of no edges. Positive where the edge supports the behaviour.
        A score is of the full model, and an edge may do something else in the circuit.
    redundancy : Redundancy, optional
        Of a complete circuit: the minimal circuits of which it is the union, and what each edge does in it.
    bound : Bound, optional
        How near it is to the best circuit by its scores: made by :func:`circuitsearch.optimal`.
    setup : Setup, optional
        What the circuit was found with, including the prompts of the search; a circuit from another tool has none.
    """

    graph: Graph
    mask: Tensor
    scores: Tensor | None = None
    certificate: Certificate | None = None
    setup: Setup | None = None
    history: History | None = None
    effects: Tensor | None = None
    redundancy: Redundancy | None = None
    bound: Bound | None = None

    @classmethod
    def from_edges(cls, graph: Graph, edges: Iterable[tuple[str, str]], scores: Tensor | None = None) -> Circuit:
        """Build a circuit from (writer, reader) names.

        Examples
        --------
        >>> circuit = Circuit.from_edges(Graph(2, 4, 4), [("embed", "m0<in>"), ("m0", "logits")])
        >>> len(circuit), circuit.edges
        (2, [('embed', 'm0<in>'), ('m0', 'logits')])
        """
        return cls(graph, graph.edge_mask(edges), scores)

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The edges as (writer, reader) names, in the stream's order of readers."""
        return list(self.graph.edges(self.mask))

    @property
    def nodes(self) -> list[str]:
        """Components and ``logits`` that some edge touches, in the stream's order."""
        ends = ["logits"] if bool(self.mask[:, -1].any()) else []
        return [self.graph.writers[row] for row in touched(self.graph, self.mask).nonzero().flatten().tolist()] + ends

    def __len__(self) -> int:
        return int(self.mask.sum())

    def __contains__(self, edge: tuple[str, str]) -> bool:
        return bool(self.mask[self.graph.find_writer(edge[0]), self.graph.find_reader(edge[1])])

    def score(self, writer: str, reader: str) -> float | None:
        """The score of an edge, or None if the circuit has no scores."""
        return None if self.scores is None else self._at(self.scores, writer, reader)

    def _at(self, values: Tensor, writer: str, reader: str) -> float:
        return float(values[self.graph.find_writer(writer), self.graph.find_reader(reader)])

    def effect(self, writer: str, reader: str) -> float | None:
        """The effect of an edge in the circuit, or None if it was not measured."""
        return None if self.effects is None else self._at(self.effects, writer, reader)

    @property
    def strengths(self) -> Tensor | None:
        """(U, V) what figures and tables show of the edges: their effects in the circuit if they were measured, else the scores."""
        return self.scores if self.effects is None else self.effects

    def strength(self, writer: str, reader: str) -> float | None:
        """Of an edge, or None if the circuit has neither effects nor scores."""
        return None if self.strengths is None else self._at(self.strengths, writer, reader)

    def networkx(self) -> nx.DiGraph:
        """The circuit as a DiGraph of writers and ports; each port feeds its component."""
        return digraph(self.graph, self.mask)

    def pruned(self) -> Circuit:
        """The circuit without the edges that are on no path from ``embed`` to ``logits``."""
        return self._with(prune(self.graph, self.mask))

    def strongest(self, n: int) -> Circuit:
        """The n edges with the largest magnitude of :attr:`strengths`; ties are in the order of the stream, and edges without one come last.

        Raises
        ------
        InputError
            If n is below 1.
        """
        if n < 1:
            raise InputError(f"the number of edges must be 1 or more, not {n}")
        known = torch.zeros(self.mask.shape) if self.strengths is None else self.strengths.detach().abs().cpu()
        strengths = torch.where(self.mask & ~known.isnan(), known, torch.where(self.mask, -1.0, -2.0))
        chosen = strengths.T.flatten().argsort(descending=True, stable=True)[: min(n, len(self))]
        mask = torch.zeros(self.mask.numel(), dtype=torch.bool)
        mask[chosen] = True
        return self._with(mask.view(self.mask.T.shape).T.contiguous())

    def strongest_on_paths(self, n: int) -> Circuit:
        """At most n edges: of as many of the strongest as possible those on paths from ``embed`` to ``logits`` through them.

        Raises
        ------
        InputError
            If n is below 1, or so few of the strongest edges that no path leads through them.
        """
        self.strongest(n)  # raises if n is below 1

        def on_paths(count: int) -> int:
            return len(self.strongest(count).pruned())

        sizes = range(1, len(self) + 1)
        found = self.strongest(max(bisect_right(sizes, n, key=on_paths), 1)).pruned()
        if not len(found):
            least = on_paths(bisect_left(sizes, 1, key=on_paths) + 1)
            raise InputError(f"no path leads through so few of the strongest edges: give {least} or more, not {n}")
        return found

    def _with(self, mask: Tensor) -> Circuit:
        """The same with fewer edges, for which there is no certificate and no bound; effects stay those in the whole circuit."""
        return replace(self, mask=mask, certificate=None, history=None, redundancy=None, bound=None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types; ``edges``, ``scores`` and ``effects`` are in the same order."""
        return {
            "graph": asdict(self.graph),
            "n_edges": len(self),
            "n_edges_total": self.graph.n_edges,
            "edges": [f"{writer}->{reader}" for writer, reader in self.graph.edges(self.mask)],
            "scores": None if self.scores is None else self.scores.T[self.mask.T].tolist(),
            "effects": None if self.effects is None else self.effects.T[self.mask.T].tolist(),
            "certificate": None if self.certificate is None else asdict(self.certificate),
            "bound": None if self.bound is None else asdict(self.bound),
            "setup": None if self.setup is None else self.setup.model_dump(mode="json"),
            "history": None if self.history is None else asdict(self.history),
            "redundancy": None if self.redundancy is None else asdict(self.redundancy),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Circuit:
        """Rebuild a circuit from :meth:`to_dict`; scores of edges outside it are not kept.

        Raises
        ------
        InputError
            If ``content`` is something else.
        """
        return parse_json(to_json(content), _Content).circuit()

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_dict` as JSON; a missing score is null."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If the file is not one of these.
        """
        content = read_json(path, _WHAT, _Content, _MOST_BYTES)
        with checking(path, _WHAT):
            return content.circuit()

    def _repr_svg_(self) -> str | None:
        return show.as_svg(self)

    def __repr__(self) -> str:
        return f"Circuit({len(self)} of {self.graph.n_edges} edges, {len(self.nodes)} nodes)"


@dataclass(frozen=True)
class _Content:
    """What a file of a circuit holds."""

    __pydantic_config__ = STRICT

    graph: Graph
    edges: list[str]
    n_edges: int | None = None
    n_edges_total: int | None = None
    scores: list[Number] | None = None
    effects: list[Number] | None = None
    certificate: Certificate | None = None
    bound: Bound | None = None
    setup: Setup | None = None
    history: History | None = None
    redundancy: Redundancy | None = None

    def circuit(self) -> Circuit:
        """The circuit; raises an InputError if the fields contradict each other."""
        self._check_numbers()
        places = self.graph.places(map(ends_of, self.edges))
        mask = self.graph.mask_at(places)
        if int(mask.sum()) < len(places):
            raise InputError("an edge is named twice")

        def of_edges(values: list[Number] | None) -> Tensor | None:
            if values is None:
                return None
            tensor = torch.full(mask.shape, torch.nan, dtype=torch.float64)
            tensor[places[:, 0], places[:, 1]] = torch.tensor(values, dtype=torch.float64)
            return tensor

        scores, effects = of_edges(self.scores), of_edges(self.effects)
        return Circuit(
            self.graph, mask, scores, self.certificate, self.setup, self.history, effects, self.redundancy, self.bound
        )

    def _check_numbers(self) -> None:
        """Check the counts before a mask of the graph's size is made."""
        if self.n_edges_total not in (None, self.graph.n_edges):
            raise InputError(f"its graph has {self.graph.n_edges} edges, but n_edges_total is {self.n_edges_total}")
        if self.n_edges not in (None, len(self.edges)):
            raise InputError(f"it holds {len(self.edges)} edges, but n_edges is {self.n_edges}")
        for name, values in (("scores", self.scores), ("effects", self.effects)):
            if values is not None and len(values) != len(self.edges):
                raise InputError(f"it holds {len(values)} {name} for {len(self.edges)} edges")
