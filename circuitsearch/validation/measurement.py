"""Measurement: what one check found of a circuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from circuitsearch.errors import unknown
from circuitsearch.files import STRICT, Number

Cell = float | int | str | tuple[str, ...] | None  # None: not defined
Line = tuple[str, str]  # a name, and what was found in words


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval over prompts.

    Examples
    --------
    >>> print(Interval(0.91, 0.87, 0.94))
    0.910 [0.870, 0.940]
    """

    __pydantic_config__ = STRICT

    value: Number
    low: Number
    high: Number

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not defined"
        ends = "no interval" if math.isnan(self.low) else f"{self.low:.3f}, {self.high:.3f}"
        return f"{self.value:.3f} [{ends}]"


@dataclass(frozen=True)
class Measurement:
    """What a check found.

    Attributes
    ----------
    name : str
        Of what was measured; each is once in a report.
    value : float, optional
        The number to quote, if there is one; NaN if it is not defined.
    interval : tuple of float, optional
        Its interval over prompts, with the report's confidence; NaN if it is not defined.
    table : tuple of dict
        Further numbers, one row for each thing that was measured. What is not defined is None.
    lines : tuple of (str, str)
        For people: a name and what was found, a line each.
    cautions : tuple of str
        Reasons, one sentence each, why the circuit may be worth less than the numbers suggest.
    caption : str
        What the caption of a figure says of it; empty for nothing.

    Examples
    --------
    >>> print(Measurement("kl", 0.25, (0.2, 0.3)).estimate)
    0.250 [0.200, 0.300]
    """

    __pydantic_config__ = STRICT

    name: str
    value: Number | None = None
    interval: tuple[Number, Number] | None = None
    table: tuple[Mapping[str, Cell], ...] = ()
    lines: tuple[Line, ...] = ()
    cautions: tuple[str, ...] = ()
    caption: str = ""

    def __post_init__(self) -> None:
        rows = tuple({key: _defined(cell) for key, cell in row.items()} for row in self.table)
        object.__setattr__(self, "table", rows)

    @classmethod
    def of(cls, name: str, found: Interval, **others: object) -> Measurement:
        """A measurement of an estimate with its interval."""
        return cls(name, found.value, (found.low, found.high), **others)  # pyright: ignore[reportArgumentType]

    @property
    def estimate(self) -> Interval:
        """The value with its interval; NaN where there is none."""
        value = math.nan if self.value is None else self.value
        return Interval(value, *(self.interval or (math.nan, math.nan)))

    def where(self, **cells: Cell) -> tuple[Mapping[str, Cell], ...]:
        """The rows of the table that have these cells.

        Raises
        ------
        InputError
            If a row has no column of such a name.

        Examples
        --------
        >>> Measurement("size", table=({"layer": 0, "edges": 4}, {"layer": 1, "edges": 9})).where(layer=1)
        ({'layer': 1, 'edges': 9},)
        """
        for row in self.table:
            for name in cells:
                if name not in row:
                    raise unknown("column", name, row)
        return tuple(row for row in self.table if all(row[name] == cell for name, cell in cells.items()))


def number(cell: Cell) -> float:
    """A number of a table; NaN if it is not defined."""
    return math.nan if cell is None else float(cell)  # pyright: ignore[reportArgumentType]


def _defined(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and math.isnan(cell) else cell
