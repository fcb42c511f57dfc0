"""The five hypothesis tests in one, corrected for their number."""

from __future__ import annotations

from dataclasses import dataclass, field

from circuitsearch.knobs import Knobs
from circuitsearch.validation.checks.against_random import PartialNecessity, Sufficiency
from circuitsearch.validation.checks.edge_minimality import EdgeMinimality
from circuitsearch.validation.checks.equivalence import Equivalence
from circuitsearch.validation.checks.independence import Independence
from circuitsearch.validation.hypothesis import HypothesisTest, corrected
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class HypothesisTests(Knobs):
    """The five tests of Shi et al. (2410.13032), their p values corrected by Holm's method over the tests that could be made.

    The chance that any of them is significant although its null hypothesis is true is then at most the level, however the tests
    depend on each other.

    Parameters
    ----------
    equivalence, independence, edge_minimality, sufficiency, partial_necessity
        The tests with their knobs.
    """

    equivalence: Equivalence = field(default_factory=Equivalence)
    independence: Independence = field(default_factory=Independence)
    edge_minimality: EdgeMinimality = field(default_factory=EdgeMinimality)
    sufficiency: Sufficiency = field(default_factory=Sufficiency)
    partial_necessity: PartialNecessity = field(default_factory=PartialNecessity)

    @property
    def tests(self) -> tuple[HypothesisTest, ...]:
        """In the order of the paper."""
        return (
            self.equivalence, self.independence, self.edge_minimality, self.sufficiency, self.partial_necessity,
        )  # fmt: skip

    def measure(self, trial: Trial) -> Measurement:
        """A row for each test, with the corrected p as ``p_holm`` and the decision that follows from it.

        The p of each edge is in the measurement of :class:`EdgeMinimality` alone.
        """
        found = [test.test(trial) for test in self.tests]
        family = corrected(found)
        both = list(zip(found, family, strict=True))
        made = sum(not each.left_out for each in found)
        return Measurement(
            "hypothesis_tests",
            table=tuple(each.row | {"p_holm": p, "decision": each.decision(p)} for each, p in both),
            lines=(
                *((each.name.replace("_", " "), each.text(p)) for each, p in both),
                ("correction", f"Holm's, over the {made} tests that were made"),
            ),
        )
