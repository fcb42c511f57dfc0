"""Circuits directly from a ranking of edges by strength, pruned to the edges on a path from embed to logits."""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.reachability import prune
from circuitsearch.scores import Scores


def threshold(scores: Scores, value: float) -> Circuit:
    """Keep the edges whose score is at least ``value`` in magnitude, then prune."""
    if not value >= 0:
        raise InputError(f"the threshold must be 0 or more, not {value}: it is compared with magnitudes")
    return Circuit(
        scores.graph, scores.scored & (scores.values.abs() >= value), scores.values, setup=scores.setup
    ).pruned()


def top(scores: Scores, n: int) -> Circuit:
    """Keep the ``n`` strongest edges, by magnitude, then prune; fewer may be left.

    Raises
    ------
    InputError
        If ``n`` is below 1.
    """
    _check_count(n)
    return Circuit(scores.graph, strongest(scores.graph, scores.ranking(), n), scores.values, setup=scores.setup)


def strongest(graph: Graph, places: Tensor, n: int) -> Tensor:
    """Mask (U, V) of the first ``n`` of a ranking's ``places`` (E, 2), pruned."""
    return prune(graph, graph.mask_at(places[:n]))


def greedy(scores: Scores, n: int) -> Circuit:
    """Grow the circuit from the logits: ``n`` times add the strongest edge into one of its components, then prune.

    Unlike :func:`top` it adds no edge that cannot reach the logits (Hanna et al. 2403.17806 call it greedy).

    Raises
    ------
    InputError
        If ``n`` is below 1.
    """
    _check_count(n)
    return Circuit(scores.graph, _Growth(scores).grown(n), scores.values, setup=scores.setup).pruned()


class _Growth:
    """A circuit that grows from the logits, edge by edge; each added edge may make more readers reachable.

    When the strongest available edge is first below some level, the circuit contains all edges of at least that level into
    readers that such edges reach, which one sweep over the blocks finds. So the lowest level that gives at most ``n`` edges
    is found by bisection, and only the remaining edges are added one by one; a heap holds the strongest remaining edge of
    each reachable reader.
    """

    def __init__(self, scores: Scores) -> None:
        self.graph, self.scored = scores.graph, scores.scored
        self.strength = scores.values.abs().masked_fill(~self.scored, -1.0)
        self.heap: list[tuple[float, int, int]] = []  # (- strength, row, column), ties in the order of the stream
        self.waiting: dict[int, Iterator[tuple[float, int, int]]] = {}
        self.part_of = {row: part for part in self.graph.parts for row in range(part.rows.start, part.rows.stop)}

    def grown(self, n: int) -> Tensor:
        """Mask (U, V) of the first ``n`` edges."""
        levels = self.strength[self.scored].sort().values
        place = bisect.bisect_left(range(len(levels)), -n, key=lambda place: -self._count(float(levels[place])))
        self.mask, opened = self._from(float(levels[place]) if place < len(levels) else math.inf)
        for column in opened.nonzero().flatten().tolist():
            self._open(column)
        for _ in range(n - int(self.mask.sum())):
            if not self.heap:
                break
            _, row, column = self.heap[0]
            self.mask[row, column] = True
            self._next(column)
            self._reach(row)
        return self.mask

    def _count(self, level: float) -> int:
        return int(self._from(level)[0].sum())

    def _from(self, level: float) -> tuple[Tensor, Tensor]:
        """The edges (U, V) of at least a level into readers that they reach, and these readers (V,)."""
        mask = self.strength >= level
        opened = torch.zeros(mask.shape[1], dtype=torch.bool)
        opened[-1] = True
        reached = mask[:, -1].clone()
        for part in reversed(self.graph.parts):
            opened[part.columns] = (self.graph.feeds(part) & reached[part.rows]).any(1)
            reached[: part.seen] |= (mask[: part.seen, part.columns] & opened[part.columns]).any(1)
        return mask & opened, opened

    def _open(self, column: int) -> None:
        """Make a reader's edges available."""
        if column in self.waiting:
            return
        rows = (self.scored[:, column] & ~self.mask[:, column]).nonzero().flatten()
        strength, order = self.strength[rows, column].sort(descending=True, stable=True)
        self.waiting[column] = _falling(strength, rows[order], column)
        for edge in islice(self.waiting[column], 1):
            heapq.heappush(self.heap, edge)

    def _next(self, column: int) -> None:
        """Replace the first edge of the heap by the next edge into the same reader."""
        edge = next(self.waiting[column], None)
        if edge is None:
            heapq.heappop(self.heap)
        else:
            heapq.heapreplace(self.heap, edge)

    def _reach(self, row: int) -> None:
        """Open the readers that feed a writer."""
        part = self.part_of.get(row)
        if part is not None:
            for port in self.graph.feeds(part)[:, row - part.rows.start].nonzero().flatten().tolist():
                self._open(part.columns.start + port)


def _falling(strength: Tensor, rows: Tensor, column: int) -> Iterator[tuple[float, int, int]]:
    """The edges into one reader as entries of the heap, the strongest first; 64 at a time become Python numbers."""
    for some, at in zip(strength.split(64), rows.split(64), strict=True):
        yield from ((-value, row, column) for value, row in zip(some.tolist(), at.tolist(), strict=True))


def _check_count(n: int) -> None:
    if n < 1:
        raise InputError(f"the number of edges must be at least 1, not {n}")
