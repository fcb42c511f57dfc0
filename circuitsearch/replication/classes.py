"""How often an edge is found, and the class that follows from it: core, optional or unstable."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

from circuitsearch.errors import InputError
from circuitsearch.files import STRICT
from circuitsearch.knobs import Knobs
from circuitsearch.validation import Interval

CORE, OPTIONAL, UNSTABLE = CLASSES = ("core", "optional", "unstable")


@dataclass(frozen=True)
class Classes(Knobs):
    """From which inclusion on an edge is core, and from which it is optional; all others are unstable.

    By default core edges are the strict consensus: those that every search finds, as in CIRCUS (2603.00523).

    Parameters
    ----------
    core : float
        The least share of searches, of each variation, that finds a core edge.
    optional : float
        The least share of all searches that finds an optional edge: a part of one of several circuits that do the task.

    Examples
    --------
    >>> [Classes().named((share,), share) for share in (1.0, 0.6, 0.1)]
    ['core', 'optional', 'unstable']
    """

    __pydantic_config__ = STRICT

    core: float = 1.0
    optional: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.optional <= self.core <= 1:
            raise InputError(
                f"the shares from which edges are optional and core must be in (0, 1], that of core not the smaller one: not"
                f" {self.optional:g} and {self.core:g}"
            )

    def named(self, by_variation: tuple[float, ...], altogether: float) -> str:
        """The class of an edge, from its inclusion in each variation and in all searches."""
        if min(by_variation) >= self.core:
            return CORE
        return OPTIONAL if altogether >= self.optional else UNSTABLE


def inclusion(found: int, searches: int, confidence: float) -> Interval:
    """The share of searches that found an edge, with its exact interval (Clopper and Pearson 1934).

    The interval takes the searches for independent ones. Those on resamples of the same prompts are not.

    Examples
    --------
    >>> print(inclusion(4, 4, confidence=0.95))
    1.000 [0.398, 1.000]
    """
    ends = stats.binomtest(found, searches).proportion_ci(confidence_level=confidence, method="exact")
    return Interval(found / searches, float(ends.low), float(ends.high))
