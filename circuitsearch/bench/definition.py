"""Benchmark: what is to be measured on what, as it is read from a TOML file or given on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from circuitsearch.errors import InputError, counted, nearest, shortened, unknown
from circuitsearch.files import read_text
from circuitsearch.memory import bytes_in
from circuitsearch.question import MOST_PROMPTS, N_PROMPTS
from circuitsearch.registry import ABLATIONS, METRICS
from circuitsearch.target import check_target
from circuitsearch.validation.checks.curve import SHARES

from .named import OWN, check_names, check_shares, method_named

PRESETS = Path(__file__).parent / "presets"
MOST_CELLS = 100_000


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Grid(_Table):
    """Models, each of which is run on each of the tasks.

    Attributes
    ----------
    models : list of str, or mapping
        Names as for ``--model``, folders of models with known circuits, ``"planted:induction:3"``; or from a label to such a name.
    tasks : list of str, or mapping
        Names as typed for a task, or from a label to such a name; ``"own"`` for models that come with their prompts.
    """

    models: list[str] | dict[str, str]
    tasks: list[str] | dict[str, str] = [OWN]


class Published(_Table):
    """Figures of a paper, shown beside ours.

    Attributes
    ----------
    model, task, method : str
        The labels of the cell, and the method as the paper calls it.
    source : str
        Paper and table.
    values : mapping
        From the name of a measure to its value.
    """

    model: str
    task: str
    method: str
    source: str
    values: dict[str, float]


@dataclass(frozen=True)
class Cell:
    """One method or search on one model, task and seed; labels and, where they differ, the names behind them.

    Attributes
    ----------
    model, task, method : str
        Labels, as in the tables.
    seed : int
        Of prompts, split and intervals.
    model_name, task_name : str
        As typed on the command line.
    """

    model: str
    task: str
    method: str
    seed: int
    model_name: str
    task_name: str

    def __str__(self) -> str:
        return f"{self.model}, {self.task}, {self.method}, seed {self.seed}"


class Benchmark(_Table):
    """Models x tasks x methods x sizes x seeds, and how they are measured.

    Attributes
    ----------
    title : str
        For tables and page.
    grid : list of Grid
        Models and tasks; within each, every model is run on every task.
    methods : list of str
        Methods as typed for ``--method``, and searches: ``find``, ``minimal``, with knobs.
    seeds : list of int
        Each gives other prompts and another split.
    sizes : list of float
        Shares of the edges at which rankings are measured, rising; by default those of MIB (2504.13151).
    n : int
        Prompts of a task: half choose edges, a quarter serves searches to decide which circuit is returned, a quarter tests.
    measured : int
        Of those that test, how many are used at most.
    faithfulness : float
        The target of searches.
    agree_at : float
        The share of the edges whose strongest are compared over seeds.
    ablation : str
        What ablated edges carry.
    metric : str, optional
        Instead of each task's own.
    device, dtype, memory : str
        As on the command line.
    mib : bool
        Whether to write a submission to MIB for each method.
    published : list of Published
        Figures of papers.
    """

    title: str = "Benchmark"
    grid: list[Grid] = Field(min_length=1)
    methods: list[str] = Field(min_length=1)
    seeds: list[int] = Field(default=[0], min_length=1)
    sizes: list[float] = Field(default=list(SHARES), min_length=2)
    n: int = N_PROMPTS
    measured: int = 64
    faithfulness: float = 0.9
    agree_at: float = 0.02
    ablation: str = "resample"
    metric: str | None = None
    device: str = "auto"
    dtype: str | None = None
    memory: str | None = None
    mib: bool = False
    published: list[Published] = []

    @staticmethod
    def read(given: str | Path) -> Benchmark:
        """Read a preset by its name, or a TOML file.

        Raises
        ------
        InputError
            If there is neither, the file is not TOML, or what it asks for is wrong.

        Examples
        --------
        >>> len(Benchmark.read("quick").cells()) > 50
        True
        """
        path = PRESETS / f"{given}.toml" if str(given) in presets() else Path(given)
        if not path.exists() and path.suffix != ".toml":
            raise unknown("preset or file", str(given), presets())
        return _checked(shortened(given, 100), read_text(path, "a benchmark's TOML file"))

    def cells(self) -> tuple[Cell, ...]:
        """All cells, model by model, so that each model is loaded once."""
        return tuple(
            Cell(model, task, method, seed, model_name, task_name)
            for model, task, model_name, task_name in dict.fromkeys(self._pairs())
            for seed in self.seeds
            for method in self.methods
        )

    def _pairs(self) -> Iterator[tuple[str, str, str, str]]:
        for grid in self.grid:
            for model, model_name in _labelled(grid.models).items():
                for task, task_name in _labelled(grid.tasks).items():
                    yield model, task, model_name, task_name

    def check(self) -> None:
        """Raise an InputError about the first thing that is wrong, as far as it shows without a model."""
        numbers = {"n": (self.n, 8, MOST_PROMPTS), "measured": (self.measured, 2, MOST_PROMPTS)}
        for name, (value, least, most) in numbers.items():
            if not least <= value <= most:
                raise InputError(f"a benchmark's {name} must be {least} to {most:,}, not {value}")
        check_target(self.faithfulness)
        check_shares(self.sizes, self.agree_at)
        if min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds must be different numbers of 0 or more, not {shortened(self.seeds)}")
        ABLATIONS.read(self.ablation)
        if self.memory is not None:
            bytes_in(self.memory)
        if self.metric is not None:
            METRICS.read(self.metric)
        for method in self.methods:
            method_named(method)
        self._check_cells()

    def _check_cells(self) -> None:
        cells = self.cells()
        if not 1 <= len(cells) <= MOST_CELLS:
            raise InputError(f"the benchmark has {counted(len(cells), 'cell')}: give 1 to {MOST_CELLS:,}")
        labels = {(cell.model, cell.task, cell.method, cell.seed) for cell in cells}
        if len(labels) < len(cells):
            raise InputError("two models or two tasks of the benchmark have one label: give each its own")
        for cell in dict.fromkeys((cell.model_name, cell.task_name) for cell in cells):
            check_names(*cell)


def presets() -> list[str]:
    """Names of all presets."""
    return sorted(file.stem for file in PRESETS.glob("*.toml"))


# ---- checks


def _labelled(names: list[str] | dict[str, str]) -> dict[str, str]:
    """From a label to a name; names are their own labels, and folders have the label of their last part."""
    if isinstance(names, dict):
        return names
    return {Path(name).name if "/" in name and Path(name).exists() else name: name for name in names}


def _checked(place: str, text: str) -> Benchmark:
    try:
        made = Benchmark.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{place} is not TOML: {shortened(error)}") from None
    except ValidationError as error:
        raise InputError(f"{place}: {_problem(error)}") from None
    made.check()
    return made


def _problem(error: ValidationError) -> str:
    """The first problem: a key that is missing, unknown or of the wrong kind."""
    first: Any = error.errors()[0]
    key = str(first["loc"][-1])
    if first["type"] == "missing":
        return f"the key {key!r} is missing: a benchmark needs methods, and a [[grid]] with models and tasks"
    if first["type"] == "extra_forbidden":
        known = [*Benchmark.model_fields, *Grid.model_fields, *Published.model_fields]
        return f"the key {shortened(repr(key))} is unknown:{nearest(key, known) or ' remove it'}"
    return f"{shortened('.'.join(map(str, first['loc'])))}: {shortened(first['msg'], 120)}"
