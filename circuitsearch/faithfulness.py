"""Faithfulness: the share of the model's behaviour that a circuit keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.graph import Graph
from circuitsearch.history import Measured
from circuitsearch.metrics import Metric, metric_name


def ratio_of_means(circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
    """(mean m(circuit) - mean m(all ablated)) / (mean m(model) - mean m(all ablated)), over the last dimension.

    It is 1 if the circuit has the model's metric, and 0 if it has the metric with every edge ablated; other values,
    below 0 and above 1 too, are possible.
    """
    return (circuit - ablated).mean(-1) / (clean - ablated).mean(-1)


def bounded(circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
    """1 - min(|m(model) - m(circuit)| / |m(model) - m(all ablated)|, 1), prompt by prompt.

    It is in 0 ... 1; unlike in the ratio of means, a value above the model's on one prompt does not compensate for one
    below it on another. If ablating every edge changes nothing, it is 1 if the circuit changes nothing either, else 0.
    """
    error, fall = (clean - circuit).abs(), (clean - ablated).abs()
    share = torch.where(fall > 0, error / fall.clamp(min=torch.finfo(fall.dtype).tiny), (error > 0).to(fall))
    return 1 - share.clamp(max=1)


class Average(ABC):
    """Faithfulness over prompts: an estimate from the metric (..., N) of the circuit, the model and all edges ablated."""

    @abstractmethod
    def estimate(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """Faithfulness (...) over the N prompts of the last dimension; differentiable in ``circuit``."""

    @abstractmethod
    def influence(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """How much each prompt moves the estimate, N times over: (..., N), of mean 0 (Hampel 1974)."""

    @abstractmethod
    def slope(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """Derivative (N,) of the estimate in the circuit's metric (N,)."""

    @abstractmethod
    def pull(self, circuit: Tensor, clean: Tensor, ablated: Tensor, aim: float) -> Tensor:
        """How much a rise of the circuit's metric is wanted on each prompt, if the faithfulness is to be ``aim``: (N,).

        It is in the unit of :meth:`slope`, and negative where the circuit overshoots.
        """

    def standard_error(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """Standard error (...) of the estimate over prompts, by the delta method; not defined (NaN) for one prompt."""
        influence, n = self.influence(circuit, clean, ablated), circuit.shape[-1]
        return influence.square().sum(-1).div(n - 1).sqrt() / sqrt(n) if n > 1 else influence[..., 0] + torch.nan

    def measured(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Measured:
        """The estimate over the metric (N,) and its standard error, which counts as 0 for one prompt."""
        columns = circuit, clean, ablated
        error = self.standard_error(*columns) if len(circuit) > 1 else torch.zeros(())
        return Measured(float(self.estimate(*columns)), float(error))


@dataclass(frozen=True)
class RatioOfMeans(Average):
    """Faithfulness as :func:`ratio_of_means`: errors of opposite sign on different prompts cancel."""

    in_words: ClassVar[str] = "a ratio of means over prompts"

    def estimate(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """:func:`ratio_of_means`."""
        return ratio_of_means(circuit, clean, ablated)

    def influence(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """Of each prompt on the ratio of means: (..., N)."""
        kept, fall = circuit - ablated, clean - ablated
        return (kept - self.estimate(circuit, clean, ablated)[..., None] * fall) / fall.mean(-1, keepdim=True)

    def slope(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """The same for every prompt."""
        return torch.ones_like(circuit) / (clean - ablated).sum()

    def pull(self, circuit: Tensor, clean: Tensor, ablated: Tensor, aim: float) -> Tensor:
        """Half of it is for every prompt alike, half for what each prompt lacks: the mean alone would let errors cancel."""
        lacking = ablated + aim * (clean - ablated) - circuit
        return self.slope(circuit, clean, ablated) * (1 + _scaled(lacking)) / 2


@dataclass(frozen=True)
class MeanPerPrompt(Average):
    """Faithfulness as the mean of :func:`bounded`: errors on different prompts do not cancel."""

    in_words: ClassVar[str] = "the mean of each prompt's, bounded"

    def estimate(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """Mean of :func:`bounded`."""
        return bounded(circuit, clean, ablated).mean(-1)

    def influence(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """Of each prompt on the mean: (..., N)."""
        values = bounded(circuit, clean, ablated)
        return values - values.mean(-1, keepdim=True)

    def slope(self, circuit: Tensor, clean: Tensor, ablated: Tensor) -> Tensor:
        """Zero where the circuit's error on a prompt is larger than the fall, so that a small change makes no difference."""
        error, fall = clean - circuit, (clean - ablated).abs()
        slope = error.sign() / fall.clamp(min=torch.finfo(fall.dtype).tiny) / len(fall)
        return torch.where(error.abs() < fall, slope, torch.zeros_like(slope))

    def pull(self, circuit: Tensor, clean: Tensor, ablated: Tensor, aim: float) -> Tensor:
        """What each prompt lacks of the model's metric."""
        return _scaled(clean - circuit) / (clean - ablated).abs().sum()


def _scaled(values: Tensor) -> Tensor:
    """Values (N,) over their mean magnitude; zeros stay zeros."""
    return values / values.abs().mean().clamp(min=torch.finfo(values.dtype).tiny)


RATIO, PROMPT = RatioOfMeans(), MeanPerPrompt()


class Faithfulness:
    """Measures circuits on an experiment's prompts.

    Parameters
    ----------
    experiment : Experiment
        The model and N prompts.
    of : Average
        How the prompts are averaged: ``RATIO`` of means, or mean per ``PROMPT``.

    Attributes
    ----------
    clean, ablated : Tensor
        (N,) the metric of the model, and with every edge ablated.

    Raises
    ------
    InputError
        If the model does not do the task: its metric is not above the metric with every edge ablated.
    """

    def __init__(self, experiment: Experiment, of: Average = RATIO) -> None:
        self.experiment, self.of = experiment, of
        ((self.clean, self.ablated),) = experiment.evaluator.ends()
        task, means = experiment.task, (float(self.clean.mean()), float(self.ablated.mean()))
        check_done(task.name, metric_name(task.metric), *means)

    @property
    def graph(self) -> Graph:
        """Writers, readers and edges."""
        return self.experiment.graph

    @property
    def metric(self) -> Metric:
        """The task's own."""
        return self.experiment.task.metric

    def on_first(self, most: int) -> Faithfulness:
        """On the first prompts, at most so many."""
        if len(self.clean) <= most:
            return self
        few = copy(self)
        few.experiment = self.experiment.on(self.experiment.task.subset(range(most)))
        few.clean, few.ablated = self.clean[:most], self.ablated[:most]
        return few

    def metrics(self, masks: Tensor, *metrics: Metric, near: Tensor | None = None) -> list[Tensor]:
        """Each metric, the task's own by default, of the circuits ``masks`` (C, U, V) on every prompt: (C, N) each."""
        return self.experiment.evaluator.circuits(masks, *metrics, near=near)

    def __call__(self, masks: Tensor, near: Tensor | None = None) -> Tensor:
        """Faithfulness (C,) of the circuits ``masks``, boolean (C, U, V).

        If they differ little from a circuit ``near`` (U, V), passing it saves time.
        """
        (values,) = self.metrics(masks, near=near)
        return self.of.estimate(values, self.clean, self.ablated)

    def measured(self, masks: Tensor) -> list[Measured]:
        """Faithfulness of each of the circuits ``masks``, boolean (C, U, V), with its standard error over prompts."""
        if len(masks) == 1:
            return [self.measured_alone(masks[0])]
        (values,) = self.metrics(masks)
        return [self.of.measured(row, self.clean, self.ablated) for row in values]

    def measured_alone(self, mask: Tensor) -> Measured:
        """Faithfulness of one circuit (U, V), run by itself: cheaper than a joint run where it has edges everywhere."""
        return self.measured_each([mask])[0]

    def measured_each(self, masks: Sequence[Tensor]) -> list[Measured]:
        """Faithfulness of some circuits (U, V), each run by itself: cheaper than a joint run where they have little in common."""
        values = self.experiment.evaluator.metric_of_each(masks)
        return [self.of.measured(row, self.clean, self.ablated) for row in values]


def check_done(task: str, metric: str, clean: float, ablated: float) -> None:
    """Raise an InputError with the figures unless the model does the task at all."""
    if not clean > ablated:
        raise InputError(
            f"the model does not do the task {task!r}: its mean {metric} is {clean:.4g} on the clean"
            f" prompts and {ablated:.4g} with every edge ablated; try another model or task, or swap right and wrong answers"
        )
