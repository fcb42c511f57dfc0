"""How well the model itself does a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from circuitsearch import show
from circuitsearch.ablation import Ablation
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.faithfulness import check_done
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.metrics import accuracy, metric_name, top1
from circuitsearch.task import Task


@dataclass(frozen=True)
class Behaviour:
    """What the model does on a task.

    Attributes
    ----------
    n : int
        Prompts.
    metric : str
        The task's metric.
    clean, ablated : float
        Its mean on the clean prompts, and with every edge cut.
    accuracy : float
        Share of prompts where the best right answer lies above every wrong one.
    top1 : float
        Share of prompts where the most likely token of the vocabulary is a right answer.
    """

    task: Task
    n: int
    metric: str
    clean: float
    ablated: float
    accuracy: float
    top1: float

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def check(self) -> None:
        """Raise an InputError with the figures if the model does not do the task."""
        check_done(self.task, self.clean, self.ablated)


def behaviour(
    model: Any, task: Task, *, ablation: Ablation | None = None, granularity: Granularity = WHOLE
) -> Behaviour:
    """Measure what the model itself does on a task, before any circuit is looked for."""
    described = verified(model, task, granularity)
    evaluator = Evaluator(described, task, ablation)
    clean, right, best = evaluator.clean(task.metric, accuracy, top1)
    (ablated,) = evaluator.circuits(torch.zeros_like(described.graph.mask)[None])
    means = [float(values.mean()) for values in (clean, ablated, right, best)]
    return Behaviour(task, len(task), metric_name(task.metric), *means)
