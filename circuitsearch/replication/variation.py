"""Variation: one way in which repeated searches differ."""

from __future__ import annotations

from typing import ClassVar, Protocol

from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs
from circuitsearch.replication.configuration import Configuration
from circuitsearch.setup import Spec
from circuitsearch.task import Task

# What differs between the searches of a variation.
SAMPLES, REPHRASINGS, SETTINGS = "samples", "rephrasings", "settings"

LEAST = (
    4  # different prompts of a search: two to choose edges, one to choose the circuit, and one that find would hold out
)


class Variation(Protocol):
    """One way in which repeated searches differ: a frozen dataclass with its knobs.

    Attributes
    ----------
    source : str
        What differs: ``"samples"`` of one distribution of prompts, ``"rephrasings"`` or ``"settings"``.
    """

    source: ClassVar[str]

    def configurations(self, base: Configuration) -> list[Configuration]:
        """The searches to compare, all made from one; at least two.

        Raises
        ------
        InputError
            If there are too few prompts, or the task has not what is to be varied.
        """
        ...


def name_of(variation: Variation) -> str:
    """The variation's name in tables and files: its class in lower case."""
    return type(variation).__name__.lower()


class Repeated(Knobs):
    """Base of variations that say how many searches they make, in a knob ``count``."""

    count: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, self.count)  # pyright: ignore[reportArgumentType]  (every subclass is a variation)


def check_count(variation: Variation, count: int) -> None:
    """Raise an InputError for fewer than two searches, which cannot be compared."""
    if count < 2:
        raise InputError(f"{type(variation).__name__} must give 2 searches or more to compare, not {count}")


def check_enough(task: Task, n: int, variation: Variation) -> None:
    """Raise an InputError unless each search has enough different prompts, of which it has ``n``."""
    if n < LEAST:
        raise InputError(
            f"{Spec.of(variation)} leaves {n} different prompts of task {task.name!r} to a search, which needs {LEAST}: give"
            " more prompts, or vary less"
        )
