"""Variations over settings: other targets, other methods of scoring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs
from circuitsearch.registry import METHODS
from circuitsearch.replication.configuration import Configuration
from circuitsearch.replication.variation import SETTINGS, Variation, check_count, check_enough
from circuitsearch.target import check_target


@dataclass(frozen=True)
class Targets(Knobs):
    """Other targets of faithfulness, on the same prompts.

    Parameters
    ----------
    values : tuple of float
        In (0, 1] each.
    """

    values: tuple[float, ...] = (0.8, 0.9, 0.95)
    source: ClassVar[str] = SETTINGS

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in self.values:
            check_target(each)
        _check_different(self, self.values)

    def configurations(self, base: Configuration) -> list[Configuration]:
        """One for each target."""
        check_enough(base.task, base.task.n_distinct, self)
        return [replace(base, faithfulness=each) for each in self.values]


@dataclass(frozen=True)
class Methods(Knobs):
    """Other methods of scoring, from whose rankings the search starts, on the same prompts.

    Parameters
    ----------
    methods : tuple of Method or str
        Values, or names as ``METHODS`` lists them.
    """

    methods: tuple[Any, ...] = ("eap-ig", "eap", "relp")
    source: ClassVar[str] = SETTINGS

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "methods", tuple(METHODS.read(each) for each in self.methods))
        _check_different(self, self.methods)

    def configurations(self, base: Configuration) -> list[Configuration]:
        """One for each method."""
        check_enough(base.task, base.task.n_distinct, self)
        return [replace(base, method=each) for each in self.methods]


def _check_different(variation: Variation, values: tuple[Any, ...]) -> None:
    check_count(variation, len(values))
    if any(values.index(value) != place for place, value in enumerate(values)):
        raise InputError(f"{type(variation).__name__} has a value twice: {values}")
