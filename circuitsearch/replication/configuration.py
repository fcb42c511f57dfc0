"""Configuration: all that one search depends on; and the search that ``find`` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import RATIO, Average
from circuitsearch.knobs import Knobs
from circuitsearch.pipeline import circuit_of, planned
from circuitsearch.search import Refine
from circuitsearch.task import Task


@dataclass(frozen=True)
class Configuration:
    """All that one search depends on.

    Attributes
    ----------
    experiment : Experiment
        The model and the prompts of this search, with its seed.
    faithfulness : float
        The target.
    method : Method
        How edges are scored.
    checkpoint : path, optional
        Where the search may keep its state, from which it goes on when it was interrupted.
    """

    experiment: Experiment
    faithfulness: float
    method: Any
    checkpoint: Path | None = None

    @property
    def task(self) -> Task:
        """The prompts."""
        return self.experiment.task

    @property
    def seed(self) -> int:
        """The experiment's."""
        return self.experiment.seed

    def on(self, task: Task) -> Configuration:
        """The same on other prompts."""
        return replace(self, experiment=self.experiment.on(task))

    def seeded(self, seed: int) -> Configuration:
        """The same with another seed."""
        return replace(self, experiment=self.experiment.seeded(seed))


Discover = Callable[[Configuration], Circuit]
"""Finds the circuit of a configuration."""


@dataclass(frozen=True)
class Find(Knobs):
    """The search of :func:`circuitsearch.find`, without the evidence: half of the prompts choose edges, a quarter decide which circuit is returned.

    Parameters
    ----------
    refine : Refine
        Sizes of steps, and when to stop.
    average : Average
        Whether faithfulness is a ratio of means or a mean over prompts.
    """

    refine: Refine = field(default_factory=Refine)
    average: Average = RATIO

    def __call__(self, configuration: Configuration) -> Circuit:
        """The circuit that ``find`` returns with these prompts and settings."""
        experiment = configuration.experiment
        plan = planned(experiment, experiment.task, configuration.faithfulness, configuration.method, 0, None, {})
        return circuit_of(replace(plan, refine=self.refine, average=self.average), configuration.checkpoint)
