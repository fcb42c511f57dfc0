"""Trial: a circuit on held-out prompts, run once for all checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Faithfulness, bounded
from circuitsearch.metrics import accuracy, neg_kl
from circuitsearch.validation.bootstrap import interval, ratio
from circuitsearch.validation.measurement import Interval


@dataclass(frozen=True)
class Trial:
    """A circuit on held-out prompts.

    Attributes
    ----------
    experiment : Experiment
        The model and N different prompts.
    circuit : Circuit
        Every edge outside it is ablated.
    selection : Experiment, optional
        On the prompts on which the circuit was found.
    confidence, n_resamples
        Of the intervals over prompts.

    Raises
    ------
    InputError
        If the confidence is not between 0 and 1, or there are no resamples.
    """

    experiment: Experiment
    circuit: Circuit
    selection: Experiment | None = None
    confidence: float = 0.95
    n_resamples: int = 2000

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise InputError(f"the confidence must be between 0 and 1, not {self.confidence}")
        if self.n_resamples < 1:
            raise InputError(f"there must be 1 resample or more, not {self.n_resamples}")

    @cached_property
    def faithfulness(self) -> Faithfulness:
        """Measures circuits on the prompts."""
        evaluator = self.experiment.evaluator
        evaluator.ends(self.experiment.task.metric, accuracy)  # in one sweep over the prompts
        return Faithfulness(self.experiment)

    @property
    def metric(self) -> tuple[Tensor, Tensor, Tensor]:
        """The metric of the circuit, of the model and with every edge ablated: (N,) each."""
        return self._of_the_circuit[0], self.faithfulness.clean, self.faithfulness.ablated

    @property
    def kl(self) -> Tensor:
        """KL divergence from the model's next-token distribution to the circuit's, in nats: (N,)."""
        return -self._of_the_circuit[1]

    @property
    def right(self) -> tuple[Tensor, Tensor]:
        """1 where the best right answer has a higher logit than every wrong one, for the circuit and the model: (N,) each."""
        ((of_the_model, _),) = self.experiment.evaluator.ends(accuracy)
        return self._of_the_circuit[2], of_the_model

    @cached_property
    def _of_the_circuit(self) -> tuple[Tensor, Tensor, Tensor]:
        faithfulness = self.faithfulness
        metrics = faithfulness.metrics(self.circuit.mask[None], faithfulness.metric, neg_kl, accuracy)  # (1, N) each
        values, kl, right = (each[0] for each in metrics)
        return values, kl, right

    @cached_property
    def of_means(self) -> Interval:
        """Faithfulness as a ratio of means; circuit, model and ablated runs are resampled together."""
        return self.interval(ratio, *self.metric)

    @cached_property
    def per_prompt(self) -> Interval:
        """The mean over prompts of the bounded faithfulness."""
        return self.interval(np.mean, bounded(*self.metric))

    def interval(self, statistic: Callable[..., np.ndarray], *columns: Tensor) -> Interval:
        """A statistic of columns (N,) with its interval over prompts."""
        settings = {"confidence": self.confidence, "n_resamples": self.n_resamples, "seed": self.experiment.seed}
        return interval(statistic, *columns, **settings)
