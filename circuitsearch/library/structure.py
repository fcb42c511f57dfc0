"""Nodes, edges and ports of a circuit as rows of a library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.names import LOGITS
from circuitsearch.reachability import components

Row = dict[str, Any]


def edge_rows(circuit: Circuit) -> Iterator[Row]:
    """Each edge with what figures show as its strength."""
    strengths = circuit.strengths
    values = [None] * len(circuit) if strengths is None else strengths.T[circuit.mask.T].tolist()
    for (writer, reader), value in zip(circuit.edges, values, strict=True):
        known = value is not None and math.isfinite(value)
        yield {"writer": writer, "source": component(writer), "reader": reader, "strength": value if known else None}


def port_rows(circuit: Circuit) -> Iterator[Row]:
    """Each reader that an edge goes to, with the nodes of the circuit that it feeds, and the group that it belongs to."""
    writing = {writer for writer, _ in circuit.edges}
    for reader in dict.fromkeys(reader for _, reader in circuit.edges):
        fed = components(circuit.graph, reader) or [LOGITS]
        used = [node for node in fed if node in writing] or fed
        for node in dict.fromkeys([*used, _owner(reader)]):
            yield {"reader": reader, "node": node, "component": component(node), "port": _port(reader)}


def node_rows(circuit: Circuit, roles: Mapping[str, str]) -> Iterator[Row]:
    """Each node with its role: what writes in the circuit, and what its ports feed and no other node writes for."""
    fed = {row["node"] for row in port_rows(circuit)}
    writing = {writer for writer, _ in circuit.edges}
    for node in circuit.nodes:
        if node in writing or node in fed:
            role = roles.get(node) or roles.get(component(node), "")
            yield {"node": node, "component": component(node), "role": role}


def component(node: str) -> str:
    """A node's name without its span.

    Examples
    --------
    >>> component("a1.h3@END")
    'a1.h3'
    """
    return node.partition("@")[0]


def _owner(reader: str) -> str:
    """What a port is named after: a head, a group of heads, an MLP.

    Examples
    --------
    >>> _owner("a3.kv0<k>@END"), _owner("logits")
    ('a3.kv0@END', 'logits')
    """
    name, at, span = reader.partition("@")
    return name.partition("<")[0] + at + span


def _port(reader: str) -> str:
    return reader.partition("<")[2].partition(">")[0]
