"""The prompts of each pass of a search: new ones where the task can write them, its own rows in turn where it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from circuitsearch.experiment import Experiment


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

    stride = 1_000_003  # a prime, so that passes of different seeds have different prompts

    def of_pass(self, number: int) -> Experiment:
        """The experiment on the prompts of a pass, which depend only on its number and the experiment's seed."""
        experiment = self.experiment
        if experiment.task.writer is not None:
            seed = (experiment.seed + 1) * self.stride + number
            return experiment.on(experiment.task.writer.draw(self.size, seed, at_most=True))
        if len(experiment.task) <= self.size:
            return experiment
        epoch, place = divmod(number, len(experiment.task) // self.size)
        order = np.random.default_rng((experiment.seed, epoch)).permutation(len(experiment.task))
        return experiment.on(
            experiment.task.subset(sorted(order[place * self.size : (place + 1) * self.size].tolist()))
        )

    @cached_property
    def are_new(self) -> bool:
        """Whether every pass has new prompts."""
        return self.experiment.task.writer is not None
