"""The leaderboard: each method on each model and task, over seeds; and each method over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import torch

from circuitsearch.replication.agreement import jaccard
from circuitsearch.validation.bootstrap import interval
from circuitsearch.validation.measurement import Interval, number

from .columns import STABILITY, Column, Key, columns
from .definition import Benchmark, Published
from .measures import BOUNDED, CONFIDENCE, EDGES, RESAMPLES, unpacked

Row = Mapping[str, Any]
Place = tuple[str, str, str]  # model, task, method


@dataclass(frozen=True)
class Standing:
    """A row of the leaderboard.

    Attributes
    ----------
    model, task, method : str
        Labels.
    seeds : int
        How many it was measured with.
    values : mapping
        From a measure, and its share of the edges, to the mean over seeds with its interval (:func:`over_seeds`); of stability
        the range over pairs of seeds.
    failures : tuple of str
        Why cells have no result, a sentence each.
    source : str
        Of published figures; empty for our own.
    """

    model: str
    task: str
    method: str
    seeds: int
    values: Mapping[Key, Interval] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    source: str = ""


def columns_of(benchmark: Benchmark, standings: Sequence[Standing]) -> tuple[Column, ...]:
    """The columns in which at least one of the rows has a value."""
    return columns(benchmark.sizes, {key for standing in standings for key in standing.values})


def leaderboard(rows: Iterable[Row], edges: Iterable[Row], benchmark: Benchmark) -> tuple[Standing, ...]:
    """Each method on each model and task, in the order in which they were asked for; published figures after ours."""
    masks: dict[Place, list[Any]] = {}
    for row in edges:
        masks.setdefault(_place(row), []).append(unpacked(row["edges"]))
    found: dict[Place, list[Row]] = {}
    for row in rows:
        found.setdefault(_place(row), []).append(row)
    ours = [_standing(place, some, masks.get(place, [])) for place, some in found.items()]
    ordered = [list(some) for _, some in groupby(sorted_by_task(ours, benchmark), lambda each: (each.model, each.task))]
    return tuple(each for some in ordered for each in (*some, *_beside(some[0], benchmark.published)))


def sorted_by_task(standings: Sequence[Standing], benchmark: Benchmark) -> list[Standing]:
    """Rows of one model and task together, methods in their order."""
    order = {(cell.model, cell.task): place for place, cell in reversed(list(enumerate(benchmark.cells())))}
    return sorted(standings, key=lambda each: order.get((each.model, each.task), len(order)))


def _place(row: Row) -> Place:
    return row["model"], row["task"], row["method"]


def _standing(place: Place, rows: Sequence[Row], masks: Sequence[Any]) -> Standing:
    of_measure: dict[Key, list[Interval]] = {}
    for row in rows:
        if row["measure"] is not None:
            numbers = (number(row[name]) for name in ("value", "low", "high"))
            of_measure.setdefault((row["measure"], row["share"]), []).append(Interval(*numbers))
    values = {key: over_seeds(found) for key, found in of_measure.items()}
    if len(masks) > 1:
        values[STABILITY, None] = _stability(masks)
    failures = tuple(dict.fromkeys(row["failure"] for row in rows if row["failure"]))
    seeds = len({row["seed"] for row in rows if row["measure"] is not None})
    model, task, method = place
    return Standing(model, task, method, seeds, values, failures)


def over_seeds(found: Sequence[Interval]) -> Interval:
    """The mean over seeds. Its interval is that over seeds or, where this is wider, that over the prompts of all seeds.

    Over seeds it is the bootstrap's (with two or three seeds their range); over prompts errors add up as those of independent samples.

    Examples
    --------
    >>> print(over_seeds([Interval(0.8, 0.7, 0.9)]), over_seeds([Interval(0.8, 0.7, 0.9), Interval(0.9, 0.8, 1.0)]))
    0.800 [0.700, 0.900] 0.850 [0.779, 0.921]
    """
    if len(found) == 1:
        return found[0]
    seeds = over(found)
    below, above = (_together([getattr(each, end) - each.value for each in found]) for end in ("low", "high"))
    return Interval(seeds.value, min(seeds.low, seeds.value - below), max(seeds.high, seeds.value + above))


def over(found: Sequence[Interval]) -> Interval:
    """The mean of some values with its interval over them."""
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    return interval(np.mean, values, confidence=CONFIDENCE, n_resamples=RESAMPLES, seed=0)


def _together(errors: Sequence[float]) -> float:
    """The error of a mean of independent values with these errors; 0 where one is not known."""
    error = math.hypot(*errors) / len(errors)
    return 0.0 if math.isnan(error) else error


def _stability(masks: Sequence[Any]) -> Interval:
    """Mean, least and largest Jaccard index of all pairs."""
    index = jaccard(masks)[np.triu_indices(len(masks), 1)]
    return Interval(float(index.mean()), float(index.min()), float(index.max()))


def _beside(first: Standing, published: Sequence[Published]) -> list[Standing]:
    return [
        Standing(each.model, each.task, each.method, 0, {(name, None): _exactly(value) for name, value in each.values.items()}, (), each.source)
        for each in published
        if (each.model, each.task) == (first.model, first.task)
    ]  # fmt: skip


def _exactly(value: float) -> Interval:
    return Interval(value, math.nan, math.nan)


def overall(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Each method over the models and tasks on which all of its kind have results: those that have the same measures.

    The interval is the bootstrap's over models and tasks; with two or three it is their range.
    """
    ours = [each for each in standings if not each.source and each.values]
    kinds = [
        [each for each in ours if (BOUNDED, None) in each.values],
        [each for each in ours if (EDGES, None) in each.values],
    ]
    return tuple(row for kind in kinds for row in _averaged(kind))


def _averaged(standings: Sequence[Standing]) -> list[Standing]:
    methods = list(dict.fromkeys(each.method for each in standings))
    places = {method: {(each.model, each.task) for each in standings if each.method == method} for method in methods}
    common = set.intersection(*places.values()) if places else set()
    rows = []
    for method in methods if len(common) > 1 else ():
        some = [each for each in standings if each.method == method and (each.model, each.task) in common]
        keys = set.intersection(*(set(each.values) for each in some))
        values = {key: over([each.values[key] for each in some]) for key in keys}
        rows.append(
            Standing("all", f"{len(common)} models and tasks", method, min(each.seeds for each in some), values)
        )
    return sorted(rows, key=_best_first)


def _best_first(row: Standing) -> float:
    bounded, size = row.values.get((BOUNDED, None)), row.values.get((EDGES, None))
    return -bounded.value if bounded is not None else size.value if size is not None else math.inf


def best(standings: Sequence[Standing], column: Column) -> set[Place]:
    """Model, task and method of the best of ours in a column, for each model and task with two methods or more."""
    found: set[Place] = set()
    ours = [each for each in standings if not each.source and column.key in each.values]
    for _, some in groupby(ours, lambda each: (each.model, each.task)):
        rivals = [each for each in some if not math.isnan(each.values[column.key].value)]
        if column.better and len(rivals) > 1:
            top = max(rivals, key=lambda each: column.better * each.values[column.key].value)
            level = column.number(top.values[column.key].value)
            found |= {
                (each.model, each.task, each.method)
                for each in rivals
                if column.number(each.values[column.key].value) == level
            }
    return found
