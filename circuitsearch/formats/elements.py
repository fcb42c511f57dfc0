"""What every format contains of a circuit: its nodes, and its edges as links between them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import networkx as nx
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.escape import plain_text
from circuitsearch.names import LOGITS
from circuitsearch.reachability import components
from circuitsearch.redundancy import OPPOSES
from circuitsearch.roles import Roles, roles_of
from circuitsearch.scores import are_effects

_KINDS = {"a": "attention", "ah": "head", "m": "mlp", "mn": "neuron", "me": "expert", "s": "mixer"}


@dataclass(frozen=True)
class Node:
    """A component, the embedding or the logits. ``index`` counts heads, neurons or experts of a layer; ``role`` is empty if there is none."""

    name: str
    kind: str
    layer: int | None
    index: int | None
    role: str

    @property
    def facts(self) -> dict[str, Any]:
        """Its attributes, by the names that files use: kind, layer, head (or neuron, or expert), role."""
        facts = {"kind": self.kind, "layer": self.layer, self.kind: self.index, "role": self.role or None}
        return {"kind": self.kind} | {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Link:
    """An edge of the circuit, or its share where a port feeds several components: from writer to component.

    ``port`` is ``q``, ``k``, ``v``, ``in`` or, at the logits, ``logits``; ``score`` and ``effect`` are None if there
    is none; ``role`` is what the edge does in a complete circuit, empty in others. Unless ``signed`` the score says nothing of the sign.
    """

    source: str
    target: str
    edge: str
    port: str
    score: float | None
    effect: float | None = None
    role: str = ""
    signed: bool = True

    @property
    def strength(self) -> float | None:
        """The effect in the circuit if it is known, else the score."""
        return self.score if self.effect is None else self.effect

    @property
    def sign(self) -> str:
        """The meaning of the strength, supports, opposes or unknown; in a complete circuit an edge that opposes is known."""
        if self.role == OPPOSES:
            return OPPOSES
        if self.strength is None or (self.effect is None and not self.signed):
            return "unknown"
        return "supports" if self.strength > 0 else "opposes" if self.strength < 0 else "none"

    @property
    def facts(self) -> dict[str, Any]:
        """Its attributes; ``weight`` is the strength's magnitude, which other programs use for layout and drawing."""
        numbers = {
            "score": self.score,
            "effect": self.effect,
            "weight": None if self.strength is None else abs(self.strength),
        }
        known = {name: value for name, value in numbers.items() if value is not None}
        role = {"role": self.role} if self.role else {}
        return {"edge": self.edge, "port": self.port, "sign": self.sign} | role | known


@dataclass(frozen=True)
class Elements:
    """A circuit for other programs; links in the stream's order of readers. All text is plain."""

    title: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    def networkx(self) -> nx.MultiDiGraph:
        """As a NetworkX graph of components; its parallel links enter different ports."""
        graph = nx.MultiDiGraph()
        if self.title:
            graph.graph["name"] = self.title
        graph.add_nodes_from((node.name, node.facts) for node in self.nodes)
        for index, link in enumerate(self.links):
            graph.add_edge(link.source, link.target, key=f"e{index}", **link.facts)
        return graph


def elements(circuit: Circuit, title: str = "", roles: Roles | None = None) -> Elements:
    """Name the nodes and links of a circuit.

    A port that several heads share is linked to those of them that write something, or to all if none does.

    Raises
    ------
    InputError
        If a role is given to something that is not a node.

    Examples
    --------
    >>> from circuitsearch.graph import Graph
    >>> found = elements(Circuit.from_edges(Graph(2, 4, 4), [("embed", "a1.h2<q>"), ("a1.h2", "logits")]))
    >>> [node.name for node in found.nodes]
    ['embed', 'a1.h2', 'logits']
    >>> found.nodes[1].facts, found.links[0].facts
    ({'kind': 'head', 'layer': 1, 'head': 2}, {'edge': 'embed->a1.h2<q>', 'port': 'q', 'sign': 'unknown'})
    """
    links = tuple(_links(circuit))
    touched = {link.source for link in links} | {link.target for link in links}
    names = [name for name in (*circuit.graph.writers, LOGITS) if name in touched]
    known = roles_of(circuit, roles)
    nodes = tuple(_node(name, known.get(name) or known.get(name.partition("@")[0], "")) for name in names)
    return Elements(plain_text(title), nodes, links)


def _node(name: str, role: str) -> Node:
    place, _, _ = name.partition("@")
    parts = re.fullmatch(r"([ams])(\d+)(?:\.([hne])(\d+))?", place)
    if parts is None:
        return Node(name, place, None, None, role)
    return Node(name, _KINDS[parts[1] + (parts[3] or "")], int(parts[2]), int(parts[4]) if parts[4] else None, role)


def _links(circuit: Circuit) -> list[Link]:
    edges, graph = circuit.edges, circuit.graph
    scores, effects = (_of_edges(circuit, values) for values in (circuit.scores, circuit.effects))
    writes, signed = {writer for writer, _ in edges}, are_effects(circuit.setup)
    edge_roles = {} if circuit.redundancy is None else circuit.redundancy.roles

    @cache
    def entered(reader: str) -> list[str]:
        fed = components(graph, reader) or [reader]
        return [name for name in fed if name in writes] or fed

    return [
        Link(
            writer, name, edge := f"{writer}->{reader}", _port(reader), score, effect, edge_roles.get(edge, ""), signed
        )
        for (writer, reader), score, effect in zip(edges, scores, effects, strict=True)
        for name in entered(reader)
    ]


def _port(reader: str) -> str:
    place = reader.partition("@")[0]
    return place.partition("<")[2].rstrip(">") or place


def _of_edges(circuit: Circuit, values: Tensor | None) -> list[float | None]:
    """Values (U, V) of the edges, in their order; None for an edge without one."""
    if values is None:
        return [None] * len(circuit)
    return [value if math.isfinite(value) else None for value in values.T[circuit.mask.T].tolist()]
