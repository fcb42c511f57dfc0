"""Faithfulness: the share of the model's behaviour that a circuit keeps."""

from __future__ import annotations

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.graph import Graph
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


class Faithfulness:
    """Measures circuits by the ratio of means on an experiment's prompts.

    Parameters
    ----------
    experiment : Experiment
        The model and N prompts.

    Attributes
    ----------
    clean, ablated : Tensor
        (N,) the metric of the model, and with every edge ablated.

    Raises
    ------
    InputError
        If the model does not do the task: its metric is not above the metric with every edge ablated.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        (self.clean,) = experiment.evaluator.clean()
        (ablated,) = experiment.evaluator.circuits(torch.zeros_like(self.graph.mask)[None])
        self.ablated = ablated[0]
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

    def metrics(self, masks: Tensor, *metrics: Metric, near: Tensor | None = None) -> list[Tensor]:
        """Each metric, the task's own by default, of the circuits ``masks`` (C, U, V) on every prompt: (C, N) each."""
        return self.experiment.evaluator.circuits(masks, *metrics, near=near)

    def __call__(self, masks: Tensor, near: Tensor | None = None) -> Tensor:
        """Faithfulness (C,) of the circuits ``masks``, boolean (C, U, V).

        If they differ little from a circuit ``near`` (U, V), passing it saves time.
        """
        (values,) = self.metrics(masks, near=near)
        return ratio_of_means(values, self.clean, self.ablated)


def check_done(task: str, metric: str, clean: float, ablated: float) -> None:
    """Raise an InputError with the figures unless the model does the task at all."""
    if not clean > ablated:
        raise InputError(
            f"the model does not do the task {task!r}: its mean {metric} is {clean:.4g} on the clean"
            f" prompts and {ablated:.4g} with every edge ablated; try another model or task, or swap right and wrong answers"
        )
