"""Question: the options of a run on the command line, and the model and task that they name."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from circuitsearch.ablation import Ablation
from circuitsearch.devices import device_named
from circuitsearch.errors import InputError, unknown
from circuitsearch.experiment import Settings
from circuitsearch.granularity import Granularity
from circuitsearch.loading import load
from circuitsearch.models.load import Source, dtype_named, locate
from circuitsearch.registry import ABLATIONS, CHECKS, FAITHFULNESS, GRANULARITIES, METHODS, METRICS, TASKS
from circuitsearch.scores import AnyMethod
from circuitsearch.search import Refine
from circuitsearch.setup import Spec
from circuitsearch.task import Task
from circuitsearch.tasks.defined import SUFFIX as TEMPLATES
from circuitsearch.tasks.defined import from_template

N_PROMPTS = 256
MOST_PROMPTS = 1_000_000


class Question(BaseModel):
    """The options of a run; :meth:`check` checks everything that does not need the model."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    task: str
    model: str = "pico"
    n: int | None = None
    seed: int = 0
    method: str = "eap-ig"
    ablation: str = "resample"
    metric: str | None = None
    faithfulness: float = 0.9
    faithfulness_of: str = "ratio"
    starts: tuple[str, ...] = Field(default=(), description="further methods whose rankings the search starts from")
    checks: tuple[str, ...] = Field(default=(), description="further checks of the circuit")
    complete: bool = Field(default=False, description="whether the circuit is completed")
    recheck: int = Field(default=0, description="edges that are measured exactly")
    passes: int | None = Field(default=None, description="of the search, at most; None: the default of Refine")
    granularity: str = "heads-and-mlps"
    device: str = "auto"
    dtype: str | None = None

    def check(self) -> None:
        """Raise an InputError about the first option that is wrong."""
        if self.n is not None and not 1 <= self.n <= MOST_PROMPTS:
            raise InputError(f"the number of prompts must be 1 to {MOST_PROMPTS:,}, not {self.n}: change --n")
        if not 0 < self.faithfulness <= 1:
            raise InputError(f"the faithfulness must be in (0, 1], not {self.faithfulness:g}: change --faithfulness")
        if self.recheck < 0:
            raise InputError(f"the number of edges to measure must be 0 or more, not {self.recheck}: change --recheck")
        if self.seed < 0:
            raise InputError(f"the seed must be 0 or more, not {self.seed}: change --seed")
        locate(self.model)
        dtype_named(self.dtype)
        device_named(self.device)
        FAITHFULNESS.read(self.faithfulness_of)
        if self.passes is not None and self.passes < 1:
            raise InputError(f"the search needs 1 pass or more, not {self.passes}: change --passes")
        for word in (
            "method_asked",
            "ablation_asked",
            "granularity_asked",
            "metric_asked",
            "task_file",
            "starts_asked",
            "checks_asked",
        ):
            getattr(self, word)

    @cached_property
    def method_asked(self) -> AnyMethod:
        """How edges are scored."""
        return METHODS.read(self.method)

    @cached_property
    def starts_asked(self) -> tuple[AnyMethod, ...]:
        """Further rankings that the search starts from."""
        return tuple(METHODS.read(each) for each in self.starts)

    @cached_property
    def checks_asked(self) -> tuple[Any, ...]:
        """Further checks of the circuit."""
        return tuple(CHECKS.read(each) for each in self.checks)

    @cached_property
    def ablation_asked(self) -> Ablation:
        """What ablated edges carry."""
        return ABLATIONS.read(self.ablation)

    @cached_property
    def granularity_asked(self) -> Granularity:
        """What counts as a node."""
        return GRANULARITIES.read(self.granularity)

    @cached_property
    def metric_asked(self) -> Any:
        """The metric, if one is given; else the task's own is used."""
        return None if self.metric is None else METRICS.read(self.metric)

    @cached_property
    def task_file(self) -> Path | None:
        """The task's file; None for a named task."""
        path = Path(self.task)
        if TASKS.names_one(self.task):
            TASKS.read(self.task)
            return None
        if path.is_file():
            return path
        if path.suffix in (".jsonl", ".json", TEMPLATES) or len(path.parts) > 1:
            raise InputError(
                f"the task file {path} does not exist: give a file of JSON lines, or {', '.join(TASKS.names())}"
            )
        raise unknown("task", self.task, TASKS.names())

    @property
    def source(self) -> Source:
        """Where the model is read from."""
        return locate(self.model)

    @property
    def model_name(self) -> str:
        """The model's name without its folder."""
        return self.source.label

    @property
    def name(self) -> str:
        """Name of the run folder: the task, the model, and the options that are not at their defaults."""
        default = Question(task=self.task)
        parts = [Path(self.task).stem if self.task_file else self._task_name, self.model_name]
        parts += [
            f"{label}{_of_a_path(value)}"
            for label, value, usual in (
                ("n", self.n, None),
                ("seed", self.seed, 0),
                ("", str(Spec.of(self.method_asked)), str(Spec.of(default.method_asked))),
                ("", str(Spec.of(self.ablation_asked)), str(Spec.of(default.ablation_asked))),
                ("", self.metric, None),
                ("f", f"{self.faithfulness:g}", f"{default.faithfulness:g}"),
                ("of", self.faithfulness_of, "ratio"),
                ("start", "-".join(str(Spec.of(each)) for each in self.starts_asked), ""),
                ("check", "-".join(str(Spec.of(each)) for each in self.checks_asked), ""),
                ("", "complete" if self.complete else None, None),
                ("recheck", self.recheck, 0),
                ("passes", self.passes, None),
                ("", str(Spec.of(self.granularity_asked)), str(Spec.of(default.granularity_asked))),
                ("", self.dtype, None),
            )
            if value != usual
        ]
        return "-".join(parts)

    @property
    def _task_name(self) -> str:
        """The named task with its knobs."""
        name, _, knobs = self.task.partition("(")
        return "-".join(filter(None, (TASKS.canonical(name.strip()), _of_a_path(knobs))))

    def load(self) -> tuple[Any, Any, Task]:
        """Load the model and its tokenizer, and make the task."""
        model, tokenizer = load(self.model, dtype=self.dtype, device=device_named(self.device))
        return model, tokenizer, self.prompts(tokenizer)

    def prompts(self, tokenizer: Any) -> Task:
        """Make the task."""
        task = self._named(tokenizer) if self.task_file is None else self._from_file(self.task_file, tokenizer)
        task = task if self.metric is None else replace(task, metric=self.metric_asked)
        positions = self.granularity_asked.positions
        return task.of_length(positions) if positions else task

    @property
    def refine(self) -> Refine:
        """How the circuit is searched for."""
        return Refine() if self.passes is None else Refine(passes=self.passes)

    @property
    def settings(self) -> Settings:
        """Settings of the experiment beside the model and the task."""
        return {"ablation": self.ablation_asked, "granularity": self.granularity_asked, "seed": self.seed}

    def _named(self, tokenizer: Any) -> Task:
        self._check_tokenizer(tokenizer)
        return TASKS.read(self.task)(tokenizer, n=self.n or N_PROMPTS, seed=self.seed)

    def _check_tokenizer(self, tokenizer: Any) -> None:
        if tokenizer is None:
            raise InputError(
                f"the task {self.task!r} needs a tokenizer, and the model folder {self.model} has none: add its"
                " tokenizer.json, or give a task file with token ids"
            )

    def _from_file(self, file: Path, tokenizer: Any) -> Task:
        if file.suffix == TEMPLATES:
            self._check_tokenizer(tokenizer)
            return from_template(file, tokenizer, n=self.n or N_PROMPTS, seed=self.seed)
        task = Task.from_file(file, tokenizer)
        if self.n is not None and self.n > len(task):
            raise InputError(f"{file} has {len(task)} rows, fewer than the {self.n} that --n asks for")
        return task if self.n is None else task.subset(range(self.n))


def _of_a_path(value: Any) -> str:
    """A value as part of a folder's name.

    Examples
    --------
    >>> _of_a_path("EAPIG(steps=10)"), _of_a_path("Granularity(spans=('IO', 'END'))")
    ('EAPIG-steps-10', 'Granularity-spans-IO-END')
    """
    return re.sub(r"[^\w.]+", "-", str(value)).strip("-")[:60]
