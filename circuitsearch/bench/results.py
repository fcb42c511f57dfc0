"""Results of a benchmark: the table, the leaderboard, and the files of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError, counted, shortened
from circuitsearch.files import write_bytes

from .definition import Benchmark
from .leaderboard import Standing, leaderboard
from .measures import OF_MACHINE
from .page import to_html
from .store import FILE, Store
from .tables import to_csv, to_markdown, to_parquet, to_tex


@dataclass(frozen=True)
class BenchmarkResults:
    """The results of a benchmark so far.

    Attributes
    ----------
    folder : Path
        Where its table is.
    benchmark : Benchmark
        What was asked for.
    table : tuple of dict
        One row for each measure of each cell: model, task, method, seed, measure, share, n_edges, value, low, high, n, setup, failure.
        A cell without results has one row, with the reason as its failure if it failed.
    edges : tuple of dict
        Of each finished cell the bits of the edges that are compared over seeds.
    """

    folder: Path
    benchmark: Benchmark
    table: tuple[Mapping[str, Any], ...]
    edges: tuple[Mapping[str, Any], ...]

    @staticmethod
    def open(folder: str | Path) -> BenchmarkResults:
        """Read the results of a folder.

        Raises
        ------
        InputError
            If there are none.
        """
        place = Path(folder)
        if not (place / FILE).is_file():
            raise InputError(f"{shortened(place, 100)} has no {FILE}: give the folder of a benchmark")
        store = Store(place)
        try:
            return BenchmarkResults(place, store.benchmark(), tuple(store.rows()), tuple(store.edges()))
        finally:
            store.close()

    @cached_property
    def leaderboard(self) -> tuple[Standing, ...]:
        """Each method on each model and task, over seeds, and published figures beside them."""
        return leaderboard(self.table, self.edges, self.benchmark)

    @property
    def failures(self) -> tuple[Mapping[str, Any], ...]:
        """The rows of cells that failed."""
        return tuple(row for row in self.table if row["failure"])

    @property
    def missing(self) -> tuple[Mapping[str, Any], ...]:
        """The rows of cells that were not run yet."""
        return tuple(row for row in self.table if row["measure"] is None and not row["failure"])

    def rows(self, machine: bool = False) -> list[Mapping[str, Any]]:
        """The table; without ``machine`` only what is the same in every run: no time and no memory."""
        return [row for row in self.table if machine or row["measure"] not in OF_MACHINE]

    def to_markdown(self) -> str:
        """The leaderboard as Markdown."""
        return to_markdown(self.leaderboard, self.benchmark)

    def to_tex(self) -> str:
        r"""The leaderboard as LaTeX, for ``\input``."""
        return to_tex(self.leaderboard, self.benchmark)

    def to_html(self) -> str:
        """The leaderboard as one HTML page, which needs no network."""
        return to_html(self.leaderboard, self.benchmark)

    def to_csv(self, machine: bool = False) -> str:
        """The table as CSV."""
        return to_csv(self.rows(machine))

    def write(self, path: str | Path, machine: bool = False) -> None:
        """Write the leaderboard (``.md``, ``.tex``, ``.html``) or the table (``.csv``, ``.parquet``).

        Raises
        ------
        InputError
            If the suffix is another one, or Parquet needs pyarrow.
        """
        place = Path(path)
        makers: dict[str, Callable[[], bytes]] = {
            ".md": lambda: self.to_markdown().encode(),
            ".tex": lambda: self.to_tex().encode(),
            ".html": lambda: self.to_html().encode(),
            ".csv": lambda: self.to_csv(machine).encode(),
            ".parquet": lambda: to_parquet(self.rows(machine)),
        }
        if place.suffix not in makers:
            raise InputError(f"{shortened(place, 100)} must end in .md, .tex, .html, .csv or .parquet")
        write_bytes(place, makers[place.suffix]())

    def __str__(self) -> str:
        cells = len({tuple(row[name] for name in ("model", "task", "method", "seed")) for row in self.table})
        done = cells - len(self.failures) - len(self.missing)
        parts = [f"{self.benchmark.title}: {done} of {counted(cells, 'cell')} measured"]
        parts += [f"{len(self.failures)} failed"] if self.failures else []
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"BenchmarkResults({self})"
