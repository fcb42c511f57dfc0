"""``benchmark``: run every cell that is missing, one after another, and keep each as it is finished."""

from __future__ import annotations

import datetime
import platform
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import torch

from circuitsearch.distributed import ALONE, World
from circuitsearch.errors import InputError, ran_out_of_memory, shortened
from circuitsearch.files import locked
from circuitsearch.progress import Progress, silent

from .cell_setup import CellSetup
from .comparison import Comparison, Found
from .definition import Benchmark, Cell
from .results import BenchmarkResults
from .store import Store
from .subject import Subject
from .submission import check_labels, write_cell

WORK = "work"  # the folder of states of searches that go on

Result = TypeVar("Result")
Placed = Sequence[tuple[int, Cell]]  # cells with their numbers
Told = Callable[[Cell, str], object]  # a cell, and what became of it


def _not_told(cell: Cell, what: str) -> None:
    """Tell nobody."""


def benchmark(
    given: str | Path | Benchmark,
    out: str | Path = "bench",
    *,
    progress: Progress = silent,
    told: Told = _not_told,
    world: World = ALONE,
) -> BenchmarkResults:
    """Measure methods and searches on models and tasks; cells that the folder has are not run again.

    Every cell is one method or search on one model, task and seed. It is kept when it is finished, so that the same call continues a run
    that was killed. A cell that cannot be measured is reported with the reason, and tried again by the next call. A finished cell is used again
    only if all is the same that its numbers depend on: weights, prompts, settings, versions of packages.

    Parameters
    ----------
    given : str, path or Benchmark
        A preset (``"quick"``, ``"real"``, ``"mib"`` ...), a TOML file, or a value.
    out : path
        A folder for the table, ``benchmark.sqlite``.
    progress : callable
        Called with (cells done, cells in all).
    told : callable
        Called with each cell that this process ran and what became of it, in words.
    world : World
        The processes that share the cells: each takes the next one whenever it has finished one, and runs it by itself. Their
        folder is on a file system that they share.

    Returns
    -------
    BenchmarkResults
        The table, its leaderboard, and how to write both.

    Raises
    ------
    InputError
        If the benchmark is wrong, or the folder has something else or is used by another process.

    Examples
    --------
    >>> asked = Benchmark(grid=[{"models": ["planted:induction:1"]}], methods=["eap"], n=16, sizes=[0.05, 1.0])
    >>> results = benchmark(asked, "bench")  # doctest: +SKIP
    """
    asked = given if isinstance(given, Benchmark) else Benchmark.read(given)
    asked.check()
    if asked.mib:
        check_labels(asked)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{shortened(folder, 100)} is a file: choose a folder for the benchmark with --out")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) if world.first else nullcontext():
        cells = asked.cells()
        if world.first:
            with closing(Store(folder)) as store:
                store.ask(asked, cells)
        world.wait()
        with closing(Store(folder)) as store:
            _Runner(asked, folder, store, progress, told, world.numbers()).run(cells)
        world.wait()
    return BenchmarkResults.open(folder)


@dataclass
class _Runner:
    """Runs the cells of a benchmark that fall to this process, model by model and task by task."""

    benchmark: Benchmark
    folder: Path
    store: Store
    progress: Progress
    told: Told
    numbers: Iterator[int]  # of the cells that fall to this process, each when it is asked for
    turn: int = field(init=False)  # the number of its next cell, or of the one that runs

    def run(self, cells: Sequence[Cell]) -> None:
        self.total, self.turn = len(cells), next(self.numbers)
        self.progress(0, self.total)
        for name, of_model in groupby(enumerate(cells), lambda each: each[1].model_name):
            self._run_model(name, list(of_model))

    def _run_model(self, name: str, placed: Placed) -> None:
        """The cells of one model."""
        if self._all_taken(placed):
            return
        subject = self._try(self._own(placed), lambda: Subject.load(name, self.benchmark))
        if subject is not None:
            for _, of_task in groupby(placed, lambda each: (each[1].task, each[1].seed)):
                self._run_task(subject, list(of_task))

    def _run_task(self, subject: Subject, placed: Placed) -> None:
        """The methods on one task and seed."""
        if self._all_taken(placed):
            return
        comparison = self._try(self._own(placed), lambda: Comparison.of(subject, placed[0][1], self.benchmark))
        if comparison is not None:
            for place, cell in self._own(placed):
                self._run_cell(comparison, place, cell)

    def _all_taken(self, placed: Placed) -> bool:
        return placed[-1][0] < self.turn

    def _own(self, placed: Placed) -> Iterator[tuple[int, Cell]]:
        """Those of some cells that fall to this process; the next one is asked for when one is done."""
        for place, cell in placed:
            if place == self.turn:
                yield place, cell
                self.turn = next(self.numbers)

    def _run_cell(self, comparison: Comparison, place: int, cell: Cell) -> None:
        setup = self._try([(place, cell)], lambda: comparison.setup(cell))
        if setup is None:
            return
        self.store.identify(place, setup.digest)
        if self.store.has(setup.digest):
            self._end(cell, "was finished before")
            return
        self._tell_of_another_setup(cell, setup)
        found = self._try([(place, cell)], lambda: self._found(comparison, cell, setup))
        if found is not None:
            self._keep(cell, setup, found)

    def _found(self, comparison: Comparison, cell: Cell, setup: CellSetup) -> Found:
        found = comparison.measure(cell, checkpoint(self.folder, setup.digest))
        if self.benchmark.mib and found.scores is not None and cell.seed == self.benchmark.seeds[0]:
            write_cell(self.folder, cell, found.scores, comparison.subject.model)
        return found

    def _tell_of_another_setup(self, cell: Cell, setup: CellSetup) -> None:
        earlier = self.store.earlier(cell, setup)
        if earlier is not None:
            different = shortened("; ".join(earlier.differences(setup)), 120)
            self.told(cell, f"is measured again, since the finished one has another setup: {different}")

    def _keep(self, cell: Cell, setup: CellSetup, found: Found) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.store.keep(cell, setup, found.measures, found.edges, now, _machine(self.benchmark.device))
        checkpoint(self.folder, setup.digest).unlink(missing_ok=True)
        self._end(cell, str(found))

    def _try(self, placed: Iterable[tuple[int, Cell]], make: Callable[[], Result]) -> Result | None:
        """What a function returns; if it fails, the cells that need it have failed, and None."""
        try:
            return make()
        except Exception as error:  # of whatever kind: the other cells go on
            sentence, trace = _sentence(error)
            for place, cell in placed:
                self.store.fail(place, sentence, trace)
                self._end(cell, f"failed: {sentence}")
            return None

    def _end(self, cell: Cell, what: str) -> None:
        self.told(cell, what)
        self.progress(self.turn + 1, self.total)


def checkpoint(folder: Path, setup: str) -> Path:
    """Where the state of a cell's search is kept until it is finished."""
    return folder / WORK / f"{setup[:32]}.checkpoint"


def _sentence(error: Exception) -> tuple[str, str]:
    """What a failed cell is reported with; and the traceback if the error is a bug."""
    if isinstance(error, InputError):
        return str(error), ""
    if isinstance(error, OSError):  # a full disk ...
        return f"{error.filename or 'the system'}: {error.strerror or 'it cannot be read or written'}", ""
    trace = traceback.format_exc()
    if ran_out_of_memory(error):
        return "memory ran out: use fewer prompts, a narrower dtype or a smaller model", trace
    kind = type(error).__name__
    return f"an internal error ({kind}), whose traceback is in the table 'asked': please report it", trace


def _machine(device: str) -> str:
    return f"{platform.system()} {platform.machine()}, device {device}, {torch.get_num_threads()} threads"
