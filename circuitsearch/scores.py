"""Scores: one number an edge, and the verb that computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors.torch import save_file
from torch import Tensor

from circuitsearch import show
from circuitsearch.ablation import Ablation, Resample
from circuitsearch.engine.pair import DEFAULT_MEMORY, Pair, pairs
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import STRICT, Number, checking, parse_json, read_safetensors, to_json, write_whole
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.graph import Graph
from circuitsearch.journal import Journal
from circuitsearch.metric_contract import check_metric_suits, metric_digest
from circuitsearch.metrics import metric_name
from circuitsearch.models.digest import weights_sha256
from circuitsearch.task import Task

Progress = Callable[[int, int], None]  # (steps done, steps in all)


@dataclass(frozen=True)
class Work:
    """What a method that works for long writes its measurements to, and reports its progress to.

    Attributes
    ----------
    journal : Journal
        Keeps what is measured edge by edge.
    tick : callable
        Called with the share of the work on one pair that is done.
    """

    journal: Journal = field(default_factory=Journal)
    tick: Callable[[float], None] = lambda share: None


class Method(Protocol):
    """A way to score edges: a frozen dataclass of its knobs."""

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V), zero where there is no edge."""
        ...


@runtime_checkable
class Rechecking(Protocol):
    """A way to score edges twice: by a first method, then some of them by a second, which counts."""

    @property
    def first(self) -> Method:
        """Scores every edge."""
        ...

    def second(self, graph: Graph, estimate: Tensor) -> Method:
        """Scores the edges that it chooses by the estimate (U, V)."""
        ...


@dataclass(frozen=True)
class Agreement:
    """How well an estimate agrees with measured effects, over the edges that were measured.

    Attributes
    ----------
    n : int
        How many edges.
    spearman : float
        Rank correlation, with signs; NaN where either is constant.
    signs : float
        Share of the edges with an effect whose estimate has its sign.
    """

    __pydantic_config__ = STRICT

    n: int
    spearman: Number
    signs: Number

    @classmethod
    def between(cls, estimate: Tensor, truth: Tensor) -> Agreement:
        """Compare two vectors (n,) of scores."""
        from scipy.stats import spearmanr

        effective = truth != 0
        constant = len(truth) < 2 or bool((truth == truth[0]).all() or (estimate == estimate[0]).all())
        spearman = float("nan") if constant else float(spearmanr(estimate.numpy(), truth.numpy())[0])  # pyright: ignore[reportArgumentType]
        signs = (estimate.sign() == truth.sign())[effective].double().mean() if effective.any() else torch.tensor(1.0)
        return cls(len(truth), spearman, float(signs))


@dataclass(frozen=True, eq=False)
class Scores:
    """How much the metric falls when an edge is cut, by the estimate of a method: positive supports the behaviour.

    Attributes
    ----------
    graph : Graph
        Names and order of writers and readers.
    values : Tensor
        (U, V), float64, on the CPU, in the metric's own unit, averaged over prompts; zero where there is no edge,
        NaN where an edge was not scored.
    method, metric, ablation, task : str
        What the scores were computed with.
    n : int
        How many prompts were averaged.
    estimate : Tensor, optional
        (U, V), where some edges were rechecked: every edge's score before that.
    agreement : Agreement, optional
        Of the estimate with the measured effects.
    """

    graph: Graph
    values: Tensor
    method: str
    metric: str
    ablation: str
    task: str
    n: int
    estimate: Tensor | None = None
    agreement: Agreement | None = None

    def __getitem__(self, edge: tuple[str, str]) -> float:
        """One edge's effect, the nodes in any tool's spelling: ``scores["a0.h1", "a2.h3<q>"]``."""
        return float(self.values[self.graph.find_edge(edge)])

    @property
    def scored(self) -> Tensor:
        """Which edges have a score: boolean (U, V)."""
        return self.graph.mask & ~self.values.isnan()

    def ranking(self) -> Tensor:
        """Scored edges as (E, 2) rows and columns, strongest magnitude first; ties go by their place in the stream."""
        return ranking(self.graph, self.values)

    def rankings(self) -> list[Tensor]:
        """The ranking, and where edges were rechecked also that of the estimate: (E, 2) each."""
        return [self.ranking()] + ([] if self.estimate is None else [ranking(self.graph, self.estimate)])

    def top(self, n: int = 20) -> list[tuple[str, str, float]]:
        """Return the n strongest edges by magnitude: (writer, reader, score) each."""
        return [
            (self.graph.writers[row], self.graph.readers[column], float(self.values[row, column]))
            for row, column in self.ranking()[:n].tolist()
        ]

    def to_dict(self) -> dict[str, float]:
        """All scored edges as ``{"a0.h1->a2.h3<q>": 0.12, ...}``."""
        scored = self.scored
        values = self.values.T[scored.T].tolist()
        edges = (f"{writer}->{reader}" for writer, reader in self.graph.edges(scored))
        return dict(zip(edges, values, strict=True))

    def save(self, path: str | Path) -> None:
        """Write a safetensors file with the values and, as its metadata, everything else."""
        about = {name: getattr(self, name) for name in ("method", "metric", "ablation", "task", "n")}
        about |= {"graph": asdict(self.graph), "agreement": None if self.agreement is None else asdict(self.agreement)}
        metadata = {"scores": to_json(about)}
        tensors = {"values": self.values} | ({} if self.estimate is None else {"estimate": self.estimate})
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_whole(path, lambda part: save_file(whole, part, metadata))

    @classmethod
    def load(cls, path: str | Path) -> Scores:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If the file is not one of these.
        """
        what = "a file of scores"
        tensors, metadata = read_safetensors(path, what)
        with checking(path, what):
            about = parse_json(metadata.get("scores", "{}"), _About)
            shape = (len(about.graph.writers), len(about.graph.readers))
            for name in ("values", *(tensors.keys() - {"values"})):
                _check_tensor(name, tensors.get(name), shape)
            return cls(values=tensors["values"], estimate=tensors.get("estimate"), **vars(about))

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def __repr__(self) -> str:
        return f"Scores({self.task!r}, {self.method}, {int(self.scored.sum())} edges, {self.metric}, n={self.n})"


@dataclass(frozen=True)
class _About:
    """What a file of scores holds beside its tensors."""

    __pydantic_config__ = STRICT

    graph: Graph
    method: str
    metric: str
    ablation: str
    task: str
    n: int
    agreement: Agreement | None = None


def _check_tensor(name: str, tensor: Tensor | None, shape: tuple[int, int]) -> None:
    """Refuse what is no score an edge: (U, V)."""
    if name not in ("values", "estimate"):
        raise InputError(f"there is no place for a tensor {shortened(repr(name))}")
    if tensor is None or tensor.dtype != torch.float64 or tensor.shape != shape:
        found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}".removeprefix("torch.")
        raise InputError(f"the tensor {name!r} must be float64 {list(shape)}, and is {shortened(found)}")


def ranking(graph: Graph, values: Tensor) -> Tensor:
    """Edges with a score, as (E, 2) rows and columns, strongest magnitude first; ties go by their place in the stream."""
    places = (graph.mask & ~values.isnan()).nonzero()
    strength = values[places[:, 0], places[:, 1]].abs()
    return places[strength.argsort(descending=True, stable=True)]


def score(
    model: Any,
    task: Task,
    method: Method | Rechecking,
    *,
    granularity: Granularity = WHOLE,
    ablation: Ablation | None = None,
    memory: int = DEFAULT_MEMORY,
    journal: str | Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Scores:
    """Score every edge of a model's graph on a task.

    Parameters
    ----------
    model
        A Hugging Face causal language model, as ``cs.load`` or ``from_pretrained`` gives it, in evaluation mode.
    task : Task
        Prompts, and the metric that is explained.
    method : Method
        ``EAP()``, ``EAPIG(steps=5)``, ``Exact()``, ``Recheck(EAPIG(), k=200)`` ...
    granularity : Granularity
        What counts as a node; every head and every MLP, over all positions, by default.
    ablation : Ablation, optional
        What a cut edge carries; the corrupt prompt's value by default.
    memory : int
        Bytes of working memory beside the model.
    journal : path, optional
        A file that keeps what ``Exact`` has measured, so that a run that is killed goes on from it, to the same bytes.
    progress : callable
        Called with (steps done, steps in all); a step is a percent of the work on one prompt.

    Raises
    ------
    InputError
        If the model's family is unknown, the task does not fit the model, the granularity does not fit either, the metric
        does not suit the method, or the model gives NaN.

    Notes
    -----
    Scores do not depend on the memory, on the prompts' order, or on how they are batched.
    """
    described = verified(model, task, granularity)
    first, vocabulary_size = next(task.batches()).to(described.device), described.model.config.vocab_size
    check_metric_suits(task.metric, method, first, vocabulary_size)
    ablation = ablation or Resample()
    notes = Journal()
    if journal is not None:
        about = _all_that_counts(model, task, method, ablation)
        about["metric"] = metric_digest(task.metric, first, vocabulary_size)
        if granularity != WHOLE:
            about |= {"granularity": repr(granularity), "task": task.digest(granularity.spans)}
        notes = Journal(journal, about)
    estimate, agreement = None, None

    def average(method: Method) -> Tensor:
        return _average(method, pairs(described, task, ablation, memory), len(task), notes, progress)

    if isinstance(method, Rechecking):
        estimate = average(method.first)
        measured = average(method.second(described.graph, estimate))
        both = described.graph.mask & ~measured.isnan()
        agreement = Agreement.between(estimate[both], measured[both])
        values = torch.where(both, measured, estimate)
    else:
        values = average(method)
    return Scores(
        described.graph,
        values,
        repr(method),
        metric_name(task.metric),
        repr(ablation),
        task.name,
        len(task),
        estimate,
        agreement,
    )


def _average(method: Method, batches: Iterator[Pair], n: int, journal: Journal, progress: Progress) -> Tensor:
    """Mean over n prompts of each edge's effect: (U, V), float64, on the CPU."""
    totals: list[Tensor] = []
    done = 0
    for pair in batches:

        def tick(share: float, done: int = done, rows: int = len(pair.batch)) -> None:
            progress(round(100 * (done + share * rows)), 100 * n)

        totals.append(method.effects(pair, Work(journal, tick)).double().cpu())
        done += len(pair.batch)
        progress(100 * done, 100 * n)
    return sum(totals[1:], start=totals[0]) / n


def _all_that_counts(model: Any, task: Task, method: Method | Rechecking, ablation: Ablation) -> dict[str, Any]:
    """All that the numbers of a run depend on."""
    return {
        "weights": weights_sha256(model),
        "dtype": str(model.dtype),
        "task": task.digest(),
        "method": repr(method),
        "ablation": repr(ablation),
    }
