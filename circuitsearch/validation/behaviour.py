"""How well the model itself does a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from circuitsearch import show
from circuitsearch.errors import InputError, shortened
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.files import STRICT, read_json, write_json
from circuitsearch.metrics import accuracy, top1
from circuitsearch.setup import MadeWith, Setup
from circuitsearch.task import Task
from circuitsearch.text import answers_beside
from circuitsearch.validation.significance import LEVEL, TaskTest, chance

MOSTLY = 0.5  # below this share of prompts whose likeliest token is right, the likeliest tokens are reported,
CLEARLY = 0.75  # and below this share of prompts with a right answer above every wrong one


@dataclass(frozen=True)
class Behaviour(MadeWith):
    """How well the model itself does a task.

    Attributes
    ----------
    clean, ablated : float
        The metric's mean on the clean prompts, and with every edge ablated.
    accuracy : float
        Share of prompts whose best right answer has a higher logit than every wrong one.
    top1 : float
        Share of prompts whose most likely token of the vocabulary is a right answer.
    setup : Setup, optional
        What was measured.
    note : str
        If the most likely token is mostly not a right answer, or wrong answers are often above the right ones, or there is one
        prompt: the likeliest tokens after the first prompt, beside its answers.
    test : TaskTest, optional
        Whether the model does the task, on the different prompts; files of earlier versions have none.
    """

    __pydantic_config__ = STRICT

    clean: float
    ablated: float
    accuracy: float
    top1: float
    setup: Setup | None = None
    note: str = ""
    test: TaskTest | None = None

    def _repr_html_(self) -> str:
        return show.as_html(self)

    @property
    def does(self) -> bool:
        """Whether the model does the task: the test is significant, and the metric is above that with every edge ablated."""
        return self.test is not None and self.test.significant and self.clean > self.ablated

    def check(self) -> None:
        """Raise an InputError with the figures unless the model does the task: see :class:`TaskTest`."""
        if self.test is None:
            raise InputError(
                "this behaviour was measured by an earlier version, without a test of whether the model does the task:"
                " measure it again"
            )
        if not self.does:
            raise InputError(
                f"the model does not do the task {shortened(self.task, 40)!r} (level {LEVEL:g}, {self.test.n} prompts): mean"
                f" {shortened(self.metric, 30)} {self.clean:.3g}, with every edge ablated {self.ablated:.3g}, accuracy {self.accuracy:.1%}"
                f" ({self.test}); try another model or task"
            )

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        setup = None if self.setup is None else self.setup.model_dump(mode="json")
        write_json(path, asdict(self) | {"setup": setup})

    @classmethod
    def load(cls, path: str | Path) -> Behaviour:
        """Read what :meth:`save` wrote; raises an InputError if the file is something else."""
        return read_json(path, "a behaviour that a run wrote", cls)


def behaviour(model: Any, task: Task, *, tokenizer: Any = None, **settings: Unpack[Settings]) -> Behaviour:
    """Measure what the model itself does on a task, before any circuit is searched for.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts.
    tokenizer : optional
        To write tokens as text in the note.
    **settings
        As of :class:`circuitsearch.Experiment`.
    """
    experiment = Experiment.of(model, task, **settings)
    columns = _measured(experiment)
    means = [float(values.mean()) for values in columns]
    _, _, share_right, share_first = means
    unclear = share_first < MOSTLY or share_right < CLEARLY or len(experiment.task) == 1
    note = _note(experiment, tokenizer) if unclear else ""
    if share_first == 0:
        said = "says no answer as a whole" if task.teacher_forced else "never has a right answer as its likeliest token"
        note = f"the model {said}: check the answers and their leading space; {note}"
    return Behaviour(*means, setup=experiment.setup, note=note, test=_tested(experiment.task, *columns[:3]))


def _tested(task: Task, *columns: Tensor) -> TaskTest:
    """The test on the different prompts: a copy gives no further evidence."""
    rows = list({digest: row for row, digest in enumerate(task.prompt_digests())}.values())
    return TaskTest.of(*(column[rows] for column in (*columns, chance(task))))


def _measured(experiment: Experiment) -> list[Tensor]:
    """The metric, the metric with every edge ablated, and both accuracies, on each prompt: (N,) each."""
    (clean, ablated), *right = experiment.evaluator.ends(experiment.task.metric, accuracy, top1)
    return [clean, ablated, *(of_the_model for of_the_model, _ in right)]


def _note(experiment: Experiment, tokenizer: Any) -> str:
    """The likeliest tokens after the first prompt, beside its answers."""
    pair = next(iter(experiment.evaluator.all_pairs()))
    row, logits, task = int(pair.batch.rows[0]), pair.clean[1][0], experiment.task
    right = task.answers[row].tolist()
    if task.teacher_forced:  # the answer's first token
        logits, right = logits[0], right[:1]
    beside = answers_beside(logits, right, task.wrong[row].tolist(), tokenizer)
    return f"after prompt {row + 1} {beside}"
