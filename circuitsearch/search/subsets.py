"""All subsets of a small circuit: the smallest one that is faithful, or a bound of its size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.progress import Progress, silent
from circuitsearch.reachability import components
from circuitsearch.target import check_target, reaches
from circuitsearch.task import Task

SUBSET = "subset-minimal"
MOST_EDGES = 24  # sets of edges are numbered, 2^24 at once
AT_ONCE = 512  # circuits that are run together


@dataclass(frozen=True)
class SmallestSubset:
    """The smallest faithful subset of a circuit's edges, as far as it is known.

    Attributes
    ----------
    target : float
        The faithfulness to reach.
    n_edges, faithfulness : int, float
        Of the circuit.
    smallest : Circuit, optional
        The smallest faithful subset of its edges: the circuit itself if no proper subset is. None if there is no faithful one, or none
        is known.
    smallest_faithfulness : float, optional
        Of that subset.
    lower_bound : int
        A faithful subset has at least that many edges; one more than the circuit has if there is none.
    runs : int
        How many subsets were run.
    total : int
        How many proper subsets have every edge on a path from ``embed`` to ``logits``; no other one can differ from all of these.
    complete : bool
        Whether all subsets smaller than the smallest one were run.
    """

    target: float
    n_edges: int
    faithfulness: float
    smallest: Circuit | None
    smallest_faithfulness: float | None
    lower_bound: int
    runs: int
    total: int
    complete: bool

    @property
    def kind(self) -> str:
        """``"subset-minimal"`` (2410.08025) if the circuit reaches the target and no proper subset of its edges does; else empty."""
        return SUBSET if self.complete and self.smallest is not None and len(self.smallest) == self.n_edges else ""

    def __str__(self) -> str:
        ran = f"{self.runs:,} of its {self.total:,} subsets were run"
        missed = (
            ""
            if reaches(self.faithfulness, self.target)
            else f"; its own faithfulness, {self.faithfulness:.3f}, is not within the target"
        )
        if not self.complete:
            return f"lower bound: {ran}, none of which reaches {self.target:.3f}, so a faithful one has at least {self.lower_bound} of its {self.n_edges} edges{missed}"
        if self.kind:
            return f"{SUBSET}: all {self.total:,} of its subsets were run, and none reaches {self.target:.3f}"
        if self.smallest is None:
            return f"all {self.total:,} of its subsets were run, and none reaches {self.target:.3f}{missed}"
        return f"not {SUBSET}: {len(self.smallest)} of its {self.n_edges} edges have faithfulness {self.smallest_faithfulness:.3f}, and no fewer reach {self.target:.3f} ({ran}){missed}"


def smallest_subset(
    model: Any,
    task: Task,
    circuit: Circuit,
    faithfulness: float | None = None,
    *,
    runs: int = 10_000,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> SmallestSubset:
    """Find the smallest subset of a circuit's edges that reaches a faithfulness, by running subsets, the smallest ones first.

    Only subsets are run of which every edge is on a path from ``embed`` to ``logits``; any other set of edges does what such a one does.
    If there is no proper one, the circuit is subset-minimal (Adolfi et al. 2410.08025): no set of its edges can be removed, where
    a certificate says so of single edges. A smaller circuit of other edges may still exist.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts to measure on; those of the circuit's certificate, if it is to be confirmed.
    circuit : Circuit
        Of at most 24 edges.
    faithfulness : float, optional
        The target, in (0, 1], on either side of 1; by default that of the circuit's certificate or search.
    runs : int
        Of how many subsets at most. If they end before the question is decided, the result is a lower bound.
    progress : callable
        Called with (subsets run, subsets to run at most).
    **settings
        As of :class:`circuitsearch.Experiment`; what is not given is as the circuit was found with.

    Raises
    ------
    InputError
        If the circuit has no or too many edges, ``runs`` is below 1, no target is known, or the model does not do the task.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> task = cs.tasks.induction(tokenizer, n=8)
    >>> circuit = cs.minimal(model, task, cs.score(model, task, cs.EAP()), faithfulness=0.8)
    >>> cs.smallest_subset(model, task, circuit).kind
    'subset-minimal'
    """
    target = target_of(circuit) if faithfulness is None else faithfulness
    if target is None:
        raise InputError("the circuit was not found for a target: give the faithfulness that a subset is to reach")
    check_target(target)
    if runs < 1:
        raise InputError(f"1 subset or more must be run, not {runs}: change runs")
    measure = Faithfulness(Experiment.of(model, task, circuit, **settings))
    return _Subsets(circuit.pruned(), measure, target).smallest(runs, progress)


def target_of(circuit: Circuit) -> float | None:
    """The faithfulness that a circuit was found for, by its certificate or its history."""
    known = circuit.certificate or circuit.history
    return None if known is None else known.target


def pruned_subsets(graph: Graph, mask: Tensor) -> np.ndarray:
    """The non-empty subsets of a circuit's n edges, each a set of paths from ``embed`` to ``logits``, the smallest first.

    Parameters
    ----------
    mask : Tensor
        Boolean (U, V), of at most 24 edges.

    Returns
    -------
    ndarray
        (S,) numbers, bit i of which stands for edge i in the order of ``mask.nonzero()``.
    """
    edges = mask.nonzero().tolist()  # by writer: an edge comes after those into its writer's ports
    before, after = _neighbours(graph, edges)
    subsets = np.arange(1 << len(edges), dtype=np.uint32)
    numbers = range(len(edges))
    on_paths = _joined(subsets, before, numbers) & _joined(subsets, after, reversed(numbers))
    found = subsets[(on_paths == subsets) & (subsets > 0)]
    return found[_sizes(found, len(edges)).argsort(kind="stable")]


def _joined(subsets: np.ndarray, neighbours: list[int | None], order: Iterable[int]) -> np.ndarray:
    """The edges of each subset (S,) that are joined to an end by others of its edges, all as bits."""
    joined = np.zeros_like(subsets)
    for edge in order:
        here, needed = subsets & (1 << edge), neighbours[edge]
        joined |= here if needed is None else here * ((joined & needed) != 0)
    return joined


def _neighbours(graph: Graph, edges: list[list[int]]) -> tuple[list[int | None], list[int | None]]:
    """For each edge, as bits: the edges into ports that feed its writer, and those from nodes that its reader feeds; None at an end."""
    fed = [{graph.writer_index[node] for node in components(graph, graph.readers[column])} for _, column in edges]

    def bits(chosen: Iterable[bool]) -> int:
        return sum(1 << number for number, is_one in enumerate(chosen) if is_one)

    before = [None if row < graph.per_node else bits(row in each for each in fed) for row, _ in edges]
    after = [bits(row in each for row, _ in edges) if each else None for each in fed]
    return before, after


def _sizes(subsets: np.ndarray, n: int) -> np.ndarray:
    """How many edges each subset (S,) has, of n edges."""
    return sum(((subsets >> edge) & 1 for edge in range(n)), np.zeros_like(subsets))


@dataclass(frozen=True)
class _Subsets:
    """The subsets of a circuit (U, V), run on some prompts."""

    circuit: Circuit
    measure: Faithfulness
    target: float

    def __post_init__(self) -> None:
        n = len(self.circuit)
        if not 1 <= n <= MOST_EDGES:
            raise InputError(
                f"all subsets can be run of a circuit of 1 to {MOST_EDGES} edges on paths to the logits, not of {n}"
            )

    def smallest(self, runs: int, progress: Progress) -> SmallestSubset:
        """The smallest faithful one of the circuit and its first ``runs`` proper subsets."""
        n = len(self.circuit)
        subsets = pruned_subsets(self.circuit.graph, self.circuit.mask)
        proper, own = subsets[:-1], float(self._faithfulness(subsets[-1:]))
        ran, found = self._first_faithful(proper[:runs], progress)
        whole = (self.circuit, own) if reaches(own, self.target) else (None, None)
        smallest, value = whole if found is None else (self._circuit(proper[found[0]]), found[1])
        possible = proper[
            ran if found is None else found[0] :
        ]  # the smallest that may be faithful is the first of these
        bound = int(_sizes(possible[:1], n)[0]) if len(possible) else n + (smallest is None)
        complete = found is not None or len(possible) == 0
        return SmallestSubset(self.target, n, own, smallest, value, bound, ran, len(proper), complete)

    def _first_faithful(self, subsets: np.ndarray, progress: Progress) -> tuple[int, tuple[int, float] | None]:
        """How many of the subsets (S,) were run, and the place and the faithfulness of the first that reaches the target."""
        ran = 0
        while ran < len(subsets):
            some = subsets[ran : ran + AT_ONCE]
            values = self._faithfulness(some)
            good = reaches(values, self.target).nonzero().flatten().tolist()
            before, ran = ran, ran + len(some)
            progress(ran, len(subsets))
            if good:
                return ran, (before + good[0], float(values[good[0]]))
        return ran, None

    def _faithfulness(self, subsets: np.ndarray) -> Tensor:
        """Of each subset: (S,)."""
        return self.measure(self._masks(subsets))

    def _masks(self, subsets: np.ndarray) -> Tensor:
        """Masks (S, U, V) of some subsets (S,)."""
        rows, columns = self.circuit.mask.nonzero().unbind(1)
        masks = torch.zeros(len(subsets), *self.circuit.mask.shape, dtype=torch.bool)
        bits = (subsets[:, None] >> np.arange(len(rows), dtype=np.uint32)) & 1
        masks[:, rows, columns] = torch.from_numpy(bits.astype(bool))
        return masks

    def _circuit(self, subset: np.uint32) -> Circuit:
        """A subset as a circuit, with the scores of the whole."""
        return Circuit(self.circuit.graph, self._masks(np.array([subset]))[0], self.circuit.scores)
