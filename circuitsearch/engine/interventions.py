"""Interventions as differences: the edges that each one changes from the run that it starts from.

Legend of shapes: C interventions, E changed edges, B prompts, U writers, V readers, S spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

import torch
from torch import Tensor

from circuitsearch.graph import Graph

BYTES_AN_EDGE = 160  # of memory that planning takes for a changed edge of the base graph


class State(IntEnum):
    """What an edge carries: the writer's output in this run, its ablated value, or its output in the reference run."""

    KEPT = 0
    ABLATED = 1
    FROZEN = 2


class Asked(Protocol):
    """Interventions that are asked for, of which a slice is made when it is run."""

    def most_edges(self) -> int:
        """The largest number of edges that one of them changes."""
        ...

    def content(self) -> Iterable[Tensor]:
        """What they are, on the CPU."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, chunk: slice) -> Interventions: ...


@dataclass(frozen=True)
class Interventions:
    """C interventions, each with the edges that it changes from the run that it starts from.

    Attributes
    ----------
    count : int
        C.
    which : Tensor
        (E,) the intervention that changes each edge, ascending, on the CPU.
    edges : Tensor
        (E, 2) the edges' rows and columns in the described graph, each edge once in an intervention.
    states : Tensor
        (E,) int8, a :class:`State` each: what the edge carries in the intervention.

    Examples
    --------
    >>> each = Interventions.ablating_each(torch.tensor([[0, 3], [1, 3], [0, 5]]))
    >>> len(each), each[1:].edges.tolist()
    (3, [[1, 3], [0, 5]])
    """

    count: int
    which: Tensor
    edges: Tensor
    states: Tensor

    @classmethod
    def ablating_each(cls, edges: Tensor) -> Interventions:
        """One intervention for each of the edges (C, 2), which ablates it alone."""
        return cls(len(edges), torch.arange(len(edges)), edges, _all(State.ABLATED, len(edges)))

    @classmethod
    def ablating(cls, sets: Sequence[Tensor]) -> Interventions:
        """One intervention for each set of edges (E', 2), which ablates them all."""
        which = torch.arange(len(sets)).repeat_interleave(torch.tensor([len(edges) for edges in sets]))
        return cls(len(sets), which, torch.cat(list(sets)), _all(State.ABLATED, len(which)))

    @classmethod
    def none(cls, count: int) -> Interventions:
        """Interventions that change no edge."""
        return cls(count, torch.empty(0, dtype=torch.long), torch.empty(0, 2, dtype=torch.long), _all(State.KEPT, 0))

    def most_edges(self) -> int:
        """The largest number of edges that one of them changes."""
        return int(self.which.bincount().max()) if len(self.which) else 0

    def content(self) -> Iterable[Tensor]:
        """What they are."""
        return self.which, self.edges, self.states

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, chunk: slice) -> Interventions:
        """The interventions from ``chunk.start`` to ``chunk.stop``."""
        first, stop, _ = chunk.indices(self.count)
        some = slice(*torch.searchsorted(self.which, torch.tensor([first, stop])).tolist())
        return Interventions(stop - first, self.which[some] - first, self.edges[some], self.states[some])


@dataclass(frozen=True)
class Circuits:
    """Circuits ``masks`` (C, U, V) as differences from the circuit ``start`` (U, V), which are found when they are run."""

    masks: Tensor
    start: Tensor

    def most_edges(self) -> int:
        """The largest number of edges in which one of them differs."""
        return max((int((mask != self.start).sum()) for mask in self.masks), default=0)

    def content(self) -> Iterable[Tensor]:
        """What they are."""
        return self.masks, self.start

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, chunk: slice) -> Interventions:
        masks = self.masks[chunk]
        which, rows, columns = (masks != self.start).nonzero().T
        kept = masks[which, rows, columns]
        states = torch.where(kept, int(State.KEPT), int(State.ABLATED)).to(torch.int8)
        return Interventions(len(masks), which, torch.stack([rows, columns], 1), states)


@dataclass(frozen=True)
class Changes:
    """The changed edges (E,) of one chunk in the base graph, ordered by reader.

    ``which`` intervention changes it, its ``rows``, ``columns`` and ``spans``, its ``states``, and whether it ``was_kept`` in
    the reference run; ``bounds`` (V + 1,) are the places of each reader's edges.
    """

    which: Tensor
    rows: Tensor
    columns: Tensor
    spans: Tensor
    states: Tensor
    was_kept: Tensor
    bounds: list[int]

    @classmethod
    def of(cls, interventions: Interventions, graph: Graph, kept: Tensor) -> Changes:
        """Changed edges of interventions on a described ``graph``, from a run that keeps the base graph's edges (U, V, S)."""
        at, rows, columns, spans = graph.expand_edges(interventions.edges)
        order = columns.argsort(stable=True)
        at, rows, columns, spans = at[order], rows[order], columns[order], spans[order]
        bounds = torch.searchsorted(columns, torch.arange(kept.shape[1] + 1)).tolist()
        which, states = interventions.which[at], interventions.states[at]
        return cls(which, rows, columns, spans, states, kept[rows, columns, spans], bounds)

    def into(self, columns: slice) -> Changes:
        """Those into some neighbouring readers; ``bounds`` are not kept."""
        return self.take(slice(self.bounds[columns.start], self.bounds[columns.stop]))

    def take(self, some: slice | Tensor) -> Changes:
        """Those at some places; ``bounds`` are not kept."""
        tensors = {name: value[some] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors, bounds=[])

    def __len__(self) -> int:
        return len(self.which)

    @property
    def carries(self) -> Tensor:
        """Whether the writer's output in this run is carried."""
        return self.states == State.KEPT

    @property
    def is_kept(self) -> Tensor:
        """Whether the writer's output in this or the reference run is carried."""
        return self.states != State.ABLATED

    @property
    def is_frozen(self) -> Tensor:
        """Whether the writer's output in the reference run is carried."""
        return self.states == State.FROZEN


def _all(state: State, count: int) -> Tensor:
    return torch.full((count,), int(state), dtype=torch.int8)
