"""Scores: one number per edge, and the protocol of the methods that compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch
from safetensors.torch import save_file
from torch import Tensor

from circuitsearch import show
from circuitsearch.distributed import ALONE, World
from circuitsearch.engine.pair import Pair
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import STRICT, Number, checking, parse_json, read_safetensors, to_json, write_whole
from circuitsearch.graph import Graph
from circuitsearch.journal import Journal
from circuitsearch.progress import Progress
from circuitsearch.registry import METHODS
from circuitsearch.saved_state import SavedState
from circuitsearch.setup import MadeWith, Setup

if TYPE_CHECKING:
    from circuitsearch.experiment import Experiment


@dataclass(frozen=True)
class Work:
    """Where a long-running method writes its measurements and reports its progress.

    Attributes
    ----------
    journal : Journal
        Keeps the measurement of each edge.
    tick : callable
        Called with the share of the work on one pair that is done.
    world : World
        The processes that share edges.
    """

    journal: Journal = field(default_factory=Journal)
    tick: Callable[[float], None] = lambda share: None
    world: World = ALONE


@runtime_checkable
class Method(Protocol):
    """A method that scores edges: a frozen dataclass of its options."""

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V), zero where there is no edge."""
        ...


@runtime_checkable
class SharingEdges(Method, Protocol):
    """A method whose edges are shared by the processes of a run, not the prompts: each process has the effects of all edges."""

    shares_edges: ClassVar[bool]


@runtime_checkable
class Rechecking(Protocol):
    """A method that scores every edge by a first method, and then replaces some scores by those of a second method."""

    @property
    def first(self) -> Method:
        """The method that scores every edge."""
        ...

    def second(self, graph: Graph, estimate: Tensor) -> Method:
        """The method that scores some edges again, chosen by the estimate (U, V)."""
        ...


@runtime_checkable
class Ranker(Protocol):
    """A method that ranks edges by all prompts together, such as one that is trained on them.

    Its scores are strengths of 0 or more, the strongest edge the largest. They are no effects: they have neither the metric's unit
    nor a sign.
    """

    def rank(self, experiment: Experiment, progress: Progress, state: SavedState) -> Tensor:
        """Strength of each edge: (U, V), float64, on the CPU, zero where there is no edge.

        Work that takes long keeps its state, and goes on from it.
        """
        ...


AnyMethod = Method | Rechecking | Ranker


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
class Scores(MadeWith):
    """How much the metric falls when an edge is ablated, as a method estimates it: positive supports the behaviour.

    Those of learned rankings and ensembles (:class:`Ranker`) are strengths instead, without unit and sign.

    Attributes
    ----------
    graph : Graph
        Names and order of writers and readers.
    values : Tensor
        (U, V), float64, on the CPU, in the metric's own unit, averaged over prompts, or strengths; zero where there is no edge,
        NaN where an edge was not scored.
    setup : Setup, optional
        What the scores were computed with; scores from another tool have none.
    estimate : Tensor, optional
        (U, V), if some edges were rechecked: every edge's score before that.
    agreement : Agreement, optional
        Of the estimate with the measured effects.
    """

    graph: Graph
    values: Tensor
    setup: Setup | None = None
    estimate: Tensor | None = None
    agreement: Agreement | None = None

    def __getitem__(self, edge: tuple[str, str]) -> float:
        """One edge's effect, the nodes in any tool's spelling: ``scores["a0.h1", "a2.h3<q>"]``."""
        return float(self.values[self.graph.find_edge(edge)])

    def __len__(self) -> int:
        """Number of edges that have a score."""
        return int(self.scored.sum())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The (writer, reader) of every edge that has a score, in the stream's order of readers."""
        return iter(self.graph.edges(self.scored))

    @property
    def are_effects(self) -> bool:
        """Whether they are estimated effects, with the metric's unit and a sign; those of other tools are taken for such."""
        return are_effects(self.setup)

    @property
    def scored(self) -> Tensor:
        """Which edges have a score: boolean (U, V)."""
        return self.graph.mask & ~self.values.isnan()

    def ranking(self) -> Tensor:
        """Scored edges as (E, 2) rows and columns, strongest magnitude first; ties are in the order of the stream."""
        return ranking(self.graph, self.values)

    def rankings(self) -> list[Tensor]:
        """The ranking and, if edges were rechecked, also that of the estimate: (E, 2) each."""
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

    def to_dataframe(self) -> Any:
        """A pandas data frame with a row ``writer, reader, score`` for every scored edge, the strongest magnitude first.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        try:
            import pandas  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
        except ImportError:
            raise InputError("a data frame needs pandas: pip install pandas, or use to_dict() or top()") from None
        return pandas.DataFrame(self.top(len(self)), columns=["writer", "reader", "score"])

    def save(self, path: str | Path) -> None:
        """Write a safetensors file with the values and, as its metadata, everything else."""
        about = {
            "graph": asdict(self.graph),
            "setup": None if self.setup is None else self.setup.model_dump(mode="json"),
            "agreement": None if self.agreement is None else asdict(self.agreement),
        }
        metadata = {"scores": to_json(about)}
        tensors = {"values": self.values.contiguous()}
        if self.estimate is not None:  # copied, since the file takes no tensors that share memory
            tensors["estimate"] = self.estimate.clone(memory_format=torch.contiguous_format)
        write_whole(path, lambda part: save_file(tensors, part, metadata))

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
        return f"Scores({self.task!r}, {self.method}, {len(self)} edges, {self.metric}, n={self.n})"


@dataclass(frozen=True)
class _About:
    """What a file of scores holds beside its tensors."""

    __pydantic_config__ = STRICT

    graph: Graph
    setup: Setup | None = None
    agreement: Agreement | None = None


def _check_tensor(name: str, tensor: Tensor | None, shape: tuple[int, int]) -> None:
    """Refuse a tensor that does not hold one score per edge: (U, V)."""
    if name not in ("values", "estimate"):
        raise InputError(f"the tensor {shortened(repr(name))} does not belong in a file of scores")
    if tensor is None or tensor.dtype != torch.float64 or tensor.shape != shape:
        found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}".removeprefix("torch.")
        raise InputError(f"the tensor {name!r} must be float64 {list(shape)}, and is {shortened(found)}")


def are_effects(setup: Setup | None) -> bool:
    """Whether the scores of a result are estimated effects, not a ranker's strengths."""
    method = None if setup is None else setup.method
    return method is None or not METHODS.knows(method.name) or not hasattr(METHODS.load(method.name), "rank")


def ranking(graph: Graph, values: Tensor) -> Tensor:
    """Edges with a score, as (E, 2) rows and columns, strongest magnitude first; ties are in the order of the stream."""
    places = (graph.mask & ~values.isnan()).nonzero()
    strength = values[places[:, 0], places[:, 1]].abs()
    return places[strength.argsort(descending=True, stable=True)]
