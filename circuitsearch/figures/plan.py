"""What a diagram shows, before anything is placed: rows of nodes from bottom to top, and the strands between them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import EMBED, LOGITS

CROWDED = 400  # strands; more are neither read one by one nor placed in seconds


@dataclass(frozen=True)
class Strand:
    """One drawn line: an edge of the circuit, or its share where a port feeds several heads of a group.

    ``head`` is the node that the line enters; ``port`` is ``q``, ``k``, ``v``, ``in`` or, at the logits, empty;
    ``score`` is None where it is not known.
    """

    writer: str
    reader: str
    head: str
    port: str
    score: float | None


@dataclass(frozen=True)
class Row:
    """Nodes at one height: the attention or the MLP of a layer (both, where they run in parallel), or an end."""

    layer: int | None
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Rows from bottom to top, and strands in the stream's order."""

    rows: tuple[Row, ...]
    strands: tuple[Strand, ...]

    @cached_property
    def strongest(self) -> float:
        """The largest |score|; 0 if no score is known."""
        return max((abs(strand.score) for strand in self.strands if strand.score is not None), default=0.0)

    @cached_property
    def ports(self) -> dict[str, frozenset[str]]:
        """Which ports of each node are entered."""
        entered: dict[str, set[str]] = {name: set() for name in self.row_of}
        for strand in self.strands:
            entered[strand.head].add(strand.port)
        return {name: frozenset(ports) for name, ports in entered.items()}

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each node, counted from the bottom."""
        return {name: index for index, row in enumerate(self.rows) for name in row.nodes}

    @cached_property
    def bundles(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Ports that each writer reaches in each node that it feeds."""
        ports: dict[tuple[str, str], tuple[str, ...]] = {}
        for strand in self.strands:
            ports[strand.writer, strand.head] = (*ports.get((strand.writer, strand.head), ()), strand.port)
        return ports

    @property
    def crowded(self) -> bool:
        """Whether there are too many strands for each to have its own way past the rows between its ends."""
        return len(self.strands) > CROWDED

    @cached_property
    def shared(self) -> bool:
        """Whether some edge is drawn more than once, because heads share its port."""
        return len({(strand.writer, strand.reader) for strand in self.strands}) < len(self.strands)


def plan(circuit: Circuit) -> Plan:
    """Lay out what is to be drawn.

    Raises
    ------
    InputError
        If the circuit has no edges.

    Examples
    --------
    >>> from circuitsearch.graph import Graph
    >>> figure = plan(Circuit.from_edges(Graph(2, 4, 4), [("embed", "a1.h2<q>"), ("a1.h2", "logits")]))
    >>> [row.nodes for row in figure.rows]
    [('embed',), ('a1.h2',), ('logits',)]
    """
    if not len(circuit):
        raise InputError("there is nothing to draw: the circuit has no edges")
    strands = tuple(_strands(circuit))
    nodes = {strand.writer for strand in strands} | {strand.head for strand in strands}
    rows: dict[tuple[float, int], list[str]] = {}
    for name in (*circuit.graph.writers, LOGITS):
        if name in nodes:
            rows.setdefault(_height(name, circuit.graph.parallel), []).append(name)
    return Plan(tuple(Row(layer_of(names[0]), tuple(names)) for _, names in sorted(rows.items())), strands)


def layer_of(name: str) -> int | None:
    """Layer of a head or MLP; None for the embedding and the logits."""
    found = re.match(r"[am](\d+)", name)
    return int(found[1]) if found else None


def _height(name: str, parallel: bool) -> tuple[float, int]:
    """Sort key of a node's row: its layer, then attention before the MLP unless they read the same stream."""
    if name in (EMBED, LOGITS):
        return (-1 if name == EMBED else math.inf), 0
    return layer_of(name) or 0, int(name.startswith("m") and not parallel)


def _strands(circuit: Circuit) -> list[Strand]:
    writes = {writer for writer, _ in circuit.edges}
    strands = []
    for writer, reader in circuit.edges:
        fed = circuit.graph.components(reader) or [reader]
        alive = [name for name in fed if name in writes]  # heads of a group that write nothing here would be dead ends
        score = circuit.score(writer, reader)
        known = None if score is None or not math.isfinite(score) else score
        port = reader.partition("<")[2].rstrip(">")
        strands += [Strand(writer, reader, head, port, known) for head in alive or fed]
    return strands
