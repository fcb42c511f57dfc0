"""What learned rankings are trained on: how far the metric of a circuit with weighted edges is from the model's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from circuitsearch.ablation import Ablation, Fitted, Recorder
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.metrics import metric_name
from circuitsearch.target import ROUNDING
from circuitsearch.task import Task


@dataclass(frozen=True)
class Objective:
    """A loss of weights in 0 ... 1, one an edge, and its derivative.

    The loss is the mean over prompts of |m(model) - m(circuit)|, over the mean of |m(model) - m(all ablated)|: 0 for the model, 1 with
    every edge ablated. Unlike faithfulness it does not let errors of different prompts cancel, and a metric above the model's is an
    error as well. With ``overshoot`` it is the mean of m(model) - m(circuit), which falls further above the model's metric.

    Attributes
    ----------
    mask : Tensor
        Boolean (U, V), the E edges of the graph.
    parts : tuple of Part
        The prompts, in parts each of which estimates the loss.
    fall : float
        Mean of |m(model) - m(all ablated)| over all prompts.
    overshoot : bool
        Whether a metric above the model's is rewarded.
    """

    mask: Tensor
    parts: tuple[Part, ...]
    fall: float
    overshoot: bool

    @classmethod
    def of(cls, experiment: Experiment, prompts: int, overshoot: bool, generator: torch.Generator) -> Objective:
        """On an experiment's prompts, in parts of at most ``prompts``, drawn by the generator.

        Raises
        ------
        InputError
            If the metric with every edge ablated is the model's on every prompt: then nothing can be learned.
        """
        task = experiment.task
        parts = tuple(Part.of(experiment, rows) for rows in _divided(len(task), prompts, generator))
        clean, ablated = (
            torch.cat(column) for column in zip(*((each.clean, each.ablated) for each in parts), strict=True)
        )
        fall = float((clean - ablated).abs().mean())
        if not fall > ROUNDING * float(clean.abs().mean()):
            raise InputError(
                f"the mean {metric_name(task.metric)} of the task {task.name!r} is the same with every edge ablated, so no"
                " ranking can be learned from it: use prompts whose clean and corrupt versions differ in the answer"
            )
        return cls(experiment.graph.mask, parts, fall, overshoot)

    def drawn(self, generator: torch.Generator) -> Part:
        """One of the parts."""
        return self.parts[int(torch.randint(len(self.parts), (), generator=generator))]

    def __call__(self, part: Part, kept: Tensor) -> tuple[float, Tensor]:
        """The loss on a part of the prompts with weights (E,), and its derivative in them: (E,), float64, on the CPU."""
        weights = torch.zeros(self.mask.shape, dtype=kept.dtype)
        weights[self.mask] = kept
        loss, gradient = 0.0, torch.zeros(self.mask.shape, dtype=torch.float64)
        for rows, run in part.evaluator.run(weights, gradient=True):
            assert run.gradient is not None
            error = part.clean[rows] - run.values.cpu().double()
            slope = -torch.ones_like(error) if self.overshoot else -error.sign()
            loss += float((error if self.overshoot else error.abs()).sum())
            gradient += torch.einsum("b,buv->uv", slope.to(run.gradient), run.gradient).cpu().double()
        sharing = part.evaluator.sharing_prompts
        loss, gradient = float(sharing.total(torch.tensor(loss, dtype=torch.float64))), sharing.total(gradient, weights)
        scale = self.fall * len(part.clean)
        return loss / scale, gradient[self.mask] / scale


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the prompts, N of them, with the metric (N,) of the model and with every edge ablated."""

    evaluator: Evaluator
    clean: Tensor
    ablated: Tensor

    @classmethod
    def of(cls, experiment: Experiment, rows: list[int]) -> Part:
        """Of these rows of the task; all parts together keep what the experiment's memory allows."""
        whole = experiment.task
        ablation = _FittedTo(whole, experiment.ablation)
        evaluator = Evaluator(
            experiment.described, whole.subset(rows), ablation, experiment.working_memory, experiment.world
        )
        ((clean, ablated),) = evaluator.ends()
        return cls(evaluator, clean, ablated)


@dataclass(frozen=True)
class _FittedTo:
    """An ablation fitted to a whole task, for runs on some of its prompts."""

    whole: Task
    ablation: Ablation

    @property
    def shares_prefix(self) -> bool:
        return self.ablation.shares_prefix

    def fit(self, record: Recorder, task: Task) -> Fitted:
        return self.ablation.fit(record, self.whole)


def _divided(n: int, size: int, generator: torch.Generator) -> list[list[int]]:
    """Rows in parts of at most ``size`` and of nearly equal numbers; in a random order if there are several parts."""
    if n <= size:
        return [list(range(n))]
    order = torch.randperm(n, generator=generator)
    return [sorted(part.tolist()) for part in order.tensor_split(-(-n // size))]
