"""Benchmarks of some seeds each, as an array of jobs runs them, put together into one of all seeds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import locked

from .definition import Benchmark
from .results import BenchmarkResults
from .store import FILE, Store

SEEDS = "seeds"


def merge(folders: Sequence[str | Path], out: str | Path) -> BenchmarkResults:
    """Put the cells of benchmarks that differ in their seeds alone into one folder, in which averages and stability are over all seeds.

    Parameters
    ----------
    folders : sequence of path
        Of :func:`benchmark`; of a cell that several have the first counts. They are left as they are.
    out : path
        A new folder, or one of an earlier merging, to which cells are added.

    Raises
    ------
    InputError
        If a folder has no benchmark, or one that differs in more than its seeds.
    """
    places = [Path(folder) for folder in folders]
    for place in places:
        if not (place / FILE).is_file():
            raise InputError(f"{shortened(place, 100)} has no {FILE}: give folders of a benchmark")
    merged = _merged(places)
    Path(out).mkdir(parents=True, exist_ok=True)
    with locked(Path(out)), closing(Store(Path(out))) as store:
        store.ask(merged, merged.cells())
        for place in places:
            store.add(place / FILE)
    return BenchmarkResults.open(out)


def _merged(places: Sequence[Path]) -> Benchmark:
    """The benchmark of all seeds."""
    asked: list[Benchmark] = []
    for place in places:
        with closing(Store(place)) as store:
            asked.append(store.benchmark())
    first = asked[0].model_dump(exclude={SEEDS})
    for place, each in zip(places, asked, strict=True):
        other = each.model_dump(exclude={SEEDS})
        different = [name for name in first if first[name] != other[name]]
        if different:
            raise InputError(
                f"{shortened(place, 100)} is of another benchmark than {shortened(places[0], 100)}: {', '.join(different)} differ"
            )
    return asked[0].model_copy(update={SEEDS: sorted({seed for each in asked for seed in each.seeds})})
