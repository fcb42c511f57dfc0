"""How the circuits of a library use what was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.library.entry import Edge, Entry, Match, Use
from circuitsearch.library.query import Asked, Condition
from circuitsearch.library.store import damaged

if TYPE_CHECKING:
    from sqlite_utils import Database

Node = tuple[int, str, str, int]  # the entry's id, the node, its role, how many edges go in and out of it


def with_words(db: Database, words: str) -> list[int]:
    """Ids of the entries in whose texts all words occur, the most relevant first; quotation marks mean nothing."""
    plain = " ".join(re.findall(r'[^\s"\0]+', words))
    return [row["circuit"] for row in db.table("texts").search(plain, columns=["circuit"], quote=True)] if plain else []


def match(db: Database, entry: Entry, asked: Asked) -> Match:
    """The nodes and the edges that were asked for, in a circuit that has them."""
    edges: tuple[Edge, ...] = ()
    if asked.edge is not None:
        edges = edges_of(db, asked.edge_rows("?"), [entry.id])
    return Match(entry, tuple(_uses(db, entry.id, asked)), edges)


def edges_of(db: Database, rows: Condition, circuit: Sequence[int] = ()) -> tuple[Edge, ...]:
    """Edges by rows from ``FROM edges e`` on, the strongest first; ``circuit`` is the first parameter."""
    sql, values = rows
    asked = f"SELECT e.writer || '->' || e.reader, e.strength {sql} ORDER BY abs(e.strength) DESC, e.id"
    found = db.execute(asked, [*circuit, *values]).fetchall()
    return tuple(
        Edge(str(name), float(strength) if isinstance(strength, float | int) else None) for name, strength in found
    )


def _uses(db: Database, identity: int, asked: Asked) -> Iterator[Use]:
    """The nodes that were asked for, with their edges; a group of heads has ports, and is no node."""
    if asked.head is None and not asked.role:
        return
    sql, values = asked.node_rows("?")
    nodes = db.execute(f"SELECT n.node, n.role {sql} ORDER BY n.id", [identity, *values]).fetchall()
    groups = [] if nodes or asked.head is None else [(asked.head.node, "")]
    for node, role in [*nodes, *groups]:
        yield _use(db, identity, str(node), str(role), "" if asked.head is None else asked.head.port)


def _use(db: Database, identity: int, node: str, role: str, port: str) -> Use:
    where, values = ("p.node = ? AND p.port = ?", [node, port]) if port else ("p.node = ?", [node])
    readers = f"SELECT p.reader FROM ports p WHERE p.circuit = e.circuit AND {where}"
    incoming = (f"FROM edges e WHERE e.circuit = ? AND e.reader IN ({readers})", values)
    outgoing = ("FROM edges e WHERE e.circuit = ? AND e.writer = ?", [node])
    return Use(node, role, edges_of(db, incoming, [identity]), edges_of(db, outgoing, [identity]))


def nodes_of(db: Database, identities: Sequence[int], path: Path) -> list[Node]:
    """The nodes of some entries, in the order of the stream."""
    rows = db.execute(_NODES, [json.dumps(list(identities))]).fetchall()
    if any([type(value) for value in row] != [int, str, str, int] for row in rows):
        raise damaged(path, "a node in it is none")
    return rows


def feeds_of(db: Database, identity: int) -> dict[str, list[str]]:
    """The readers of an entry that have edges, each with the nodes that it feeds."""
    found: dict[str, list[str]] = {}
    for reader, node in db.execute(
        "SELECT reader, node FROM ports WHERE circuit = ? ORDER BY id", [identity]
    ).fetchall():
        found.setdefault(str(reader), []).append(str(node))
    return found


_NODES = """
SELECT n.circuit, n.node, n.role,
  (SELECT count(*) FROM edges e WHERE e.circuit = n.circuit AND e.writer = n.node)
  + (SELECT count(*) FROM edges e WHERE e.circuit = n.circuit AND e.reader IN
      (SELECT p.reader FROM ports p WHERE p.circuit = n.circuit AND p.node = n.node))
FROM nodes n WHERE n.circuit IN (SELECT value FROM json_each(?)) ORDER BY n.id
"""  # the last column: how many edges go in and out
