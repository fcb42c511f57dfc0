"""Experiment: a model on a task, with all settings that the results depend on."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack

import torch

from circuitsearch.ablation import Ablation, Resample
from circuitsearch.averaging import Averaging
from circuitsearch.batch import Batch
from circuitsearch.distributed import ALONE, World
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import check_fit, verified
from circuitsearch.engine.working_memory import DEFAULT_MEMORY, WorkingMemory
from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.graph import Graph
from circuitsearch.journal import Journal, beside
from circuitsearch.metric_contract import check_metric, check_metric_suits, metric_digest
from circuitsearch.metrics import metric_name
from circuitsearch.models.describe import Described
from circuitsearch.own_folder import own_file
from circuitsearch.progress import Progress, part, silent
from circuitsearch.registry import ABLATIONS, GRANULARITIES, METHODS
from circuitsearch.saved_state import SavedState
from circuitsearch.scores import Agreement, AnyMethod, Ranker, Rechecking, Scores
from circuitsearch.setup import Setup, Spec, versions
from circuitsearch.task import Task


class Found(Protocol):
    """Scores or a circuit of an earlier experiment."""

    @property
    def graph(self) -> Graph:
        """The graph of its edges."""
        ...

    @property
    def setup(self) -> Setup | None:
        """The settings of that experiment, if they are known."""
        ...


class Settings(TypedDict, total=False):
    """Settings of an experiment, and of all functions that take a model and a task; see :class:`Experiment`."""

    ablation: Ablation | str
    granularity: Granularity | str
    memory: int
    seed: int
    world: World


@dataclass(frozen=True, eq=False)
class Experiment:
    """A model on a task, with what ablated edges carry and what counts as a node.

    The model is verified when the experiment is made, and the clean and corrupt prompts are run once for everything that is
    measured. Functions that take a model also take an experiment, and use its settings.

    Parameters
    ----------
    model
        A Hugging Face causal language model, as from ``cs.load`` or ``from_pretrained``, in evaluation mode.
    task : Task
        Prompts and metric.
    ablation : Ablation or str
        What an ablated edge carries; the corrupt prompt's value by default.
    granularity : Granularity or str
        What counts as a node; every head and every MLP, over all positions, by default.
    memory : int
        Bytes of working memory beside the interpreter and the model, for this experiment and all that are made from it together.
        Results do not depend on it.
    seed : int
        Seed of splits, controls and intervals.
    world : World
        The processes that share the work, each of which makes this experiment; see :func:`circuitsearch.distributed.world`.

    Attributes
    ----------
    described : Described
        The verified model with its parts named.

    Raises
    ------
    InputError
        If the model's family is unknown, the model cannot be verified, the task does not fit the model, the granularity does not
        fit them, or the metric does not return one number for each prompt.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> search, held_out = cs.Experiment(model, cs.tasks.induction(tokenizer, n=8), ablation="mean").split()
    >>> search.score("eap")
    Scores('induction', EAP(), 1519 edges, logit_diff, n=4)
    """

    model: Any
    task: Task
    ablation: Ablation = field(default_factory=Resample)
    granularity: Granularity = WHOLE
    memory: int = DEFAULT_MEMORY
    seed: int = 0
    world: World = ALONE
    described: Described = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ablation", ABLATIONS.read(self.ablation))
        object.__setattr__(self, "granularity", GRANULARITIES.read(self.granularity))
        _check_kinds(self)
        vars(self)["described"] = verified(self.model, self.task, self.granularity)
        check_metric(self.task.metric, self._first_batch, self._vocabulary_size)

    @classmethod
    def of(cls, model: Any, task: Task, like: Found | None = None, **settings: Unpack[Settings]) -> Experiment:
        """Make an experiment from a function's arguments; settings that are not given are those of ``like``.

        Raises
        ------
        InputError
            If a setting is unknown, or differs from that of ``like`` or of the experiment that is given as the model.
        """
        for name in settings:
            if name not in Settings.__annotations__:
                raise unknown("setting", name, Settings.__annotations__)
        if isinstance(model, Experiment):
            if settings:
                raise InputError(f"the experiment has settings of its own: leave out {', '.join(settings)}")
            made = model.on(task)
        else:
            made = cls(model, task, **{**_found_with(like, settings), **settings})  # pyright: ignore[reportArgumentType]
        if like is not None:
            made._check_agrees(like)
        return made

    def on(self, task: Task) -> Experiment:
        """The same experiment on other prompts; the model is not verified again."""
        if task is self.task:
            return self
        other = self._with(task=task)
        check_fit(self.described, task)
        check_metric(task.metric, other._first_batch, self._vocabulary_size)
        return other

    def seeded(self, seed: int) -> Experiment:
        """The same experiment with another seed; the model is not verified again."""
        return self._with(seed=seed)

    def ablating(self, ablation: Ablation | str) -> Experiment:
        """The same experiment, in which ablated edges carry something else; the model is not verified again."""
        return self._with(ablation=ABLATIONS.read(ablation))

    def with_nodes(self, granularity: Granularity | str) -> Experiment:
        """The same experiment with other nodes; the model is verified again for them."""
        other = replace(self, granularity=GRANULARITIES.read(granularity))
        vars(other)["working_memory"] = self.working_memory
        return other

    def _with(self, **changed: Any) -> Experiment:
        other = copy(self)
        for made_of_them in ("evaluator", "setup"):
            vars(other).pop(made_of_them, None)
        vars(other).update(changed, working_memory=self.working_memory)
        _check_kinds(other)
        return other

    def split(self, fraction: float = 0.5) -> tuple[Experiment, Experiment]:
        """The experiment on two parts of its prompts: see :meth:`circuitsearch.Task.split`."""
        first, second = self.task.split(fraction, self.seed)
        return self.on(first), self.on(second)

    def __repr__(self) -> str:
        kind = type(self.described.model).__name__
        return f"Experiment({kind}, {self.task!r}, {Spec.of(self.ablation)}, {Spec.of(self.granularity)}, seed={self.seed})"

    # ---- its parts

    @property
    def graph(self) -> Graph:
        """Writers, readers and edges."""
        return self.described.graph

    @cached_property
    def evaluator(self) -> Evaluator:
        """Runs the model and its circuits on the prompts."""
        return Evaluator(self.described, self.task, self.ablation, self.working_memory, self.world)

    @cached_property
    def working_memory(self) -> WorkingMemory:
        """How ``memory`` is divided; all experiments that are made from this one share it."""
        return WorkingMemory(self.memory)

    @cached_property
    def setup(self) -> Setup:
        """All settings as data, with digests of the model and the prompts."""
        task = self.task
        return Setup(
            weights=self.described.weights_sha256,
            config=self.described.config_sha256,
            dtype=str(self.described.dtype).removeprefix("torch."),
            task=task.name,
            n=len(task),
            prompts_sha256=task.digest(self.granularity.spans),
            prompts=task.prompt_digests(),
            metric=metric_name(task.metric),
            metric_sha256=metric_digest(task.metric, self._first_batch, self._vocabulary_size),
            ablation=Spec.of(self.ablation),
            granularity=Spec.of(self.granularity),
            seed=self.seed,
            versions=versions(),
        )

    @property
    def _first_batch(self) -> Batch:
        return next(self.task.batches())

    @property
    def _vocabulary_size(self) -> int:
        return self.described.vocabulary_size

    def _check_agrees(self, like: Found) -> None:
        """Raise an InputError that names both values where a setting differs from that of an earlier experiment."""
        if like.setup is not None:
            own, earlier = self.setup, like.setup
            for name, content in (("ablation",) * 2, ("granularity",) * 2, ("metric", "metric_sha256")):
                if getattr(own, content) != getattr(earlier, content):
                    asked, found = (_SAID[name](getattr(setup, name)) for setup in (own, earlier))
                    raise InputError(
                        f"{_named(like)} made with {name} {shortened(found)}, and you ask for {shortened(asked)}: use one of"
                        " them throughout"
                    )
        if like.graph != self.graph:
            raise InputError(
                f"{_named(like)} made on {shortened(like.graph, 90)}, the model has"
                f" {shortened(self.graph, 90)}: give the model that it was made with"
            )

    # ---- scoring

    def score(
        self,
        method: AnyMethod | str,
        *,
        journal: str | Path | None = None,
        progress: Progress = silent,
    ) -> Scores:
        """Score every edge: see :func:`score`."""
        chosen: Any = METHODS.read(method)
        check_metric_suits(self.task.metric, chosen, self._first_batch, self._vocabulary_size)
        setup = self.setup.model_copy(update={"method": Spec.of(chosen)})
        if isinstance(chosen, Ranker):
            with own_file(beside(journal, type(chosen).__name__.lower()), self.world) as file:
                return Scores(self.graph, chosen.rank(self, progress, SavedState(file, setup.identity)), setup)
        with own_file(journal, self.world) as file:
            average = Averaging(self.evaluator, self.world, Journal(file, setup.identity()))
            return self._averaged(chosen, setup, average, progress)

    def _averaged(self, chosen: Any, setup: Setup, average: Averaging, progress: Progress) -> Scores:
        if not isinstance(chosen, Rechecking):
            return Scores(self.graph, average(chosen, progress), setup)
        estimate = average(chosen.first, part(progress, 0, 2))
        measured = average(chosen.second(self.graph, estimate), part(progress, 1, 2))
        both = self.graph.mask & ~measured.isnan()
        agreement = Agreement.between(estimate[both], measured[both])
        return Scores(self.graph, torch.where(both, measured, estimate), setup, estimate, agreement)


def score(
    model: Any,
    task: Task,
    method: AnyMethod | str,
    *,
    journal: str | Path | None = None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Scores:
    """Score every edge of a model's graph on a task.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`Experiment`.
    task : Task
        Prompts and metric.
    method : Method or str
        ``EAP()``, ``EAPIG(steps=5)``, ``Exact()``, ``"eap-ig"``, ``"Recheck(k=200)"`` ...
    journal : path, optional
        A file that keeps the exact effects measured so far, from which a killed run continues. Of other methods, a file beside it keeps
        the sum over the prompts so far, or the state of the training. They stay when the scores are finished.
    progress : callable
        Called with (steps done, steps in all); a step is a percent of the work on one prompt.
    **settings
        ``ablation``, ``granularity``, ``memory``, ``seed``: see :class:`Experiment`.

    Returns
    -------
    Scores
        How much the metric falls when an edge is ablated, for every edge: positive supports the behaviour. Of learned rankings
        and ensembles strengths, which have no sign.

    Raises
    ------
    InputError
        As :class:`Experiment`; or if the method is unknown, or does not work with the task's metric.

    Notes
    -----
    Scores do not depend on the memory, on the prompts' order, or on how they are batched; those of learned rankings may, within what
    their training leaves open.
    """
    return Experiment.of(model, task, **settings).score(method, journal=journal, progress=progress)


def _check_kinds(experiment: Experiment) -> None:
    if not isinstance(experiment.task, Task):
        raise InputError(
            f"the task must be a Task, not {shortened(repr(experiment.task))}: make one with cs.tasks.ioi(tokenizer),"
            " cs.Task.from_file or cs.Task.from_ids"
        )
    for name, least in (("memory", 1), ("seed", 0)):
        value = getattr(experiment, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(
                f"the experiment's {name} must be an integer of {least} or more, not {shortened(repr(value))}"
            )


_SAID: dict[str, Callable[[Any], str]] = {
    "ablation": lambda spec: spec.typed,
    "granularity": GRANULARITIES.in_words,
    "metric": str,
}


def _named(like: Found) -> str:
    return "the scores were" if isinstance(like, Scores) else "the circuit was"


def _found_with(like: Found | None, given: Settings) -> Settings:
    """The ablation and the granularity of an earlier result, where none is given."""
    if like is None:
        return {}
    found: Settings = {"granularity": like.graph.granularity}
    if like.setup is not None and "ablation" not in given:
        if not like.setup.ablation.is_whole:
            raise InputError(
                f"{_named(like)} made with {like.setup.ablation}, which contains prompts: give it again, as"
                " ablation=Mean(reference=...)"
            )
        found["ablation"] = ABLATIONS.rebuild(like.setup.ablation)
    return found
