"""Checks of a circuit on held-out prompts, one measurement a file."""

from __future__ import annotations

from typing import Protocol

from circuitsearch.validation.checks.accuracy import Accuracy as Accuracy
from circuitsearch.validation.checks.accuracy import AccuracyKept as AccuracyKept
from circuitsearch.validation.checks.against_random import PartialNecessity as PartialNecessity
from circuitsearch.validation.checks.against_random import Sufficiency as Sufficiency
from circuitsearch.validation.checks.certified_edges import CertifiedEdges as CertifiedEdges
from circuitsearch.validation.checks.completeness import Completeness as Completeness
from circuitsearch.validation.checks.controls import RandomCircuits as RandomCircuits
from circuitsearch.validation.checks.conventions import Conventions as Conventions
from circuitsearch.validation.checks.curve import SizeCurve as SizeCurve
from circuitsearch.validation.checks.edge_minimality import EdgeMinimality as EdgeMinimality
from circuitsearch.validation.checks.equivalence import Equivalence as Equivalence
from circuitsearch.validation.checks.hypothesis_tests import HypothesisTests as HypothesisTests
from circuitsearch.validation.checks.independence import Independence as Independence
from circuitsearch.validation.checks.kept import PerPrompt as PerPrompt
from circuitsearch.validation.checks.kept import Ratio as Ratio
from circuitsearch.validation.checks.kl import KL as KL
from circuitsearch.validation.checks.matched import MatchedCircuits as MatchedCircuits
from circuitsearch.validation.checks.means import MetricMeans as MetricMeans
from circuitsearch.validation.checks.minimality import Minimality as Minimality
from circuitsearch.validation.checks.new_prompts import NewPrompts as NewPrompts
from circuitsearch.validation.checks.redundancy import Redundant as Redundant
from circuitsearch.validation.checks.subsets import Subsets as Subsets
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
