"""The tables of a library, made by migrations: a newer version of the package adds one, and changes none of these."""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("circuitsearch-library")

_CIRCUIT = {
    "id": int, "digest": str, "added": str, "form": str, "folder": str, "model": str, "task": str, "metric": str,
    "ablation": str, "method": str, "seed": int, "graph": str, "n_edges": int, "n_edges_total": int, "faithfulness": float,
    "low": float, "high": float, "n_prompts": int, "n_seen": int, "notes": str,
}  # fmt: skip
_UNKNOWN = {"seed", "faithfulness", "low", "high", "n_prompts", "n_seen"}  # null where nothing was measured or recorded


@migrations()
def circuits(db: Database) -> None:
    """What is searched for, the files as they were, and the texts with their index."""
    db.table("models").create({"key": str, "name": str}, pk="key", not_null={"name"})
    db.table("circuits").create(_CIRCUIT, pk="id", not_null=_CIRCUIT.keys() - _UNKNOWN - {"id"})
    db.table("circuits").create_index(["digest"], unique=True)
    _of_circuit(db, "nodes", {"node": str, "component": str, "role": str}, "component")
    _of_circuit(db, "edges", {"writer": str, "source": str, "reader": str, "strength": float}, "source")
    _of_circuit(db, "ports", {"reader": str, "node": str, "component": str, "port": str}, "component")
    _of_circuit(db, "files", {"name": str, "size": int, "content": bytes}, None)
    db.table("texts").create({"circuit": int, "task": str, "roles": str, "report": str}, pk="circuit")
    db.table("texts").enable_fts(["task", "roles", "report"], create_triggers=True)


def _of_circuit(db: Database, name: str, columns: dict[str, type], searched: str | None) -> None:
    """A table of what circuits have, in the order in which it was added."""
    table = db.table(name)
    table.create({"id": int, "circuit": int, **columns}, pk="id", foreign_keys=[("circuit", "circuits", "id")])
    table.create_index(["circuit"])
    if searched is not None:
        table.create_index([searched])
