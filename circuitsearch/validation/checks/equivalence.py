"""Equivalence: whether the circuit wins against the model on half of the prompts."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.errors import InputError, counted
from circuitsearch.target import ROUNDING
from circuitsearch.validation.binomial import (
    POWER,
    difference_p,
    equivalence_needs,
    equivalence_p,
    equivalence_power,
    exact_interval,
)
from circuitsearch.validation.hypothesis import HypothesisTest, Tested
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class Equivalence(HypothesisTest):
    """Whether the chance that the circuit's metric is above the model's on a prompt is within a margin of 1/2 (2410.13032).

    Two one-sided exact binomial tests: equivalence is said only when the data show it, and few prompts never do. The table also
    has the test of the paper, ``difference_p``, whose null hypothesis is equivalence, so that few prompts never reject it. A tie counts
    half as a win.

    Parameters
    ----------
    margin : float
        How far from 1/2 the chance may be.
    tie : float
        Differences of up to this share of the metric's fall when every edge is ablated are ties; 0 in the paper.
    """

    margin: float = 0.1
    tie: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.margin < 0.5:
            raise InputError(f"Equivalence's margin must be between 0 and .5, not {self.margin}")
        if self.tie < 0:
            raise InputError(f"Equivalence's tie must be 0 or more, not {self.tie}")

    def test(self, trial: Trial) -> Tested:
        """Over the prompts; left out where so few could not show equivalence."""
        circuit, model, ablated = trial.metric
        difference, tie = circuit - model, max(self.tie, ROUNDING) * float((model - ablated).mean())
        wins, losses = int((difference > tie).sum()), int((difference < -tie).sum())
        return self.found(wins, losses, len(difference) - wins - losses, trial.confidence)

    def found(self, wins: int, losses: int, ties: int, confidence: float) -> Tested:
        """The test of these numbers of prompts."""
        n, needs = wins + losses + ties, equivalence_needs(self.margin, self.level)
        if n < needs:
            why = f"{counted(n, 'prompt')} cannot show equivalence within {self.margin:g} of 1/2: it takes {needs} or more"
            return self.without("equivalence", why, n, needs=needs)
        lacking = equivalence_needs(self.margin, self.level, POWER)
        difference = difference_p(wins, losses, ties, self.margin)
        return Tested(
            "equivalence",
            equivalence_p(wins, losses, ties, self.margin),
            self.level,
            f"the circuit wins against the model as often as not, within {self.margin:g}",
            exact_interval(wins + ties // 2, n, confidence, most=n - losses - ties // 2),
            "share of wins",
            n,
            power=float(equivalence_power(n, self.margin, self.level)),
            alternative=0.5,
            note=f"power {POWER:g} takes {lacking} prompts; p = {difference:.2g} that it differs by more",
            others=(("wins", wins), ("losses", losses), ("ties", ties), ("difference_p", difference), ("needs", needs)),
        )
