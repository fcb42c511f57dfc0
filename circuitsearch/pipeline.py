"""``find``: from a model and a task to a circuit and the evidence for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.finding import Finding, Listener, Plan
from circuitsearch.loading import load
from circuitsearch.methods import Exact, Recheck
from circuitsearch.methods.recheck import affordable_edges
from circuitsearch.progress import Progress
from circuitsearch.progress_bar import ProgressBar
from circuitsearch.question import N_PROMPTS
from circuitsearch.registry import METHODS, TASKS
from circuitsearch.run import RunFolder
from circuitsearch.scores import Method, Rechecking
from circuitsearch.search import check_target, minimal
from circuitsearch.task import Task
from circuitsearch.validation import Report, behaviour_on, generalisation, validate

Result = TypeVar("Result")


def find(
    model: Any,
    task: Task | str,
    faithfulness: float = 0.9,
    *,
    method: Method | Rechecking | str = "eap-ig",
    recheck: int | None = None,
    out: str | Path | None = None,
    tokenizer: Any = None,
    listeners: Sequence[Listener] | None = None,
    **settings: Unpack[Settings],
) -> Finding:
    """Find the circuit of a task: score every edge, search the smallest circuit, and test it on held-out prompts.

    Parameters
    ----------
    model
        A Hugging Face causal language model, an :class:`Experiment`, or a name or folder as for :func:`circuitsearch.load`.
    task : Task or str
        Prompts, or the name of a task. Half of the prompts are for the search, the other half is held out; if all are in one
        group, no prompts are held out, and the report says so.
    faithfulness : float
        The share of the behaviour that the circuit must keep, in (0, 1].
    method : Method or str
        How edges are scored.
    recheck : int, optional
        Number of the strongest edges that are then measured exactly, 0 for none; by default from a cost model.
    out : path, optional
        A folder for figures, report, page and all that reproduces them. Finished results in it are reused.
    tokenizer : optional
        The model's tokenizer, for a named task and for the page; for a named model it is loaded with the model.
    listeners : sequence of Listener, optional
        Their methods are called at every stage; by default a progress bar.
    **settings
        ``ablation``, ``granularity``, ``memory``, ``seed``: see :class:`Experiment`.

    Returns
    -------
    Finding
        Behaviour, scores, circuit and report.

    Raises
    ------
    InputError
        If an argument is wrong, or the model does not do the task.

    Examples
    --------
    >>> from circuitsearch import tasks
    >>> model, tokenizer = load("pico")
    >>> finding = find(model, tasks.induction(tokenizer, n=8), recheck=0)
    >>> len(finding.circuit) < 40
    True
    """
    plan = planned(model, task, faithfulness, method, recheck, tokenizer, settings)
    told = [ProgressBar()] if listeners is None else list(listeners)
    stages = _Stages(
        [*([] if out is None else [RunFolder(Path(out))]), *told]
    )  # a result is written before other listeners get it
    with stages.running(plan):
        measured = stages.take(
            "behaviour", lambda progress: behaviour_on(plan.halves, plan.whole.setup, plan.tokenizer)
        )
        measured.check()
        scores = stages.take(
            "scores",
            lambda progress: plan.search.score(plan.method, journal=stages.journal, progress=progress),
        )
        circuit = stages.take(
            "circuit", lambda progress: minimal(plan.search, plan.search.task, scores, faithfulness, progress=progress)
        )
        circuit = replace(circuit, scores=scores.values)  # a circuit's file has the scores of its own edges only
        report = stages.take("report", lambda progress: _evidence(plan, circuit, progress))
        finding = Finding(measured, scores, circuit, report, stages.folder)
        stages.end(plan, finding)
    return finding


def _evidence(plan: Plan, circuit: Circuit, progress: Progress) -> Report:
    """The report on held-out prompts, with what the circuit keeps on new names, new templates ..."""
    report = validate(plan.held_out, circuit, plan.held_out.task, progress=progress)
    return replace(report, by_factor=generalisation(circuit, plan.search, plan.held_out))


def planned(
    model: Any,
    task: Task | str,
    faithfulness: float,
    method: Method | Rechecking | str,
    recheck: int | None,
    tokenizer: Any,
    settings: Settings,
) -> Plan:
    """Check the arguments and make the experiments; nothing slow is run."""
    check_target(faithfulness)
    chosen: Any = METHODS.read(method)
    if isinstance(model, str | Path):
        model, tokenizer = load(model)
    whole = Experiment.of(model, _task(task, tokenizer, settings.get("seed", 0)), **settings)
    search, held_out = (whole, whole) if len(set(whole.task.split_groups)) == 1 else whole.split()
    return Plan(whole, search, held_out, _rechecked(chosen, recheck, search), faithfulness, tokenizer)


def _task(task: Task | str, tokenizer: Any, seed: int) -> Task:
    if not isinstance(task, str):
        return task
    if tokenizer is None:
        raise InputError(f"the task {task!r} needs the model's tokenizer: give tokenizer=...")
    return TASKS.read(task)(tokenizer, n=N_PROMPTS, seed=seed)


def _rechecked(method: Method | Rechecking, recheck: int | None, search: Experiment) -> Method | Rechecking:
    """The method, with exact effects of the strongest edges if asked for."""
    if recheck == 0 or isinstance(method, Rechecking | Exact):
        return method
    return Recheck(method, affordable_edges(search) if recheck is None else recheck)


@dataclass(frozen=True)
class _Stages:
    """Runs the stages one after another, and calls the listeners."""

    listeners: list[Listener]

    @property
    def journal(self) -> Path | None:
        return next((each.journal for each in self.listeners if each.journal is not None), None)

    @property
    def folder(self) -> Path | None:
        return next((each.path for each in self.listeners if isinstance(each, RunFolder)), None)

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        with ExitStack() as stack:
            for listener in self.listeners:
                stack.enter_context(listener.running(plan))
            yield

    def take(self, stage: str, make: Callable[[Progress], Result]) -> Result:
        """The result of a stage, recalled or computed."""
        for listener in self.listeners:
            listener.started(stage)
        known = (listener.recall(stage) for listener in self.listeners)
        result, seconds = next((each for each in known if each is not None), None), None
        if result is None:
            began = perf_counter()
            result = make(lambda done, total: self._progressed(stage, done, total))
            seconds = perf_counter() - began
        for listener in self.listeners:
            listener.finished(stage, result, seconds)
        return result

    def end(self, plan: Plan, finding: Finding) -> None:
        for listener in self.listeners:
            listener.ended(plan, finding)

    def _progressed(self, stage: str, done: int, total: int) -> None:
        for listener in self.listeners:
            listener.progressed(stage, done, total)
