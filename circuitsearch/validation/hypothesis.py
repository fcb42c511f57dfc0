"""Hypothesis tests: what one found, its measurement, and the correction for several of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.knobs import Knobs
from circuitsearch.target import ROUNDING
from circuitsearch.validation.measurement import Cell, Interval, Measurement
from circuitsearch.validation.significance import holm
from circuitsearch.validation.trial import Trial

LEVEL = 0.05
_NOT_MEASURED = Interval(nan, nan, nan)


@dataclass(frozen=True)
class Tested:
    """What a hypothesis test found.

    Attributes
    ----------
    name : str
        Of the test.
    p : float
        Chance of data as extreme as these or more, if the null hypothesis is true; NaN if the test was left out.
    level : float
        The test is significant if p is at most the level.
    shows : str
        What a significant test shows, in words.
    effect : Interval
        Size of the effect.
    effect_name : str
        What it is the size of.
    n : int
        Number of independent observations.
    unit : str
        What they are: prompts, random circuits ...
    power : float
        Chance that the test is significant if the alternative is true.
    alternative : float
        The effect for which the power is stated.
    note : str
        Further results, or why the test was left out.
    others : tuple of (str, float or str)
        Further numbers for the table.
    rows : tuple of dict
        Rows of the table after the first one.
    """

    name: str
    p: float
    level: float
    shows: str
    effect: Interval = _NOT_MEASURED
    effect_name: str = ""
    n: int = 0
    unit: str = "prompts"
    power: float = nan
    alternative: float = nan
    note: str = ""
    others: tuple[tuple[str, Cell], ...] = ()
    rows: tuple[dict[str, Cell], ...] = ()

    @property
    def left_out(self) -> bool:
        """Whether there were too few observations for the test."""
        return isnan(self.p)

    def decision(self, p: float | None = None) -> str:
        """What the test shows, or does not; with a corrected ``p`` if one is given."""
        if self.left_out:
            return "left out"
        return self.shows if (self.p if p is None else p) <= self.level else f"not shown that {self.shows}"

    @property
    def row(self) -> dict[str, Cell]:
        """The numbers."""
        low, high = self.effect.low, self.effect.high
        return {
            "test": self.name, "p": self.p, "level": self.level, "decision": self.decision(),
            "effect": self.effect.value, "effect_low": low, "effect_high": high, "n": self.n, "unit": self.unit,
            "power": self.power, "alternative": self.alternative,
        } | dict(self.others)  # fmt: skip

    def text(self, corrected: float | None = None) -> str:
        """In words."""
        if self.left_out:
            return f"left out: {self.note}"
        p = f"p = {self.p:.2g}" + ("" if corrected is None else f", {corrected:.2g} corrected")
        parts = [
            f"{self.effect_name} {self.effect} ({self.n} {self.unit})",
            f"{self.decision(corrected)} ({p}; power {self.power:.2f} against {self.alternative:.3g})",
            self.note,
        ]
        return "; ".join(filter(None, parts))

    def measurement(self) -> Measurement:
        """Its measurement: the effect with its interval; without a value if the test was left out."""
        lines = ((self.name.replace("_", " "), self.text()),)
        table = (self.row, *self.rows)
        if self.left_out:
            return Measurement(self.name, table=table, lines=lines)
        return Measurement.of(self.name, self.effect, table=table, lines=lines)


@dataclass(frozen=True)
class HypothesisTest(Knobs, ABC):
    """Base of the tests of Shi et al. (2410.13032).

    Parameters
    ----------
    level : float
        A test is significant if its p is at most this.
    """

    level: float = LEVEL

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(f"{type(self).__name__}'s level", self.level)

    @abstractmethod
    def test(self, trial: Trial) -> Tested:
        """Test the circuit."""

    def measure(self, trial: Trial) -> Measurement:
        """The effect with its interval; a table of one row: p, level, decision, n, power, and the alternative of the power."""
        return self.test(trial).measurement()

    def without(self, name: str, why: str, n: int = 0, unit: str = "prompts", needs: int | None = None) -> Tested:
        """The test was left out."""
        return Tested(name, nan, self.level, "", n=n, unit=unit, note=why, others=(("needs", needs),))


def check_share(name: str, value: float) -> None:
    """Raise an InputError unless a number is between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(f"{name} must be between 0 and 1, not {value}")


def check_counts(**counts: int) -> None:
    """Raise an InputError that names the first count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"the number of {name.replace('_', ' ')} must be 1 or more, not {count}")


def corrected(tests: Sequence[Tested]) -> list[float]:
    """P of each test by :func:`holm` over those that were not left out; NaN for the others."""
    found = iter(holm([each.p for each in tests if not each.left_out]))
    return [nan if each.left_out else next(found) for each in tests]


def rounding(faithfulness: Faithfulness) -> float:
    """Differences of the metric that count as none: a millionth of what ablating every edge changes."""
    return ROUNDING * float((faithfulness.clean - faithfulness.ablated).mean())


def mean_change(values: Tensor, others: Tensor) -> Tensor:
    """Mean over prompts of the magnitude of the difference of metrics (..., N): (...)."""
    return (values - others).abs().mean(-1)


def without_each(mask: Tensor, places: Tensor) -> Tensor:
    """The circuit (U, V) without each of the edges at ``places`` (E, 2): boolean (E, U, V)."""
    masks = mask.repeat(len(places), 1, 1)
    masks[torch.arange(len(places)), places[:, 0], places[:, 1]] = False
    return masks
