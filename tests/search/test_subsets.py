"""All subsets of a circuit: which there are, and the smallest faithful one, against every set of edges run one by one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.models.planted import plant
from circuitsearch.reachability import prune
from circuitsearch.search.subsets import _Subsets, pruned_subsets
from circuitsearch.target import reaches
from circuitsearch.validation.checks.controls import random_circuits

Edges = frozenset[tuple[int, int]]

GRAPHS = {
    "heads": Graph(2, 2, 2),
    "grouped": Graph(2, 2, 1),
    "parallel": Graph(2, 2, 2, parallel=True),
    "experts": Graph(2, 2, 2, blocks=("mixer>mlp", "heads>experts:2")),
    "spans": Graph(2, 2, 2, granularity=Granularity(spans=("S",))),
}


def edges_of(mask: Tensor) -> Edges:
    """Rows and columns of a mask."""
    return frozenset((row, column) for row, column in mask.nonzero().tolist())


def some_circuit(graph: Graph, seed: int) -> Tensor:
    """Mask (U, V) of a random circuit of about 8 edges."""
    return random_circuits(graph, 8, 1, seed)[0]


def by_hand(graph: Graph, mask: Tensor) -> set[Edges]:
    """Every set of its edges, without those on no path."""
    edges = edges_of(mask)
    removed = (some for size in range(len(edges) + 1) for some in combinations(edges, size))
    return {edges_of(without(graph, mask, some)) for some in removed} - {frozenset()}


def without(graph: Graph, mask: Tensor, edges: Iterable[tuple[int, int]]) -> Tensor:
    """The circuit without some edges, and those that are then on no path."""
    fewer = mask.clone()
    for edge in edges:
        fewer[edge] = False
    return prune(graph, fewer)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_the_subsets_are_those_that_pruning_leaves(graph: Graph):
    """Each once, the smallest first and the circuit last."""
    mask = some_circuit(graph, seed=1)
    subsets = pruned_subsets(graph, mask)
    order = mask.nonzero().tolist()
    found = [frozenset(tuple(edge) for bit, edge in enumerate(order) if int(each) >> bit & 1) for each in subsets]
    assert set(found) == by_hand(graph, mask) and len(set(found)) == len(found)
    assert list(map(len, found)) == sorted(map(len, found)) and found[-1] == edges_of(mask)


class MadeUp:
    """Stands in for measuring faithfulness: any number for any circuit, the same each time."""

    def __init__(self, seed: int, largest: float) -> None:
        self.seed, self.largest, self.runs = seed, largest, 0

    def __call__(self, masks: Tensor, near: Tensor | None = None) -> Tensor:
        self.runs += len(masks)
        return torch.tensor([self.worth(edges_of(mask)) for mask in masks], dtype=torch.float64)

    def worth(self, edges: Edges) -> float:
        generator = torch.Generator().manual_seed(hash(tuple(sorted(edges))) % 2**31 + self.seed)
        return self.largest * float(torch.rand((), generator=generator))


@pytest.mark.parametrize("target", [0.3, 0.9, 0.97, 0.999])
@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_faithful_subset_is_found(seed: int, target: float):
    """Where faithfulness is anything at all, so that no order of removals would do."""
    graph = GRAPHS["heads"]
    mask = some_circuit(graph, seed)
    measure: Any = MadeUp(seed, 1.0)
    found = _Subsets(Circuit(graph, mask), measure, target).smallest(10**6, lambda done, total: None)
    faithful = [len(each) for each in by_hand(graph, mask) if reaches(measure.worth(each), target)]
    assert found.complete and found.n_edges == int(mask.sum())
    assert found.total == len(by_hand(graph, mask)) - 1
    if not faithful:
        assert found.smallest is None and found.lower_bound == found.n_edges + 1 and found.kind == ""
        return
    assert found.smallest is not None and len(found.smallest) == min(faithful) == found.lower_bound
    assert found.smallest_faithfulness == measure.worth(edges_of(found.smallest.mask))
    assert (found.kind == "subset-minimal") == (min(faithful) == found.n_edges)


@pytest.mark.parametrize("runs", [1, 3, 10])
def test_where_the_runs_end_there_is_a_lower_bound(runs: int):
    """Of the size of the smallest subset that was not run; no more are run than allowed, but for the circuit itself."""
    graph = GRAPHS["heads"]
    mask = some_circuit(graph, seed=2)
    measure: Any = MadeUp(0, 0.5)
    found = _Subsets(Circuit(graph, mask), measure, 0.9).smallest(runs, lambda done, total: None)
    sizes = sorted(map(len, by_hand(graph, mask)))
    assert not found.complete and found.kind == "" and found.runs == runs and measure.runs == runs + 1
    assert found.lower_bound == sizes[runs] and "lower bound" in str(found) and "not within the target" in str(found)


@pytest.fixture(scope="module")
def negative() -> Any:
    """A planted circuit whose negative head cancels another, and its experiment."""
    planted = plant("negative", seed=0, n=8)
    return planted, cs.Experiment(planted.model, planted.task)


def test_edges_that_cancel_are_found_together(negative: Any):
    """None of the true edges can be removed by itself, but several together; what is left is one of the known sufficient sets."""
    planted, experiment = negative
    circuit = Circuit.from_edges(experiment.graph, planted.edges)
    found = cs.smallest_subset(experiment, experiment.task, circuit, 0.95)
    assert found.smallest is not None and frozenset(found.smallest.edges) in planted.sufficient
    assert len(found.smallest) < found.n_edges and str(found).startswith("not subset-minimal")
    alone = cs.smallest_subset(experiment, experiment.task, found.smallest, 0.95)
    assert alone.kind == "subset-minimal" and str(alone).startswith("subset-minimal")
    assert alone.smallest_faithfulness == pytest.approx(float(Faithfulness(experiment)(found.smallest.mask[None])))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "not found for a target"),
        ({"faithfulness": 2.0}, "must be a number in"),
        ({"faithfulness": 0.9, "runs": 0}, "1 subset or more"),
    ],
)
def test_what_cannot_be_run_is_refused(negative: Any, change: dict[str, Any], sentence: str):
    """In one sentence."""
    planted, experiment = negative
    circuit = Circuit.from_edges(experiment.graph, planted.edges)
    with pytest.raises(InputError, match=sentence):
        cs.smallest_subset(experiment, experiment.task, circuit, **change)


def test_circuits_of_no_or_many_edges_are_refused(negative: Any):
    """There are too many subsets of them, or none."""
    _, experiment = negative
    for mask in (experiment.graph.mask, torch.zeros_like(experiment.graph.mask)):
        with pytest.raises(InputError, match="a circuit of 1 to 24 edges"):
            cs.smallest_subset(experiment, experiment.task, Circuit(experiment.graph, mask), 0.9)
