"""The prompts of each pass of a search: new ones where the task can write them, its own rows in turn where it cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitsearch.experiment import Experiment

STRIDE = 1_000_003  # a prime, so that passes of different seeds have different prompts


@dataclass(frozen=True)
class PassPrompts:
    """Gives each pass its prompts.

    Parameters
    ----------
    experiment : Experiment
        On the selection prompts.
    size : int
        Prompts a pass.
    """

    experiment: Experiment
    size: int

    def of_pass(self, number: int) -> Experiment:
        """The experiment on the prompts of a pass, which depend only on its number and the experiment's seed."""
        experiment = self.experiment
        if self.are_new:
            return self._written(self.size, number)
        if len(experiment.task) <= self.size:
            return experiment
        epoch, place = divmod(number, len(experiment.task) // self.size)
        order = np.random.default_rng((experiment.seed, epoch)).permutation(len(experiment.task))
        return experiment.on(
            experiment.task.subset(sorted(order[place * self.size : (place + 1) * self.size].tolist()))
        )

    def for_elimination(self, least: int) -> Experiment:
        """The experiment on new prompts of no pass, at least ``least``; on its own if the task cannot write others."""
        return self._written(max(len(self.experiment.task), least), -1) if self.are_new else self.experiment

    def _written(self, count: int, number: int) -> Experiment:
        writer = self.experiment.task.writer
        assert writer is not None
        return self.experiment.on(writer.draw(count, (self.experiment.seed + 1) * STRIDE + number, at_most=True))

    @property
    def are_new(self) -> bool:
        """Whether every pass has new prompts."""
        return self.experiment.task.writer is not None
