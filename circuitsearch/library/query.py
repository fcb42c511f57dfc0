"""What is searched for in a library, and the SQL that finds it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

from circuitsearch.errors import InputError, shortened
from circuitsearch.names import LOGITS, canonical_name, ends_of

Condition = tuple[str, list[Any]]  # an expression of SQL about the circuit c, and its parameters
Range = tuple[float, float]
_NODE = re.compile(r"embed|logits|[ams]\d+(\.(h|n|e)\d+|\.shared|\.router)?|a\d+\.kv\d+")


class Conditions(TypedDict, total=False):
    """What a circuit must fit, each if given.

    Attributes
    ----------
    ids : sequence of int
        It is one of these.
    model, task : str
        Its model's name, or the beginning of the digest of its weights; its task's name.
    head : str
        A node that it uses, in any tool's spelling; with a port, one of its inputs.
    edge : str
        An edge that it has, as ``"a18.h6->logits"``; a head as reader stands for all its ports.
    role : str
        Words of the role of a node; with a head, of this one.
    size, faithfulness : str or pair of float
        Ranges, as ``"10..50"``, ``"..50"``, ``"0.9.."``.
    low : float
        The least low end of the faithfulness interval.
    """

    ids: tuple[int, ...]
    model: str
    task: str
    head: str
    edge: str
    role: str
    size: str | Range
    faithfulness: str | Range
    low: float


@dataclass(frozen=True)
class Place:
    """A node, a port or a part of one in the rows of a library: what is not given may be anything."""

    name: str
    port: str = ""
    span: str = ""

    @classmethod
    def read(cls, text: str) -> Place:
        """Read a name in any tool's spelling; an InputError if it is no name of a node.

        Examples
        --------
        >>> Place.read("9.9"), Place.read("L9H9<q>@END")
        (Place(name='a9.h9', port='', span=''), Place(name='a9.h9', port='q', span='END'))
        """
        canonical, _, span = canonical_name(text).partition("@")
        name, bracket, port = canonical.partition("<")
        if not _NODE.fullmatch(name) or (bracket and port not in ("q>", "k>", "v>", "in>")):
            raise InputError(
                f"{shortened(repr(text))} is not a node: write a head as a9.h9, 9.9 or L9H9, an MLP as m3, a port as 'a9.h9<q>'"
            )
        return cls(name, port.removesuffix(">"), span)

    @property
    def node(self) -> str:
        """The name with its span."""
        return f"{self.name}@{self.span}" if self.span else self.name

    @property
    def is_port(self) -> bool:
        """Whether it is a port, or a group of heads, which has ports and is no node."""
        return bool(self.port) or ".kv" in self.name

    def of_node(self, table: str) -> Condition:
        """That a row of nodes or ports, of the table that is called so, is of this node."""
        if self.span:
            return f"{table}.node = ?", [self.node]
        return f"{table}.component = ?", [self.name]

    def of_port(self, table: str) -> Condition:
        """That a row of ports is of this port, or of any port of this node."""
        where, values = self.of_node(table)
        return (f"{where} AND {table}.port = ?", [*values, self.port]) if self.port else (where, values)


@dataclass(frozen=True)
class Asked:
    """Conditions, read and checked.

    Attributes
    ----------
    head : Place, optional
        The node.
    edge : pair of Place, optional
        Writer and reader.
    role : str
        Words of a role.
    others : tuple
        Conditions on the circuit itself, as SQL.
    """

    head: Place | None = None
    edge: tuple[Place, Place] | None = None
    role: str = ""
    others: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, given: Conditions) -> Asked:
        """Read conditions; an InputError about the first that is wrong."""
        strange = given.keys() - Conditions.__annotations__.keys()
        if strange:
            raise InputError(
                f"a library is not searched by {sorted(strange)[0]!r}: take {', '.join(Conditions.__annotations__)}"
            )
        head, edge = given.get("head"), given.get("edge")
        return cls(
            Place.read(head) if head else None,
            _edge(edge) if edge else None,
            given.get("role", ""),
            tuple(_about_circuit(given)),
        )

    def where(self) -> Condition:
        """All conditions as one."""
        every = [*self.others, *self._structure()]
        return " AND ".join(["1", *(sql for sql, _ in every)]), [each for _, values in every for each in values]

    def _structure(self) -> Iterator[Condition]:
        if self.role or (self.head is not None and not self.head.is_port):
            where, values = self.node_rows("c.id")
            yield f"EXISTS (SELECT 1 {where})", values
        if self.head is not None and self.head.is_port:
            where, values = self.head.of_port("p")
            yield f"EXISTS (SELECT 1 FROM ports p WHERE p.circuit = c.id AND {where})", values
        if self.edge is not None:
            where, values = self.edge_rows("c.id")
            yield f"EXISTS (SELECT 1 {where})", values

    def node_rows(self, circuit: str) -> Condition:
        """The rows of the nodes that were asked for, from ``FROM`` on; ``circuit`` is an expression of SQL."""
        every: list[Condition] = [(f"n.circuit = {circuit}", [])]
        if self.head is not None:
            every.append(self.head.of_node("n"))
        if self.role:
            every.append(("instr(lower(n.role), lower(?))", [self.role]))
        return f"FROM nodes n WHERE {' AND '.join(sql for sql, _ in every)}", [
            each for _, values in every for each in values
        ]

    def edge_rows(self, circuit: str) -> Condition:
        """The rows of the edge, from ``FROM`` on; ``circuit`` is an expression of SQL."""
        assert self.edge is not None
        writer, reader = self.edge
        column, name = ("writer", writer.node) if writer.span else ("source", writer.name)
        to_reader, values = reader.of_port("p")
        ports = f"SELECT 1 FROM ports p WHERE p.circuit = e.circuit AND p.reader = e.reader AND {to_reader}"
        return f"FROM edges e WHERE e.circuit = {circuit} AND e.{column} = ? AND EXISTS ({ports})", [name, *values]


def _edge(text: str) -> tuple[Place, Place]:
    writer, reader = map(Place.read, ends_of(text))
    if writer.port or writer.name == LOGITS:
        raise InputError(
            f"{shortened(repr(text))} is not an edge: a port cannot write, so write it as 'a0.h1->a2.h3<q>'"
        )
    return writer, reader


def _about_circuit(given: Conditions) -> Iterator[Condition]:
    ids, model, task, low = (given.get(name) for name in ("ids", "model", "task", "low"))
    if ids:
        yield "c.id IN (SELECT value FROM json_each(?))", [json.dumps(list(ids))]
    if model:
        yield "(lower(m.name) = lower(?) OR (length(?) >= 8 AND substr(c.model, 1, length(?)) = ?))", [model] * 4
    if task:
        yield "lower(c.task) = lower(?)", [task]
    for column, asked in (("c.n_edges", given.get("size")), ("c.faithfulness", given.get("faithfulness"))):
        if asked is not None:
            yield f"{column} BETWEEN ? AND ?", list(range_of(asked))
    if low is not None:
        yield "c.low >= ?", [float(low)]


def range_of(given: str | Range) -> Range:
    """A range from a pair or a text.

    Raises
    ------
    InputError
        If it is none, or its ends are the wrong way round.

    Examples
    --------
    >>> range_of("10..50"), range_of("0.9.."), range_of("12")
    ((10.0, 50.0), (0.9, inf), (12.0, 12.0))
    """
    ends = _ends(given) if isinstance(given, str) else tuple(given)
    if len(ends) != 2 or any(end != end for end in ends) or ends[0] > ends[1]:
        raise InputError(
            f"{shortened(repr(given))} is not a range: write it as 10..50, 10.. or ..50, the smaller number first"
        )
    return float(ends[0]), float(ends[1])


def _ends(text: str) -> tuple[float, ...]:
    low, dots, high = text.partition("..")
    try:
        return float(low or -math.inf), float(high or math.inf) if dots else float(low)
    except ValueError:
        return ()
