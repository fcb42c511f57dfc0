"""Circuits straight from a ranking of edges by strength, pruned to what lies on a path from embed to logits."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import LOGITS, Graph
from circuitsearch.scores import Scores


def threshold(scores: Scores, value: float) -> Circuit:
    """Keep the edges whose score is at least ``value`` in magnitude, then prune."""
    if not value >= 0:
        raise InputError(f"the threshold must be 0 or more, not {value}: it is compared with magnitudes")
    return Circuit(scores.graph, scores.scored & (scores.values.abs() >= value), scores.values).pruned()


def top(scores: Scores, n: int) -> Circuit:
    """Keep the ``n`` strongest edges, by magnitude, then prune; fewer may be left.

    Raises
    ------
    InputError
        If ``n`` is below 1.
    """
    _check_count(n)
    return Circuit(scores.graph, strongest(scores.graph, scores.ranking(), n), scores.values)


def strongest(graph: Graph, places: Tensor, n: int) -> Tensor:
    """Mask (U, V) of the first ``n`` of a ranking's ``places`` (E, 2), pruned."""
    mask = torch.zeros_like(graph.mask)
    mask[places[:n, 0], places[:n, 1]] = True
    return graph.prune(mask)


def greedy(scores: Scores, n: int) -> Circuit:
    """Grow the circuit from the logits: ``n`` times add the strongest edge into a component that it holds, then prune.

    Unlike :func:`top` it spends no edge on what cannot reach the logits (Hanna et al. 2403.17806 call it greedy).

    Raises
    ------
    InputError
        If ``n`` is below 1.
    """
    _check_count(n)
    mask = torch.zeros_like(scores.graph.mask)
    for (row, column), _ in zip(_best_first(scores), range(n), strict=False):
        mask[row, column] = True
    return Circuit(scores.graph, mask, scores.values).pruned()


def _best_first(scores: Scores) -> Iterator[tuple[int, int]]:
    """Yield edges into components reached so far, strongest first."""
    graph, strength = scores.graph, scores.values.abs().nan_to_num(-1.0)
    feeds: dict[str, list[int]] = {}
    for column, reader in enumerate(graph.readers):
        for component in graph.components(reader):
            feeds.setdefault(component, []).append(column)
    heap: list[tuple[float, int, int]] = []
    opened: set[int] = set()

    def open_reader(column: int) -> None:
        if column not in opened:
            opened.add(column)
            for row in scores.scored[:, column].nonzero().flatten().tolist():
                heapq.heappush(heap, (-float(strength[row, column]), row, column))

    open_reader(graph.reader_index[LOGITS])
    while heap:
        _, row, column = heapq.heappop(heap)
        yield row, column
        for reader in feeds.get(graph.writers[row], []):
            open_reader(reader)


def _check_count(n: int) -> None:
    if n < 1:
        raise InputError(f"the number of edges must be at least 1, not {n}")
