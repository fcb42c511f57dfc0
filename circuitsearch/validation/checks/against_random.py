"""Sufficiency and partial necessity: the circuit against random ones of its size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from circuitsearch.graph import Graph
from circuitsearch.validation.binomial import POWER, at_least, detectable, exact_interval, needed
from circuitsearch.validation.checks.controls import random_circuits
from circuitsearch.validation.hypothesis import (
    HypothesisTest,
    Tested,
    check_counts,
    check_share,
    mean_change,
    rounding,
)
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class AgainstRandom(HypothesisTest):
    """Base of the two tests: an exact binomial test that the circuit surpasses more than a share ``quantile`` of random ones.

    What is compared is the mean over prompts of the magnitude of the metric's difference from the model (the paper averages its
    square). The test is about the random circuits, on these prompts.

    Parameters
    ----------
    quantile : float
        The circuit must surpass more than this share; .9 in the paper.
    count : int
        Random circuits, 100 in the paper.
    prompts : int
        On how many of the prompts, at most.
    """

    quantile: float = 0.9
    count: int = 100
    prompts: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(f"{type(self).__name__}'s quantile", self.quantile)
        check_counts(random_circuits=self.count, prompts=self.prompts)

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the measurement."""

    @property
    @abstractmethod
    def shows(self) -> str:
        """What a significant test shows."""

    @abstractmethod
    def run(self, graph: Graph, circuit: Tensor) -> Tensor:
        """The edges that are kept when a circuit (U, V) is tested: (U, V)."""

    @abstractmethod
    def drawn(self, graph: Graph, circuit: Tensor, seed: int) -> Sequence[Tensor]:
        """Random circuits (U, V) of the circuit's size; none if there are not so many edges."""

    @abstractmethod
    def surpassed(self, own: Tensor, random: Tensor, tie: float) -> Tensor:
        """Which of the random circuits' changes (C,) the circuit's own change surpasses: boolean (C,)."""

    def test(self, trial: Trial) -> Tested:
        """Over the random circuits; left out where so few could not be significant."""
        needs, mask = needed(self.quantile, self.level), trial.circuit.mask
        if self.count < needs:
            why = f"{self.count} random circuits cannot show a share above {self.quantile:g}: it takes {needs} or more"
            return self.without(self.name, why, self.count, "random circuits", needs)
        few = trial.faithfulness.on_first(self.prompts)
        random = self.drawn(few.graph, mask, trial.experiment.seed) if mask.any() else ()
        if not len(random):
            return self.without(self.name, "there are no random circuits of this size", unit="random circuits")
        kept = [self.run(few.graph, each) for each in (mask, *random)]
        own, *changes = mean_change(few.experiment.evaluator.metric_of_each(kept), few.clean)
        count = int(self.surpassed(own, torch.stack(changes), rounding(few)).sum())
        return self.found(count, len(random), trial.confidence)

    def found(self, count: int, n: int, confidence: float) -> Tested:
        """The test of how many of ``n`` random circuits were surpassed."""
        return Tested(
            self.name,
            at_least(count, n, self.quantile),
            self.level,
            self.shows,
            exact_interval(count, n, confidence),
            "share surpassed",
            n,
            "random circuits",
            POWER,
            detectable(n, self.quantile, self.level),
            others=(("needs", needed(self.quantile, self.level)),),
        )


@dataclass(frozen=True)
class Sufficiency(AgainstRandom):
    """Whether the circuit is nearer to the model than more than 90% of random circuits of its size, pruned by the same rule (2410.13032)."""

    @property
    def name(self) -> str:
        """Of the measurement."""
        return "sufficiency"

    @property
    def shows(self) -> str:
        """What a significant test shows."""
        return f"it is nearer to the model than {self.quantile:.0%} of random circuits"

    def run(self, graph: Graph, circuit: Tensor) -> Tensor:
        """The circuit itself."""
        return circuit

    def drawn(self, graph: Graph, circuit: Tensor, seed: int) -> Sequence[Tensor]:
        """As the controls of every report."""
        return list(random_circuits(graph, int(circuit.sum()), self.count, seed))

    def surpassed(self, own: Tensor, random: Tensor, tie: float) -> Tensor:
        """Those that are further from the model."""
        return random > own + tie


@dataclass(frozen=True)
class PartialNecessity(AgainstRandom):
    """Whether ablating the circuit in the model changes more than ablating random edges, as many, of the others does (2410.13032)."""

    @property
    def name(self) -> str:
        """Of the measurement."""
        return "partial_necessity"

    @property
    def shows(self) -> str:
        """What a significant test shows."""
        return f"ablating it changes more than ablating random edges does, in {self.quantile:.0%} of draws"

    def run(self, graph: Graph, circuit: Tensor) -> Tensor:
        """The model without the circuit."""
        return graph.mask & ~circuit

    def drawn(self, graph: Graph, circuit: Tensor, seed: int) -> Sequence[Tensor]:
        """Random edges outside the circuit."""
        others, size, rng = (graph.mask & ~circuit).nonzero(), int(circuit.sum()), np.random.default_rng(seed)
        if len(others) < size:
            return ()
        return [graph.mask_at(others[torch.from_numpy(rng.permutation(len(others))[:size])]) for _ in range(self.count)]

    def surpassed(self, own: Tensor, random: Tensor, tie: float) -> Tensor:
        """Those that change less."""
        return random < own - tie
