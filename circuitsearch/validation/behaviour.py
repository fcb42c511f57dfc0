"""How well the model itself does a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from typing_extensions import Unpack

from circuitsearch import show
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import check_done
from circuitsearch.files import STRICT, read_json, write_json
from circuitsearch.metrics import accuracy, top1
from circuitsearch.setup import MadeWith, Setup
from circuitsearch.task import Task


@dataclass(frozen=True)
class Behaviour(MadeWith):
    """What the model does on a task.

    Attributes
    ----------
    clean, ablated : float
        The metric's mean on the clean prompts, and with every edge ablated.
    accuracy : float
        Share of prompts where the best right answer lies above every wrong one.
    top1 : float
        Share of prompts where the most likely token of the vocabulary is a right answer.
    setup : Setup, optional
        What was measured.
    """

    __pydantic_config__ = STRICT

    clean: float
    ablated: float
    accuracy: float
    top1: float
    setup: Setup | None = None

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def check(self) -> None:
        """Raise an InputError with the figures if the model does not do the task."""
        check_done(self.task, self.metric, self.clean, self.ablated)

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        setup = None if self.setup is None else self.setup.model_dump(mode="json")
        write_json(path, asdict(self) | {"setup": setup})

    @classmethod
    def load(cls, path: str | Path) -> Behaviour:
        """Read what :meth:`save` wrote; an InputError says if the file is not one of these."""
        return read_json(path, "a behaviour that a run wrote", cls)


def behaviour(model: Any, task: Task, **settings: Unpack[Settings]) -> Behaviour:
    """Measure what the model itself does on a task, before any circuit is searched for.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts.
    **settings
        As of :class:`circuitsearch.Experiment`.
    """
    experiment = Experiment.of(model, task, **settings)
    clean, right, best = experiment.evaluator.clean(task.metric, accuracy, top1)
    (ablated,) = experiment.evaluator.circuits(torch.zeros_like(experiment.graph.mask)[None])
    means = [float(values.mean()) for values in (clean, ablated, right, best)]
    return Behaviour(*means, setup=experiment.setup)
