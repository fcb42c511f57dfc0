"""A circuit's rows: how they are written to a library, and how a circuit that is there already gets what is new."""

from __future__ import annotations

import math
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from circuitsearch.files import to_json
from circuitsearch.library.source import Source
from circuitsearch.library.structure import edge_rows, node_rows, port_rows
from circuitsearch.library.texts import texts_of
from circuitsearch.validation import Report

if TYPE_CHECKING:
    from sqlite_utils import Database

Row = dict[str, Any]


def write(db: Database, source: Source) -> tuple[int, bool]:
    """Write a circuit within a transaction; return the id of its entry, and whether it is new."""
    known = db.execute("SELECT id FROM circuits WHERE digest = ?", [source.digest]).fetchone()
    identity = _insert(db, source) if known is None else _update(db, source, known[0])
    for name, content in source.files.items():
        db.table("files").delete_where("circuit = ? AND name = ?", [identity, name])
        packed = {"name": name, "size": len(content), "content": zlib.compress(content)}
        db.table("files").insert({"circuit": identity, **packed})
    return identity, known is None


def remove(db: Database, identity: int) -> None:
    """Remove a circuit with all that is kept of it, and its model's name if no other circuit is of it, within a transaction."""
    for table in ("nodes", "edges", "ports", "files", "texts"):
        db.table(table).delete_where("circuit = ?", [identity])
    db.table("circuits").delete(identity)
    db.table("models").delete_where("key NOT IN (SELECT model FROM circuits)")


def name_model(db: Database, key: str, name: str, *, given: bool) -> None:
    """Write a model's name: one that was given in place of any other, one that was read where there is none."""
    known = db.execute("SELECT name FROM models WHERE key = ?", [key]).fetchone()
    if known is None or given or not known[0]:
        db.table("models").upsert({"key": key, "name": name}, pk="key")


def _insert(db: Database, source: Source) -> int:
    added = {"added": datetime.now(UTC).isoformat(timespec="seconds"), "digest": source.digest}
    identity: Any = db.table("circuits").insert(_columns(source) | added, pk="id").last_pk
    circuit = source.circuit
    rows = {"nodes": node_rows(circuit, source.roles), "edges": edge_rows(circuit), "ports": port_rows(circuit)}
    for name, each in rows.items():
        db.table(name).insert_all({"circuit": identity, **values} for values in each)
    db.table("texts").insert({"circuit": identity, **texts_of(source)})
    return identity


def _update(db: Database, source: Source, identity: int) -> int:
    """Write what another source of the same circuit has; what only the first had stays."""
    new = {name: value for name, value in _columns(source).items() if value not in (None, "")}
    if source.report is None:
        del new["form"]  # a circuit's file says less than the run that it is of
    db.table("circuits").update(identity, new)
    for each in node_rows(source.circuit, source.roles):
        if each["role"]:
            where = [identity, each["node"]]
            db.execute("UPDATE nodes SET role = ? WHERE circuit = ? AND node = ?", [each["role"], *where])
    texts = {name: text for name, text in texts_of(source).items() if text}
    db.table("texts").update(identity, texts)
    return identity


def _columns(source: Source) -> Row:
    circuit, setup = source.circuit, source.circuit.setup
    return {
        "form": source.form,
        "folder": source.folder,
        "model": source.model_key,
        "task": source.task,
        "metric": "" if setup is None else setup.metric,
        "ablation": circuit.ablation,
        "method": circuit.method,
        "seed": None if setup is None else setup.seed,
        "graph": to_json(circuit.to_dict()["graph"]),
        "n_edges": len(circuit),
        "n_edges_total": circuit.graph.n_edges,
        "notes": " ".join(source.notes),
    } | _evidence(source.report)


def _evidence(report: Report | None) -> Row:
    if report is None:
        return dict.fromkeys(("faithfulness", "low", "high", "n_prompts", "n_seen"))
    found = report.faithfulness
    numbers = {"faithfulness": found.value, "low": found.low, "high": found.high}
    known = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
    return known | {"n_prompts": report.n, "n_seen": report.n_seen}
