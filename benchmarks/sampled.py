"""What one edge costs where runs are counted by the edge, exact effects and ACDC, from a sample of readers.

All edges into a chosen reader are run, as the package runs them: together. Costs are in f (see cases.py), which is timed
right before and right after each reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from cases import Bench
from torch import Tensor

from circuitsearch.ablation import Resample
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.interventions import Interventions
from circuitsearch.engine.pair import pairs
from circuitsearch.engine.reference import ReferenceRun, ReplayContext, run_reference
from circuitsearch.engine.replay import measure
from circuitsearch.graph import Graph
from circuitsearch.journal import Journal
from circuitsearch.methods import EAP
from circuitsearch.methods.acdc import _Measured, _reaches_logits, _State, _visit, readers_down
from circuitsearch.metrics import neg_kl
from circuitsearch.scores import ranking

# ---- exact effects


@dataclass(frozen=True)
class PerEdge:
    """Mean cost of an edge in f, how many edges of the sample it is from, and what share of all edges it stands for."""

    cost: float
    sampled: int
    share: float = 1.0
    kept: float = 0.0  # share of the sample that the search kept
    runs: float = 1.0  # circuits run for each edge of the sample


def exact_per_edge(bench: Bench, ports: int) -> PerEdge:
    """Cost of an exact effect over all edges, the clean run that they start from included.

    A stratum is a block's attention ports, its MLP, or the logits; ``ports`` (1 to 3) of different kinds are drawn from
    each block's. The mean cost of an edge in a stratum's sample counts as often as the stratum has edges.
    """
    graph = bench.described.graph
    total = bench.in_forwards(lambda: _clean_references(bench))
    references = _clean_references(bench)
    _cut_one_by_one(references, graph.part("m", graph.n_layers - 1).columns.start)  # the first run does not count
    sampled = 0
    for columns, edges in _strata(graph, ports):
        cost = sum(bench.in_forwards(lambda column=column: _cut_one_by_one(references, column)) for column in columns)
        run = sum(graph.visible_writers(column) for column in columns)
        total += cost / run * edges
        sampled += run
    return PerEdge(total / graph.n_edges, sampled)


def _clean_references(bench: Bench) -> list[ReferenceRun]:
    graph = bench.described.graph
    return [run_reference(ReplayContext(pair), graph.mask) for pair in pairs(bench.described, bench.task, Resample())]


def _strata(graph: Graph, ports: int) -> Iterator[tuple[list[int], int]]:
    """The readers drawn from each stratum, and how many edges it has."""
    rng = np.random.default_rng(0)
    for layer in range(graph.n_layers):
        own, mlp = graph.part("a", layer).columns, graph.part("m", layer).columns.start
        kinds = [graph.port_readers(layer, port) for port in rng.permutation(("q", "k", "v"))[:ports]]
        drawn = [int(rng.integers(kind.start, kind.stop)) for kind in kinds]
        yield drawn, (own.stop - own.start) * graph.visible_writers(own.start)
        yield [mlp], graph.visible_writers(mlp)
    yield [len(graph.readers) - 1], len(graph.writers)


def _cut_one_by_one(references: list[ReferenceRun], column: int) -> None:
    """Exact effects of all edges into one reader."""
    for reference in references:
        rows = torch.arange(reference.context.graph.visible_writers(column))
        measure(reference, Interventions.ablating_each(torch.stack([rows, torch.full_like(rows, column)], 1)))


# ---- ACDC


def acdc_per_test(bench: Bench, size: int, readers: int) -> PerEdge:
    """Cost of one of ACDC's edge tests when it is about to keep ``size`` edges, the run that they start from included.

    Where ACDC has come to a reader, of the edges into readers above only the ``size`` strongest by EAP are kept, and all
    below. So many readers are drawn, evenly along the search. Edges into readers that no longer reach the logits are
    decided without a run and left out. The threshold is the fall, when an edge is cut alone, that a share of the sampled edges
    reaches which is as large as ``size`` is of all edges. Decisions that are not as guessed cost runs.
    """
    search = _Search(bench, size)
    places = _evenly_drawn(search.reached, readers)
    falls = [search.falls(place) for place in places]
    pooled = torch.cat([fall for _, fall in falls])
    threshold = max(float(pooled.quantile(1 - size / search.graph.n_edges)), 1e-12)
    search.visit(places[-1], falls[-1][0], threshold)  # the first run does not count
    counts: list[tuple[int, int]] = []
    cost = sum(
        bench.in_forwards(lambda place=place, value=value: counts.append(search.visit(place, value, threshold)))
        for place, (value, _) in zip(places, falls, strict=True)
    )
    kept, runs = (sum(count) / len(pooled) for count in zip(*counts, strict=True))
    share = sum(map(search.tests, search.reached)) / search.graph.n_edges
    return PerEdge(cost / len(pooled), len(pooled), share, kept, runs)


@dataclass(frozen=True)
class _Search:
    """ACDC with its own metric, at any place of its order of readers."""

    bench: Bench
    size: int

    @cached_property
    def graph(self) -> Graph:
        return self.bench.described.graph

    @cached_property
    def order(self) -> list[int]:
        return readers_down(self.graph)

    @cached_property
    def strongest(self) -> Tensor:
        rows, columns = ranking(self.graph, self.bench.score(EAP()))[: self.size].T
        mask = torch.zeros_like(self.graph.mask)
        mask[rows, columns] = True
        return mask

    @cached_property
    def reached(self) -> list[int]:
        """Places of the readers that still reach the logits when the search comes to them."""
        places = range(len(self.order))
        return [place for place in places if _reaches_logits(self.graph, self.kept(place), self.order[place])]

    @cached_property
    def evaluator(self) -> Evaluator:
        evaluator = Evaluator(self.bench.described, replace(self.bench.task, metric=neg_kl))
        evaluator.clean()
        return evaluator

    def tests(self, place: int) -> int:
        """Edges into the reader."""
        return self.graph.visible_writers(self.order[place])

    def kept(self, place: int) -> Tensor:
        """What is kept when the search comes to a place."""
        kept, above = self.graph.mask.clone(), self.order[:place]
        kept[:, above] &= self.strongest[:, above]
        return kept

    def falls(self, place: int) -> tuple[float, Tensor]:
        """The metric's mean at a place, and by how much it falls when each edge into the reader is cut alone."""
        kept, rows = self.kept(place), torch.arange(self.tests(place))
        masks = kept.repeat(len(rows) + 1, 1, 1)
        masks[rows + 1, rows, self.order[place]] = False
        values = self.evaluator.circuits(masks, near=kept)[0].mean(-1)
        return float(values[0]), values[0] - values[1:]

    def visit(self, place: int, value: float, threshold: float) -> tuple[int, int]:
        """Decide on all edges into the reader; how many of them stay, and how many circuits were run."""
        self.evaluator._last_references = None  # the run that they start from is part of the cost
        measured, state = _Counting(self.evaluator, Journal()), _State(self.kept(place), value, (threshold,))
        (after,) = _visit(measured, state, self.order[place], None)
        return int(after.kept[:, self.order[place]].sum()), measured.runs


class _Counting(_Measured):
    """Counts the circuits that are run."""

    runs = 0

    def _run(self, start: Tensor, sets: list[Tensor]) -> list[list[float]]:
        self.runs += len(sets)
        return super()._run(start, sets)


def _evenly_drawn(places: list[int], number: int) -> list[int]:
    """One of each of so many stretches of equal length."""
    rng = np.random.default_rng(0)
    ends = np.linspace(0, len(places), min(number, len(places)) + 1).round().astype(int)
    return [places[int(rng.integers(start, stop))] for start, stop in pairwise(ends)]
