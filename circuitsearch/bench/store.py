"""The benchmark's table: an SQLite file in which every finished cell is one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database, Migrations

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import parse_json, to_json

from .cell_setup import CellSetup
from .definition import Benchmark, Cell
from .measures import Measure

FILE = "benchmark.sqlite"

migrations = Migrations("circuitsearch.bench")

_CELL = {"model": str, "task": str, "method": str, "seed": int}


@migrations()
def m001_create(db: Database) -> None:
    """What was asked, the finished cells by their setup, their measures, and all of it as one table."""
    db.table("benchmark").create({"id": int, "content": str}, pk="id")
    db.table("asked").create({"place": int, **_CELL, "setup": str, "failure": str, "traceback": str}, pk="place")
    kept = {"content": str, "n": int, "edges": bytes, "finished": str, "machine": str}
    db.table("cells").create({"setup": str, **_CELL, **kept}, pk="setup")
    db.table("measures").create(
        {
            "setup": str,
            "place": int,
            "measure": str,
            "n_edges": int,
            **dict.fromkeys(("share", "value", "low", "high"), float),
        },
        pk=("setup", "place"),
        foreign_keys=[("setup", "cells", "setup")],
    )
    db.create_view(
        "results",
        "select asked.place as cell, asked.model, asked.task, asked.method, asked.seed, measure, share, n_edges, value, low, high,"
        " cells.n, asked.setup, failure, measures.place"
        " from asked left join cells on cells.setup = asked.setup left join measures on measures.setup = asked.setup",
    )


COLUMNS = (*_CELL, "measure", "share", "n_edges", "value", "low", "high", "n", "setup", "failure")
"""Of the table as it is exported: one row a measure, and one for a cell without any."""

_ROWS = f"select {', '.join(COLUMNS)} from results order by cell, place"


class Store:
    """The SQLite file in a folder.

    Parameters
    ----------
    folder : path
        An existing folder.

    Raises
    ------
    InputError
        If its file is something else, or was written by a newer version.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        with self._spoken():
            self.db = Database(self.path)
            applied = {each.name for each in migrations.applied(self.db)}
            if applied - {each.name for each in migrations._migrations}:
                raise InputError(
                    f"{shortened(self.path, 100)} was written by a newer version of circuitsearch: update it"
                )
            if not applied and self.db.table_names():
                raise InputError(
                    f"{shortened(self.path, 100)} is a database of something else: choose another folder with --out"
                )
            migrations.apply(self.db)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    # ---- writing

    def ask(self, benchmark: Benchmark, cells: Sequence[Cell]) -> None:
        """Note what is asked for; which setups the cells have shows when their models are loaded."""
        rows = [{"place": place, **_labels(cell)} for place, cell in enumerate(cells)]
        with self._spoken(), self.db.atomic():
            self.db.table("asked").delete_where()
            self.db.table("asked").insert_all(rows)
            self.db.table("benchmark").upsert({"id": 0, "content": benchmark.model_dump_json()}, pk="id")

    def identify(self, place: int, setup: str) -> None:
        """Note which setup a cell has."""
        with self._spoken():
            self.db.table("asked").update(place, {"setup": setup})

    def fail(self, place: int, sentence: str, traceback: str = "") -> None:
        """Note why a cell has no result."""
        with self._spoken():
            self.db.table("asked").update(place, {"failure": sentence, "traceback": traceback or None})

    def keep(
        self, cell: Cell, setup: CellSetup, measures: Sequence[Measure], edges: bytes, finished: str, machine: str
    ) -> None:
        """Add a finished cell, whole or not at all; ``edges`` are the bits of the edges that are compared over seeds."""
        row = {
            "setup": setup.digest, **_labels(cell), "content": setup.model_dump_json(), "n": setup.n_held_out,
            "edges": edges, "finished": finished, "machine": machine,
        }  # fmt: skip
        found = [_row(setup.digest, place, measure) for place, measure in enumerate(measures)]
        with self._spoken(), self.db.atomic():
            self.db.table("cells").insert(row)
            self.db.table("measures").insert_all(found)

    def add(self, file: Path) -> None:
        """Take over the finished cells, and the failures, of the same cells in another file."""
        labels = " and ".join(f"asked.{name} = theirs.{name}" for name in _CELL)
        changed = ("setup", "failure", "traceback")
        with self._spoken():
            self.db.attach("other", file)
            with self.db.atomic():
                for table in ("cells", "measures"):
                    self.db.execute(f"insert or ignore into {table} select * from other.{table}")
                for name in changed:
                    self.db.execute(
                        f"update asked set {name} = coalesce({name}, (select theirs.{name} from other.asked theirs where {labels}))"
                    )
                self.db.execute(
                    "update asked set failure = null, traceback = null where setup in (select setup from cells)"
                )
            self.db.execute("detach other")

    # ---- reading

    def has(self, setup: str) -> bool:
        """Whether the cell of a setup is finished."""
        return bool(self._all("select 1 as found from cells where setup = ?", setup))

    def earlier(self, cell: Cell, setup: CellSetup) -> CellSetup | None:
        """The last other setup in which the same cell was measured."""
        found = self._all(
            "select content from cells where model = ? and task = ? and method = ? and seed = ? and setup != ? order by finished desc limit 1",
            cell.model, cell.task, cell.method, cell.seed, setup.digest,
        )  # fmt: skip
        return self._parsed(found[0]["content"], CellSetup) if found else None

    def benchmark(self) -> Benchmark:
        """What was asked for last."""
        found = self._all("select content from benchmark")
        if not found:
            raise InputError(f"{shortened(self.path, 100)} has no benchmark yet: run one with this folder as --out")
        return self._parsed(found[0]["content"], Benchmark)

    def rows(self) -> list[dict[str, Any]]:
        """The table: a row for each measure of each cell that was asked for, with ``COLUMNS``."""
        return self._all(_ROWS)

    def edges(self) -> list[dict[str, Any]]:
        """For each finished cell that was asked for, the bits of the edges that are compared over seeds."""
        return self._all(
            "select asked.model, asked.task, asked.method, asked.seed, cells.edges from asked join cells on cells.setup = asked.setup order by asked.place"
        )

    def _all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self._spoken():
            return list(self.db.query(query, values))

    def _parsed(self, text: str, schema: Any) -> Any:
        try:
            return parse_json(text, schema)
        except InputError as problem:
            raise InputError(
                f"{shortened(self.path, 100)} is damaged ({problem}): choose another folder with --out"
            ) from None

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Turn the library's errors into sentences."""
        try:
            yield
        except sqlite3.Error as error:
            raise InputError(
                f"{shortened(self.path, 100)} cannot be used ({shortened(error, 80)}): free space, repair it, or choose another"
                " folder with --out"
            ) from None


def _labels(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in _CELL}


def _row(setup: str, place: int, measure: Measure) -> dict[str, Any]:
    """A measure; what is not defined is NULL."""
    numbers = {name: getattr(measure, name) for name in ("share", "n_edges", "value", "low", "high")}
    return {"setup": setup, "place": place, "measure": measure.name, **json.loads(to_json(numbers))}
