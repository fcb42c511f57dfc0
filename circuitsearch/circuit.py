"""Circuit: a set of edges, every other edge being cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from circuitsearch import show
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph

_AT_ONCE = 1 << 16  # edges that are encoded together


@dataclass(frozen=True)
class Certificate:
    """Proof by real runs, on the prompts of the search, that no edge of a circuit can go.

    Attributes
    ----------
    target : float
        The faithfulness that was asked for.
    faithfulness : float
        What the circuit has.
    without : dict
        For each edge, ``"a0.h1->a2.h3<q>"``, the faithfulness of the circuit without it (and without what then lies on no
        path any more); all are below the target.
    """

    target: float
    faithfulness: float
    without: dict[str, float]


@dataclass(frozen=True, eq=False)
class Circuit:
    """A set of edges of a graph.

    Attributes
    ----------
    graph : Graph
        The graph that the edges belong to.
    mask : Tensor
        Boolean (U, V).
    scores : Tensor, optional
        (U, V) scores that the circuit was chosen by, for its drawing and for its size curve.
    certificate : Certificate, optional
        Given by the minimal search.
    """

    graph: Graph
    mask: Tensor
    scores: Tensor | None = None
    certificate: Certificate | None = None

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
        return [self.graph.writers[row] for row in self.graph.touched(self.mask).nonzero().flatten().tolist()] + ends

    def __len__(self) -> int:
        return int(self.mask.sum())

    def __contains__(self, edge: tuple[str, str]) -> bool:
        return bool(self.mask[self.graph.find_writer(edge[0]), self.graph.find_reader(edge[1])])

    def score(self, writer: str, reader: str) -> float | None:
        """The score of an edge, or None if the circuit carries no scores."""
        if self.scores is None:
            return None
        return float(self.scores[self.graph.find_writer(writer), self.graph.find_reader(reader)])

    def networkx(self) -> nx.DiGraph:
        """The circuit as a DiGraph of writers and ports; each port feeds its component."""
        return self.graph.networkx(self.mask)

    def pruned(self) -> Circuit:
        """The circuit without the edges that lie on no path from ``embed`` to ``logits``."""
        return Circuit(self.graph, self.graph.prune(self.mask), self.scores)

    def strongest(self, n: int) -> Circuit:
        """The n edges with the largest |score|, of equal ones the earlier in the stream; edges without a score come last.

        Raises
        ------
        InputError
            If n is below 1.
        """
        if n < 1:
            raise InputError(f"the number of edges must be 1 or more, not {n}")
        scores = torch.zeros(self.mask.shape) if self.scores is None else self.scores.detach().abs().cpu()
        strengths = torch.where(self.mask & ~scores.isnan(), scores, torch.where(self.mask, -1.0, -2.0))
        chosen = strengths.T.flatten().argsort(descending=True, stable=True)[: min(n, len(self))]
        mask = torch.zeros(self.mask.numel(), dtype=torch.bool)
        mask[chosen] = True
        return Circuit(self.graph, mask.view(self.mask.T.shape).T.contiguous(), self.scores)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types; ``edges`` and ``scores`` are in the same order."""
        return {
            "graph": asdict(self.graph),
            "n_edges": len(self),
            "n_edges_total": self.graph.n_edges,
            "edges": [f"{writer}->{reader}" for writer, reader in self.graph.edges(self.mask)],
            "scores": None if self.scores is None else self.scores.T[self.mask.T].tolist(),
            "certificate": None if self.certificate is None else asdict(self.certificate),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Circuit:
        """Rebuild a circuit from :meth:`to_dict`; scores of edges outside it are not kept."""
        graph = Graph(**content["graph"])
        places = graph.places(_ends(edge) for edge in content["edges"])
        mask = torch.zeros_like(graph.mask)
        mask[places[:, 0], places[:, 1]] = True
        scores = None
        if content.get("scores") is not None:
            values = torch.tensor(content["scores"], dtype=torch.float64)
            if len(values) != len(places):
                raise ValueError(f"{len(values)} scores for {len(places)} edges")
            scores = torch.full(mask.shape, torch.nan, dtype=torch.float64)
            scores[places[:, 0], places[:, 1]] = values
        certificate = Certificate(**content["certificate"]) if content.get("certificate") else None
        return cls(graph, mask, scores, certificate)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_dict` as JSON."""
        with Path(path).open("w", encoding="utf-8") as file:
            for piece in _json(self.to_dict()):
                file.write(piece)

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If the file is not one of these.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not a circuit file ({error!r}): give a circuit.json that a run wrote"
            ) from None

    def _repr_svg_(self) -> str | None:
        return show.as_svg(self)

    def __repr__(self) -> str:
        return f"Circuit({len(self)} of {self.graph.n_edges} edges, {len(self.nodes)} nodes)"


def _ends(edge: str) -> tuple[str, str]:
    writer, arrow, reader = edge.partition("->")
    if not arrow:
        raise ValueError(f"{edge!r} is no edge")
    return writer, reader


def _json(content: dict[str, Any]) -> Iterator[str]:
    """What ``json.dumps(content, indent=1)`` gives, and a line's end, in pieces.

    Long lists of names or numbers are written by the library's fast encoder, which knows no indents, some at a time.
    """
    listed = json.JSONEncoder(separators=(",\n  ", ": "))
    before = "{\n"
    for key, value in content.items():
        yield f"{before} {json.dumps(key)}: "
        before = ",\n"
        if not (isinstance(value, list) and value):
            yield json.dumps(value, indent=1).replace("\n", "\n ")
            continue
        for first in range(0, len(value), _AT_ONCE):
            yield ("[" if first == 0 else ",") + "\n  " + listed.encode(value[first : first + _AT_ONCE])[1:-1]
        yield "\n ]"
    yield "\n}\n"
