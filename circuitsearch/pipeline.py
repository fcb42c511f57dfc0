"""``find``: from a model and a task to a circuit and the evidence for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar, Unpack

from circuitsearch import search
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import RATIO, Average
from circuitsearch.finding import Finding, Listener, Plan
from circuitsearch.library.keeper import Keeper
from circuitsearch.loading import load
from circuitsearch.methods import Recheck
from circuitsearch.own_folder import own_folder
from circuitsearch.progress import Progress, silent
from circuitsearch.progress_bar import ProgressBar
from circuitsearch.question import N_PROMPTS, named_file
from circuitsearch.registry import CHECKS, FAITHFULNESS, METHODS, TASKS
from circuitsearch.run import MANIFEST, RunFolder
from circuitsearch.scores import AnyMethod, Scores
from circuitsearch.search import Complete, Refine
from circuitsearch.target import check_target
from circuitsearch.task import Task
from circuitsearch.tasks.defined import SUFFIX as TEMPLATES
from circuitsearch.tasks.defined import from_template
from circuitsearch.validation import Check, Report, behaviour, validate

Result = TypeVar("Result")

PARTS = (0.5, 0.25, 0.25)  # of the prompts: to choose edges, to decide which circuit is returned, to test it
EXTENDED = (
    (2, 128),
    (4, 256),
)  # times all prompts, and at most, that a task which writes prompts gives to the last two
METHOD = "eap-ig"
SCORED = 48  # prompts, at most, on which edges are scored: scores only choose where the search starts
FORWARDS = 80  # of the selection prompts that a run with the defaults costs, about, on real models: docs/benchmarks.md


def find(
    model: Any,
    task: Task | str | Path,
    faithfulness: float = 0.9,
    *,
    method: AnyMethod | str = METHOD,
    recheck: int = 0,
    faithfulness_of: Average | str = RATIO,
    starts: Sequence[AnyMethod | str] = (),
    checks: Sequence[Check | str] = (),
    refine: Refine | None = None,
    complete: Complete | bool = False,
    minutes: float | None = None,
    out: str | Path | None = None,
    library: str | Path | None = None,
    tokenizer: Any = None,
    listeners: Sequence[Listener] | None = None,
    **settings: Unpack[Settings],
) -> Finding:
    """Find the circuit of a task: score every edge, search the smallest circuit, and test it on held-out prompts.

    Half of the prompts choose edges, a quarter decide which circuit is returned, and a quarter test it; each part has groups of its
    own. A task that writes its prompts gives every pass of the search new ones, and more prompts to decide and to test.

    Parameters
    ----------
    model
        A Hugging Face causal language model, an :class:`Experiment`, or a name or folder as for :func:`circuitsearch.load`.
    task : Task, str or path
        Prompts, the name of a task, or a file: of templates (TOML, docs/tasks.md) or of rows (docs/data.md). If all prompts are in one
        group, none are held out, and the report says so.
    faithfulness : float
        The target, in (0, 1]: the circuit's faithfulness must be within 1 - target of 1, on either side.
    method : Method or str
        How edges are scored, for the start of the search.
    recheck : int
        Number of the strongest edges that are then measured exactly.
    faithfulness_of : Average or str
        ``"ratio"``, the ratio of means over prompts, or ``"prompt"``, the mean of the bounded faithfulness of each prompt.
    starts : sequence of Method or str
        Further methods: the circuit is searched for again from the ranking of each, and the smallest one is kept.
    checks : sequence of Check or str
        Further checks of the circuit, as for :func:`circuitsearch.validate`.
    refine : Refine, optional
        How the circuit is searched for.
    complete : Complete or bool
        Whether, and how, the circuit is completed by what can take the place of its edges and what opposes it: see
        :func:`circuitsearch.complete`. Not if the time is over before.
    minutes : float, optional
        The search ends after about this time with the best circuit so far; the same call with ``out`` goes on from there.
    out : path, optional
        A folder for figures, report, page and all that reproduces them. Finished results in it are reused.
    library : path, optional
        A :class:`circuitsearch.Library` in which the run is kept when it ends.
    tokenizer : optional
        The model's tokenizer, for a named task, a file and the page; for a named model it is loaded with the model.
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
    >>> finding = find(model, tasks.induction(tokenizer, n=8), recheck=0, refine=Refine(passes=1))
    >>> len(finding.circuit) < 40
    True
    """
    plan = replace(
        planned(model, task, faithfulness, method, recheck, tokenizer, settings),
        average=FAITHFULNESS.read(faithfulness_of),
        starts=tuple(METHODS.read(each) for each in starts),
        checks=tuple(CHECKS.read(each) for each in checks),
        refine=refine or Refine(),
        complete=Complete() if complete is True else complete or None,
        minutes=minutes,
    )
    told = [ProgressBar()] if listeners is None else list(listeners)
    kept = [] if library is None or not plan.whole.world.first else [Keeper(library)]
    with nullcontext() if out is None else own_folder(Path(out), plan.whole.world, MANIFEST) as folder:
        written = [] if folder is None else [RunFolder(folder)]
        return _run(plan, _Stages([*written, *told, *kept]))  # written before others get it; kept when it is complete


def _run(plan: Plan, stages: _Stages) -> Finding:
    """All stages."""
    with stages.running(plan):
        measured = stages.take(
            "behaviour", lambda progress: behaviour(plan.whole, plan.whole.task, tokenizer=plan.tokenizer)
        )
        measured.check()
        plan.whole.evaluator.release()
        scores = stages.take(
            "scores",
            lambda progress: scored_on(plan.selection).score(plan.method, journal=stages.journal, progress=progress),
        )
        circuit = stages.circuit(plan, scores)
        circuit = replace(circuit, scores=scores.values)  # a circuit's file has the scores of its own edges only
        report = stages.take("report", lambda progress: _evidence(plan, circuit, stages.steps, progress))
        finding = Finding(measured, scores, circuit, report, stages.folder)
        for part in (plan.selection, plan.stopping, plan.held_out):
            part.evaluator.release()  # figures and page take memory of their own
        stages.end(plan, finding)
    return finding


def _evidence(plan: Plan, circuit: Circuit, steps: Path | None, progress: Progress) -> Report:
    """The report on held-out prompts, with what the circuit keeps on new names, new templates ..."""
    return validate(
        plan.held_out,
        circuit,
        plan.held_out.task,
        selection=plan.selection,
        checks=plan.checks,
        checkpoint=steps,
        progress=progress,
    )


def _completed(plan: Plan, minimal: Circuit, steps: Path | None, progress: Progress) -> Circuit:
    """The minimal circuit with what can take the place of its edges; as it is, if the time was over before it was found."""
    if minimal.history is not None and not minimal.history.complete:
        return minimal
    return search.complete(
        plan.selection, plan.selection.task, minimal, plan.faithfulness,
        how=plan.complete, of=plan.average, checkpoint=steps, progress=progress,
    )  # fmt: skip


def planned(
    model: Any,
    task: Task | str | Path,
    faithfulness: float,
    method: AnyMethod | str,
    recheck: int,
    tokenizer: Any,
    settings: Settings,
) -> Plan:
    """Check the arguments and make the experiments; nothing slow is run."""
    check_target(faithfulness)
    chosen: Any = METHODS.read(method)
    if isinstance(model, str | Path):
        model, tokenizer = load(model)
    whole = Experiment.of(model, _task(task, tokenizer, settings.get("seed", 0)), **settings)
    selection, stopping, held_out = (whole.on(part) for part in parts(whole.task, whole.seed))
    scored_by: Any = Recheck(chosen, recheck) if recheck else chosen
    return Plan(whole, selection, stopping, held_out, scored_by, faithfulness, tokenizer=tokenizer)


def circuit_of(plan: Plan, checkpoint: Path | None = None) -> Circuit:
    """The circuit that :func:`find` returns, without the evidence for it; with a checkpoint, an interrupted search goes on."""
    scores = scored_on(plan.selection).score(plan.method)
    return _searched(plan, scores, checkpoint, lambda circuit: None, silent)


def _searched(
    plan: Plan, scores: Scores, checkpoint: Path | None, passed: Callable[[Circuit], object], progress: Progress
) -> Circuit:
    scored = scored_on(plan.selection)
    return search.refine(
        plan.selection,
        plan.selection.task,
        scores,
        plan.stopping,
        plan.faithfulness,
        starts=[scored.score(each) for each in plan.starts],
        how=plan.refine,
        of=plan.average,
        minutes=plan.minutes,
        checkpoint=checkpoint,
        passed=passed,
        progress=progress,
    )


def scored_on(selection: Experiment) -> Experiment:
    """The experiment on some of its prompts, evenly from all of them, since prompts of one group may stand together."""
    task = selection.task
    n = min(len(task), SCORED)
    return selection.on(task.subset([len(task) * row // n for row in range(n)]))


def parts(task: Task, seed: int) -> tuple[Task, Task, Task]:
    """The prompts that choose edges, that decide which circuit is returned, and that test it."""
    if len(set(task.split_groups)) == 1:
        return task, task, task
    if task.n_distinct < len(PARTS):
        selection, held_out = task.split(0.5, seed)
        return selection, selection, held_out
    selection, *others = task.parts(PARTS, seed)
    stopping, held_out = (
        at_least(part, min(times * len(task), most), seed) for part, (times, most) in zip(others, EXTENDED, strict=True)
    )
    return selection, stopping, held_out


def at_least(task: Task, n: int, seed: int) -> Task:
    """The task with so many prompts, if it can write more."""
    if task.writer is None or len(task) >= n:
        return task
    return task.writer.draw(n, seed, at_most=True)


def _task(task: Task | str | Path, tokenizer: Any, seed: int) -> Task:
    if not isinstance(task, str | Path):
        return task
    file = named_file(str(task))
    if file is not None and file.suffix != TEMPLATES:
        return Task.from_file(file, tokenizer)
    if tokenizer is None:
        raise InputError(f"the task {str(task)!r} needs the model's tokenizer: give tokenizer=...")
    if file is not None:
        return from_template(file, tokenizer, n=N_PROMPTS, seed=seed)
    return TASKS.read(str(task))(tokenizer, n=N_PROMPTS, seed=seed)


@dataclass(frozen=True)
class _Stages:
    """Runs the stages one after another, and calls the listeners."""

    listeners: list[Listener]

    @property
    def journal(self) -> Path | None:
        return next((each.journal for each in self.listeners if each.journal is not None), None)

    @property
    def checkpoint(self) -> Path | None:
        return next((each.checkpoint for each in self.listeners if each.checkpoint is not None), None)

    @property
    def steps(self) -> Path | None:
        return next((each.steps for each in self.listeners if each.steps is not None), None)

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

    def circuit(self, plan: Plan, scores: Scores) -> Circuit:
        """The circuit that is returned: the one that the search finds, completed if that was asked for."""
        if plan.complete is None:
            return self.take("circuit", lambda progress: self.search(plan, scores, progress))
        minimal = self.take("minimal", lambda progress: self.search(plan, scores, progress))
        return self.take("circuit", lambda progress: _completed(plan, minimal, self.steps, progress))

    def search(self, plan: Plan, scores: Scores, progress: Progress) -> Circuit:
        """The circuit, searched from where an earlier run was interrupted; scores of further starts are computed again."""
        return _searched(plan, scores, self.checkpoint, self._passed, progress)

    def _passed(self, circuit: Circuit) -> None:
        for listener in self.listeners:
            listener.passed(circuit)

    def end(self, plan: Plan, finding: Finding) -> None:
        for listener in self.listeners:
            listener.ended(plan, finding)

    def _progressed(self, stage: str, done: int, total: int) -> None:
        for listener in self.listeners:
            listener.progressed(stage, done, total)
