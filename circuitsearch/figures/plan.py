"""The content of a diagram before layout: rows of nodes from bottom to top, and the strands between them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import Tensor

from circuitsearch.blocks import Part
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import style
from circuitsearch.graph import Graph
from circuitsearch.names import LOGITS, PORTS
from circuitsearch.reachability import components
from circuitsearch.redundancy import OPPOSES, REPLACEABLE
from circuitsearch.scores import are_effects

MOST = 2000  # strands on a page; more need a viewer that zooms and filters
ROUTER = "router"


@dataclass(frozen=True)
class Strand:
    """One drawn line: an edge of the circuit, or its share where a port feeds several nodes.

    ``head`` is the node that the line enters; ``port`` is ``q``, ``k``, ``v``, ``in``, ``router`` or, at the logits,
    empty; ``strength`` is None if there is none; ``says`` is the edge's sign or, where two circuits are compared, which of
    them have it; ``replaceable`` whether other edges can take its place in a complete circuit; ``inclusion`` the share of
    repeated searches that found it, if that is known.
    """

    writer: str
    reader: str
    head: str
    port: str
    strength: float | None
    says: str
    replaceable: bool = False
    inclusion: float | None = None

    @property
    def dash(self) -> str:
        """Line style: by how sure the edge is, if that is known; by the circuits that have it, of two; else by the port."""
        if self.inclusion is not None:
            return style.certainty(self.inclusion)
        return style.dash(self.port if self.says in style.SIGNS else self.says)

    @property
    def edge(self) -> str:
        """Its name, ``"a0.h1->a2.h3<q>"``."""
        return f"{self.writer}->{self.reader}"


@dataclass(frozen=True)
class Row:
    """Nodes at one height: parts of a layer that read the same stream, some of them if there are many, or an end.

    In a figure that would be too tall, nodes of several layers that do not feed one another.
    """

    nodes: tuple[str, ...]

    @cached_property
    def layers(self) -> tuple[int, int] | None:
        """The first and the last layer; None of an end."""
        found = [layer for name in self.nodes if (layer := layer_of(name)) is not None]
        return (min(found), max(found)) if found else None


@dataclass(frozen=True)
class Plan:
    """Rows from bottom to top, and strands in the stream's order.

    Attributes
    ----------
    rows : tuple of Row
        From bottom to top.
    strands : tuple of Strand
        In the stream's order.
    columns : tuple of str
        Token spans, from left to right, that have nodes of their own; one empty name if there are none.
    arrows : tuple of (str, str)
        Between columns, from where a head reads keys or values to where it writes.
    roles : dict
        Role of a node, for those that have one.
    sides : tuple of str
        Names of the two circuits, where two are compared.
    measure : str
        What the strengths of strands are, as the legend writes it: scores, or effects in the circuit.
    depth : int
        Number of the graph's layers.
    looks : dict
        The token at which a head looks in an example, for those that look at one.
    """

    rows: tuple[Row, ...]
    strands: tuple[Strand, ...]
    columns: tuple[str, ...] = ("",)
    arrows: tuple[tuple[str, str], ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    sides: tuple[str, ...] = ()
    measure: str = "|score|"
    depth: int = 0
    looks: Mapping[str, str] = field(default_factory=dict)

    def height(self, name: str) -> float:
        """Height of a node."""
        return style.node_height(name) + (style.LOOK_HEIGHT if name in self.looks else 0.0)

    @cached_property
    def strongest(self) -> float:
        """The largest strength; 0 if there are none."""
        return max((abs(strand.strength) for strand in self.strands if strand.strength is not None), default=0.0)

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
    def writing(self) -> frozenset[str]:
        """Nodes that some strand leaves."""
        return frozenset(strand.writer for strand in self.strands)

    @cached_property
    def shared(self) -> bool:
        """Whether some edge is drawn more than once, because nodes share its port."""
        return len({(strand.writer, strand.reader) for strand in self.strands}) < len(self.strands)

    @cached_property
    def role_names(self) -> tuple[str, ...]:
        """The roles in the figure, in their order from the bottom."""
        return tuple(dict.fromkeys(self.roles[name] for name in self.row_of if name in self.roles))


def plan(circuit: Circuit, roles: Mapping[str, str] | None = None, inclusion: Tensor | None = None) -> Plan:
    """The content of a circuit's diagram; with an ``inclusion`` (U, V), which then gives the lines' style.

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
    edges = circuit.edges
    writes = {writer for writer, _ in edges}
    roles_of_edges = {} if circuit.redundancy is None else circuit.redundancy.roles
    signed = circuit.effects is not None or are_effects(circuit.setup)
    strands = tuple(
        strand
        for edge in edges
        for strand in _strands(circuit, edge, writes, roles_of_edges.get("->".join(edge), ""), signed)
    )
    measure = "|score|" if circuit.effects is None else "|effect|"
    if inclusion is not None:
        strands = tuple(_included(circuit.graph, strand, inclusion) for strand in strands)
    return replace(assemble(circuit.graph, strands, roles or {}), measure=measure)


def fits(circuit: Circuit, suffix: str) -> bool:
    """Whether a circuit is not too large for a page; DOT files have no limit."""
    return len(circuit) <= MOST or suffix == "dot"


def check_size(circuit: Circuit, suffix: str) -> None:
    """Raise an InputError if a circuit is too large for a page."""
    if not fits(circuit, suffix):
        raise InputError(
            f"{len(circuit):,} edges are too many for a page, where {MOST:,} fit: draw the strongest, as in"
            " circuit.strongest(300) or --top 300, or write .dot, .graphml or .html for a program that zooms"
        )


def assemble(graph: Graph, strands: tuple[Strand, ...], roles: Mapping[str, str]) -> Plan:
    """Order the nodes that strands touch into rows and columns."""
    writing = {strand.writer for strand in strands}
    arrows = tuple(dict.fromkeys(arrow for strand in strands for arrow in _arrows(graph, strand, writing)))
    places = {name: place for strand in strands for name, place in _places(graph, strand)}
    rows: dict[tuple[float, int], list[str]] = {}
    for name in sorted(places, key=lambda name: places[name]):
        rows.setdefault(places[name][:2], []).append(name)
    spans = {name.partition("@")[2] for name in places}
    columns = tuple(span for span in graph.spans if span in spans) or ("",)
    known = {name: role for name in places if (role := roles.get(name) or roles.get(style.label(name)))}
    drawn = tuple(Row(tuple(names)) for _, names in sorted(rows.items()))
    depth = 1 + max((part.layer for part in graph.parts), default=-1)
    return Plan(drawn, strands, columns, arrows, known, depth=depth)


def compacted(figure: Plan) -> Plan:
    """The plan with fewer rows: neighbouring ones are joined where no node of one feeds one of the other."""
    feeds = {(strand.writer, strand.head) for strand in figure.strands}
    rows: list[Row] = []
    for row in figure.rows:
        below = rows[-1] if rows and rows[-1].layers and row.layers else Row(())
        if below.nodes and not any((one, other) in feeds for one in below.nodes for other in row.nodes):
            rows[-1] = Row((*below.nodes, *row.nodes))
        else:
            rows.append(row)
    return replace(figure, rows=tuple(rows))


def layer_of(name: str) -> int | None:
    """Layer of a head, an MLP or a mixer; None for the embedding and the logits."""
    found = re.match(r"[ams](\d+)", name)
    return int(found[1]) if found else None


def with_ends(figure: Plan) -> Plan:
    """A plan in which each column that feeds the logits has its own end of them, so that it is placed alone."""
    if figure.columns == ("",):
        return figure
    strands = tuple(
        replace(strand, head=f"{LOGITS}@{strand.writer.partition('@')[2]}") if strand.head == LOGITS else strand
        for strand in figure.strands
    )
    ends = [f"{LOGITS}@{span}" for span in figure.columns if any(s.head == f"{LOGITS}@{span}" for s in strands)]
    rows = [replace(row, nodes=tuple(ends)) if row.nodes == (LOGITS,) else row for row in figure.rows]
    return replace(figure, strands=strands, rows=tuple(rows))


# ---- rows


Place = tuple[float, int, int, int]  # layer, stage, and the order in the row: writers first, then what only reads


def _places(graph: Graph, strand: Strand) -> Iterator[tuple[str, Place]]:
    yield strand.writer, _place_of_writer(graph, strand.writer)
    if strand.head in graph.writer_index:
        yield strand.head, _place_of_writer(graph, strand.head)
    elif strand.head == LOGITS:
        yield LOGITS, (math.inf, 0, 0, 0)
    else:  # keys and values of a group, at a span where none of its heads has a node
        part = _part_of(graph, strand.reader)
        yield strand.head, (part.layer, part.stage, 1, graph.reader_index[strand.reader])


def _place_of_writer(graph: Graph, name: str) -> Place:
    row = graph.writer_index[name]
    part = next((part for part in graph.parts if part.rows.start <= row < part.rows.stop), None)
    return (-1, 0, 0, row) if part is None else (part.layer, part.stage, 0, row)


# ---- strands


def _strands(circuit: Circuit, edge: tuple[str, str], writes: set[str], role: str, signed: bool) -> Iterator[Strand]:
    """The lines of an edge with a role in a complete circuit; ``signed`` if its strength has a sign."""
    writer, reader = edge
    strength = circuit.strength(writer, reader)
    known = None if strength is None or not math.isfinite(strength) else strength
    owner, _, rest = reader.partition("<")
    port = ROUTER if owner.endswith(f".{ROUTER}") else rest.partition(">")[0]
    says = OPPOSES if role == OPPOSES else style.sign(known if signed else None)
    for head in _heads(circuit.graph, reader, writes):
        yield Strand(writer, reader, head, port, known, says, role in REPLACEABLE)


def _included(graph: Graph, strand: Strand, inclusion: Tensor) -> Strand:
    place = graph.writer_index[strand.writer], graph.reader_index[strand.reader]
    return replace(strand, inclusion=float(inclusion[place]))


def _heads(graph: Graph, reader: str, writes: set[str]) -> list[str]:
    """Nodes that an edge into a port is drawn to: those that it feeds and that write, or all if none does."""
    fed = nodes_fed(graph, reader)
    alive = [name for name in fed if name in writes]  # heads of a group that write nothing here would be dead ends
    return fed if len(fed) == 1 else alive or fed


def nodes_fed(graph: Graph, reader: str) -> list[str]:
    """Nodes that a port feeds, as they are drawn: where spans are apart, the one at the port's own span."""
    if graph.spans and reader != LOGITS and _part_of(graph, reader).mixes:  # arrows show where it goes from there
        return ["@".join((reader.partition("<")[0], reader.partition("@")[2]))]
    return components(graph, reader) or [reader]


def _part_of(graph: Graph, reader: str) -> Part:
    column = graph.reader_index[reader]
    return next(part for part in graph.parts if column < part.columns.stop)


def _arrows(graph: Graph, strand: Strand, writing: set[str]) -> Iterator[tuple[str, str]]:
    """From the node at which a strand enters keys, values or a mixer, to the nodes that write what is read there."""
    if not graph.spans or strand.reader == LOGITS or strand.port == PORTS[0]:
        return
    if not _part_of(graph, strand.reader).mixes:
        return
    for name in components(graph, strand.reader):
        if name in writing and name != strand.head:
            yield strand.head, name
