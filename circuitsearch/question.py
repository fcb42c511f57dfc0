"""Question: the options of a run on the command line, and the model and task that they name."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from circuitsearch.ablation import Ablation
from circuitsearch.alignment import Alignment
from circuitsearch.budget import Budget, load_in
from circuitsearch.data import SUFFIXES, check_columns
from circuitsearch.devices import device_named, runs_on
from circuitsearch.distributed import world
from circuitsearch.engine.working_memory import DEFAULT_MEMORY
from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.experiment import Settings
from circuitsearch.granularity import Granularity
from circuitsearch.memory import bytes_in
from circuitsearch.models.load import dtype_named, label_of, locate
from circuitsearch.registry import ABLATIONS, ALIGNMENTS, CHECKS, FAITHFULNESS, GRANULARITIES, METHODS, METRICS, TASKS
from circuitsearch.scores import AnyMethod
from circuitsearch.search import Refine
from circuitsearch.setup import Spec
from circuitsearch.task import Task
from circuitsearch.tasks.defined import SUFFIX as TEMPLATES
from circuitsearch.tasks.defined import from_template

N_PROMPTS = 256
MOST_PROMPTS = 1_000_000


def writes_prompts(task: str) -> bool:
    """Whether a task, as it is named on the command line, writes as many prompts as are asked for, and is no file of given ones."""
    return TASKS.names_one(task) or Path(task).suffix == TEMPLATES or not Path(task).is_file()


def named_file(task: str) -> Path | None:
    """The file that a text names as the task; None if it is a built-in task's name.

    Raises
    ------
    InputError
        If it is neither a name nor a file, or the name's knobs are wrong.
    """
    path = Path(task)
    if TASKS.names_one(task):
        TASKS.read(task)
        return None
    if path.is_file():
        return path
    if path.suffix in (*SUFFIXES, TEMPLATES) or len(path.parts) > 1:
        raise InputError(f"the task file {path} does not exist: give a file, or {', '.join(TASKS.names())}")
    raise unknown("task", task, TASKS.names())


class OnePrompt(BaseModel):
    """A prompt, its counterfactual and the answers to both, as text; without a wrong answer the right one is teacher-forced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clean: str
    corrupt: str
    answer: str
    wrong: str | None = None


class Reading(BaseModel):
    """How the task's file is read; ``columns`` are texts of the form ``clean=sentence``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...] = ()
    corrupt_file: str | None = None
    chat: bool = False

    @property
    def named(self) -> dict[str, str]:
        """The names of columns, ours to theirs."""
        pairs = [column.partition("=") for column in self.columns]
        wrong = next(
            (
                column
                for column, (_, equals, theirs) in zip(self.columns, pairs, strict=True)
                if not equals or not theirs
            ),
            None,
        )
        if wrong is not None:
            raise InputError(f"--column {shortened(repr(wrong))} is not OURS=THEIRS: write it as clean=sentence")
        return {ours: theirs for ours, _, theirs in pairs}

    def check(self, file: Path | None) -> None:
        """Raise an InputError if it is wrong, or there is no file to read."""
        check_columns(self.named)
        if file is None and self != Reading():
            raise InputError(
                "--column, --corrupt-file and --chat are for a task from a file: give one, or leave them out"
            )

    def task(self, file: Path, tokenizer: Any, align: Alignment) -> Task:
        """The task of a file."""
        return Task.from_file(
            file, tokenizer, columns=self.named, corrupt_file=self.corrupt_file, chat=self.chat, align=align
        )


class Question(BaseModel):
    """The options of a run; :meth:`check` checks everything that does not need the model."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    task: str | None = Field(default=None, description="a task's name or file; None for one prompt")
    prompt: OnePrompt | None = Field(default=None, description="one prompt in place of a task")
    align: str = Field(default="error", description="what is done with pairs of unequal lengths")
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
    memory: str | None = Field(default=None, description="what the process may take, in words; no result depends on it")
    reading: Reading = Field(default=Reading(), description="how the task's file is read")

    def check(self) -> None:
        """Raise an InputError about the first option that is wrong."""
        if (self.task is None) == (self.prompt is None):
            raise InputError(
                f"give {'either' if self.task else ''} a task, by its name or file, or one prompt with --clean, --corrupt, --answer"
                " and --wrong"
            )
        if self.prompt is not None and self.n is not None:
            raise InputError("--n is the number of a task's prompts, and here is one prompt: leave it out")
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
        if self.memory is not None:
            bytes_in(self.memory)
        FAITHFULNESS.read(self.faithfulness_of)
        if self.passes is not None and self.passes < 1:
            raise InputError(f"the search needs 1 pass or more, not {self.passes}: change --passes")
        for word in (
            "method_asked",
            "ablation_asked",
            "granularity_asked",
            "metric_asked",
            "align_asked",
            "task_file",
            "starts_asked",
            "checks_asked",
        ):
            getattr(self, word)
        self.reading.check(self.task_file)

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
    def align_asked(self) -> Alignment:
        """What is done with pairs of unequal lengths."""
        return ALIGNMENTS.read(self.align)

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
        """The task's file; None for a named task, and for one prompt."""
        return None if self.task is None else named_file(self.task)

    @property
    def model_name(self) -> str:
        """The model's name without its folder."""
        return label_of(self.model)

    @property
    def name(self) -> str:
        """Name of the run folder: the task, the model, and the options that are not at their defaults."""
        default = Question(task=self.task, prompt=self.prompt)
        parts = [self.task_name, self.model_name]
        parts += [
            f"{label}{of_a_path(value)}"
            for label, value, usual in (
                ("n", self.n, None),
                ("seed", self.seed, 0),
                ("", str(Spec.of(self.method_asked)), str(Spec.of(default.method_asked))),
                ("", str(Spec.of(self.ablation_asked)), str(Spec.of(default.ablation_asked))),
                ("", self.metric, None),
                ("align", str(Spec.of(self.align_asked)), str(Spec.of(default.align_asked))),
                ("f", f"{self.faithfulness:g}", f"{default.faithfulness:g}"),
                ("of", self.faithfulness_of, "ratio"),
                ("start", "-".join(str(Spec.of(each)) for each in self.starts_asked), ""),
                ("check", "-".join(str(Spec.of(each)) for each in self.checks_asked), ""),
                ("", "complete" if self.complete else None, None),
                ("recheck", self.recheck, 0),
                ("passes", self.passes, None),
                ("", str(Spec.of(self.granularity_asked)), str(Spec.of(default.granularity_asked))),
                ("", self.dtype, None),
                ("column", "-".join(self.reading.columns), ""),
                ("corrupt", Path(self.reading.corrupt_file or "").stem, ""),
                ("", "chat" if self.reading.chat else None, None),
            )
            if value != usual
        ]
        return "-".join(parts)

    @property
    def task_name(self) -> str:
        """The task, with its knobs, as a part of a folder's name."""
        if self.task is None:
            return "" if self.prompt is None else of_a_path(self.prompt.clean)
        if self.task_file:
            return Path(self.task).stem
        name, _, knobs = self.task.partition("(")
        return "-".join(filter(None, (TASKS.canonical(name.strip()), of_a_path(knobs))))

    def load(self) -> tuple[Any, Any, Task]:
        """Load the model and its tokenizer, and make the task."""
        model, tokenizer = self.load_model()
        return model, tokenizer, self.prompts(tokenizer)

    def load_model(self) -> tuple[Any, Any]:
        """Load the model and its tokenizer."""
        return load_in(self.memory, self.model, self.device, self.dtype)

    def prompts(self, tokenizer: Any) -> Task:
        """Make the task."""
        task = self._asked(tokenizer)
        task = task if self.metric is None else replace(task, metric=self.metric_asked)
        positions = self.granularity_asked.positions
        return task.of_length(positions) if positions else task

    @property
    def refine(self) -> Refine:
        """How the circuit is searched for."""
        return Refine() if self.passes is None else Refine(passes=self.passes)

    @property
    def settings(self) -> Settings:
        """Settings of the experiment beside the model and the task; its work is shared with the processes that run the same command."""
        return {"ablation": self.ablation_asked, "granularity": self.granularity_asked, **self.beside_circuit}

    @property
    def beside_circuit(self) -> Settings:
        """Those that a circuit does not know."""
        return {"seed": self.seed, "world": world(), **self.working}

    @property
    def working(self) -> Settings:
        """The working memory that the memory in words leaves; nothing if none was given, and Experiment's default is taken."""
        return {} if self.memory is None else {"memory": self.working_bytes}

    @property
    def working_bytes(self) -> int:
        """The same in bytes, with the default if no memory was given."""
        if self.memory is None:
            return DEFAULT_MEMORY
        found = Budget.of(self.memory, self.model, runs_on(self.device), self.dtype, self.granularity_asked)
        return found.check(self.model).working

    def _asked(self, tokenizer: Any) -> Task:
        """The task that was asked for, with its own metric."""
        if self.task_file is not None:
            return self._from_file(self.task_file, tokenizer)
        self._check_tokenizer(tokenizer)
        if self.prompt is not None:
            return Task.from_pair(**self.prompt.model_dump(), tokenizer=tokenizer, align=self.align_asked)
        return TASKS.read(self.task)(tokenizer, n=self.n or N_PROMPTS, seed=self.seed)

    def _check_tokenizer(self, tokenizer: Any) -> None:
        if tokenizer is None:
            what = "one prompt" if self.task is None else f"the task {self.task!r}"
            raise InputError(
                f"{what} needs a tokenizer, and the model folder {self.model} has none: add its tokenizer.json, or give a task"
                " file with token ids"
            )

    def _from_file(self, file: Path, tokenizer: Any) -> Task:
        if file.suffix == TEMPLATES:
            self._check_tokenizer(tokenizer)
            return from_template(file, tokenizer, n=self.n or N_PROMPTS, seed=self.seed)
        task = self.reading.task(file, tokenizer, self.align_asked)
        if self.n is not None and self.n > len(task):
            raise InputError(f"{file} has {len(task)} rows, fewer than the {self.n} that --n asks for")
        return task if self.n is None else task.subset(range(self.n))


def of_a_path(value: Any) -> str:
    """A value as part of a folder's name.

    Examples
    --------
    >>> of_a_path("EAPIG(steps=10)"), of_a_path("Granularity(spans=('IO', 'END'))")
    ('EAPIG-steps-10', 'Granularity-spans-IO-END')
    """
    return re.sub(r"[^\w.]+", "-", str(value)).strip("-")[:60]
