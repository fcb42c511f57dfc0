"""From the words on the command line to models, tasks and methods, the cheap checks first."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from circuitsearch.ablation import Ablation, ablation_named
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, unknown
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.loading import load
from circuitsearch.methods import method_from
from circuitsearch.metrics import Metric, metric_name, metric_named
from circuitsearch.models.digest import weights_sha256
from circuitsearch.models.load import BUNDLED, Source, dtype_named, find
from circuitsearch.run import Choices
from circuitsearch.scores import Method, Rechecking
from circuitsearch.task import Task
from circuitsearch.tasks import TASKS

N_PROMPTS = 256
TRAIN_FRACTION = 0.5


@dataclass(frozen=True)
class Question:
    """What was asked, in the words it was asked in; all that can be checked without the model is checked at once."""

    task: str
    model: str = "pico"
    n: int | None = None
    seed: int = 0
    method: str = "eap-ig"
    ablation: str = "resample"
    metric: str | None = None
    faithfulness: float = 0.9
    device: str = "auto"
    dtype: str | None = None
    granularity: Granularity = WHOLE

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 1:
            raise InputError(f"the number of prompts must be 1 or more, not {self.n}: change --n")
        if not 0 < self.faithfulness <= 1:
            raise InputError(f"the faithfulness must lie in (0, 1], not {self.faithfulness:g}: change --faithfulness")
        find(self.model)
        dtype_named(self.dtype)
        self.read_as()  # the rest speaks up when it is read

    def read_as(self) -> tuple[Method | Rechecking, Ablation, Metric | None, str, Path | None]:
        """The method, the ablation, the metric if one was named, the device, and the task's file if it is one."""
        metric = None if self.metric is None else metric_named(self.metric)
        return (
            method_from(self.method),
            ablation_named(self.ablation),
            metric,
            device_named(self.device),
            self.task_file,
        )

    @cached_property
    def task_file(self) -> Path | None:
        """The task's file; None where the task is one of those that have a name."""
        path = Path(self.task)
        if self.task in TASKS:
            return None
        if path.is_file():
            return path
        if path.suffix in (".jsonl", ".json"):
            raise InputError(f"there is no task file {path}: give a file of JSON lines, or one of {', '.join(TASKS)}")
        raise unknown("task", self.task, TASKS)


@dataclass(frozen=True)
class Setting:
    """A question with its model and task at hand."""

    question: Question
    model: Any
    task: Task
    method: Method | Rechecking
    ablation: Ablation
    device: str
    file: Path | None = None
    tokenizer: Any = None

    @property
    def model_name(self) -> str:
        """The model's name without its folder."""
        return Path(self.source.place).name if self.source.name not in BUNDLED else self.source.name

    @property
    def source(self) -> Source:
        """Where the model was read from."""
        return find(self.question.model)

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return f"{self.task.name}-{self.model_name}"

    @cached_property
    def choices(self) -> Choices:
        """All that the result depends on."""
        return Choices(
            model=self.source.name if self.source.name in BUNDLED else self.source.place,
            weights_sha256=weights_sha256(self.model),
            task=self.task.name,
            task_file=None if self.file is None else str(self.file.resolve()),
            task_sha256=self.task.digest(self.question.granularity.spans),
            n=len(self.task),
            seed=self.question.seed,
            train_fraction=TRAIN_FRACTION,
            method=repr(self.method),
            ablation=self.question.ablation,
            metric=metric_name(self.task.metric),
            faithfulness=self.question.faithfulness,
            dtype=str(self.model.dtype).removeprefix("torch."),
            device=self.device,
            **({} if self.question.granularity == WHOLE else {"granularity": repr(self.question.granularity)}),
        )


def granularity_asked(
    spans: str | None, positions: int, merge_heads: bool, query_heads: bool, neurons: str | None, experts: bool
) -> Granularity:
    """What counts as a node, from the options that say so.

    Raises
    ------
    InputError
        If ``neurons`` are no block numbers, or the options do not go together.
    """
    blocks = [] if neurons is None else [number.strip() for number in neurons.split(",")]
    if not all(number.isdecimal() for number in blocks):
        raise InputError(f"--neurons takes the numbers of blocks, as in 3,4, not {neurons!r}")
    return Granularity(
        merged_heads=merge_heads,
        query_heads=query_heads,
        neurons=tuple(map(int, blocks)),
        experts=experts,
        spans=() if spans is None else tuple(name.strip() for name in spans.split(",")),
        positions=positions,
    )


def granularity_from(text: str) -> Granularity:
    """Read what a manifest says of the nodes.

    Raises
    ------
    InputError
        If it is neither that of every head and every MLP nor what a Granularity prints as.

    Examples
    --------
    >>> granularity_from("Granularity(spans=('IO', 'END'))").spans
    ('IO', 'END')
    """
    if text == Choices.model_fields["granularity"].default:
        return WHOLE
    try:
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Granularity"
        return Granularity(**{str(knob.arg): ast.literal_eval(knob.value) for knob in call.keywords})
    except (AssertionError, SyntaxError, TypeError, ValueError) as error:
        raise InputError(f"the granularity {text!r} cannot be understood ({error}): write it as {WHOLE!r}") from None


def setting(question: Question) -> Setting:
    """Load the model and make the task."""
    method, ablation, metric, device, file = question.read_as()
    model, tokenizer = load(question.model, dtype=question.dtype, device=device)
    task = named_task(question, tokenizer) if file is None else task_from_file(file, tokenizer, question.n)
    task = task if metric is None else replace(task, metric=metric)
    positions = question.granularity.positions
    task = task.of_length(positions) if positions else task
    return Setting(question, model, task, method, ablation, device, file, tokenizer)


def named_task(question: Question, tokenizer: Any) -> Task:
    """Make a task of the package; an InputError says so if there is no tokenizer to make it with."""
    if tokenizer is None:
        raise InputError(
            f"the task {question.task!r} needs a tokenizer, and the model folder {question.model} has none:"
            " add its tokenizer.json, or give a task file with token ids"
        )
    return TASKS[question.task](tokenizer, n=question.n or N_PROMPTS, seed=question.seed)


def task_from_file(file: Path, tokenizer: Any, n: int | None) -> Task:
    """Read a task's file, or its first ``n`` rows."""
    task = Task.from_file(file, tokenizer)
    if n is not None and n > len(task):
        raise InputError(f"{file} has {len(task)} rows, fewer than the {n} that --n asks for")
    return task if n is None else task.subset(range(n))


def device_named(name: str) -> str:
    """Choose the device: ``auto`` is CUDA where there is one, else MPS where that is, else the CPU.

    Raises
    ------
    InputError
        If the device is unknown or not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = name.partition(":")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in there or not (number == "" or number.isdecimal()):
        raise unknown("device", name, ["auto", *there])
    if not there[kind]:
        raise InputError(f"there is no {kind} device here: use --device cpu, or auto")
    return name


def circuit_at(path: Path) -> Circuit:
    """Read the circuit of a file or of a run's folder."""
    return Circuit.load(path / "circuit.json" if path.is_dir() else path)
