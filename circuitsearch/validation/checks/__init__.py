"""Checks of a circuit on held-out prompts, one measurement a file."""

from __future__ import annotations

from typing import Protocol

from circuitsearch.validation.checks.accuracy import Accuracy as Accuracy
from circuitsearch.validation.checks.accuracy import AccuracyKept as AccuracyKept
from circuitsearch.validation.checks.controls import RandomCircuits as RandomCircuits
from circuitsearch.validation.checks.curve import SizeCurve as SizeCurve
from circuitsearch.validation.checks.kept import PerPrompt as PerPrompt
from circuitsearch.validation.checks.kept import Ratio as Ratio
from circuitsearch.validation.checks.kl import KL as KL
from circuitsearch.validation.checks.matched import MatchedCircuits as MatchedCircuits
from circuitsearch.validation.checks.means import MetricMeans as MetricMeans
from circuitsearch.validation.checks.minimality import Minimality as Minimality
from circuitsearch.validation.checks.new_prompts import NewPrompts as NewPrompts
from circuitsearch.validation.checks.redundancy import Redundant as Redundant
from circuitsearch.validation.checks.worst import WorstPrompts as WorstPrompts
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


class Check(Protocol):
    """Measures one thing of a circuit; a frozen dataclass, whose fields are its knobs.

    Packages add checks by entry points of the group ``circuitsearch.checks``; ``validate(..., checks=...)`` runs them.
    """

    def measure(self, trial: Trial) -> Measurement:
        """Measure it.

        Raises
        ------
        InputError
            If it cannot be measured on these prompts.
        """
        ...


USUAL: tuple[Check, ...] = (
    MetricMeans(), Ratio(), PerPrompt(), NewPrompts(), KL(), Accuracy(), AccuracyKept(), RandomCircuits(), SizeCurve(), Minimality(),
    Redundant(),
)  # fmt: skip
