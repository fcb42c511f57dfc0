"""Random circuits with the layers and degrees of a circuit, in every kind of graph."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.models.planted import INDUCTION_EDGES, induction_model, induction_task
from circuitsearch.reachability import prune
from circuitsearch.validation import Trial
from circuitsearch.validation.checks import MatchedCircuits
from circuitsearch.validation.matching import matched_circuits

GRAPHS = {
    "plain": Graph(4, 4, 4),
    "grouped": Graph(4, 6, 2),
    "parallel": Graph(4, 4, 4, parallel=True),
    "merged": Graph(4, 4, 4, granularity=Granularity(merged_heads=True)),
    "spans": Graph(3, 4, 2, granularity=Granularity(spans=("S", "END"))),
    "positions": Graph(3, 3, 3, granularity=Granularity(positions=3)),
    "neurons": Graph(3, 3, 3, blocks=("heads>mlp", "heads>neurons:5", "heads>mlp"), granularity=Granularity(neurons=(1,))),
    "experts": Graph(3, 3, 3, blocks=("heads>experts:4",) * 3, granularity=Granularity(experts=True)),
    "mixer": Graph(4, 4, 4, blocks=("mixer", "heads+mlp", "mixer>mlp", "heads>mlp")),
}  # fmt: skip


def circuit_in(graph: Graph, share: float) -> Tensor:
    """A random circuit."""
    return prune(graph, graph.mask & (torch.rand(graph.mask.shape, generator=torch.Generator().manual_seed(1)) < share))


def kind(name: str) -> str:
    """The layer and kind of a node, by its name: ``a1.h*<q>@END`` of ``a1.h3<q>@END``."""
    node, at, span = name.partition("@")
    owner, bracket, port = node.partition("<")
    layer, dot, member = owner.partition(".")
    return f"{layer}{dot}{member.rstrip('0123456789')}{bracket}{port}{at}{span if name != 'logits' else ''}"


def matched(graph: Graph, mask: Tensor) -> tuple[Any, ...]:
    """What random circuits have in common with a circuit, by the names of its edges."""
    edges = list(graph.edges(mask))
    between = Counter((kind(writer), kind(reader)) for writer, reader in edges)
    out, into = Counter(writer for writer, _ in edges), Counter(reader for _, reader in edges)
    degrees = Counter((kind(node), count) for degree in (out, into) for node, count in degree.items())
    return len(edges), between, degrees


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "merged"])
def test_random_circuits_match_in_layers_and_degrees(name: str):
    """Counted by name; all are different, and none is the circuit."""
    graph = GRAPHS[name]
    mask = circuit_in(graph, 0.6)
    found = matched_circuits(graph, mask, 4, seed=0)
    assert int(mask.sum()) > 10 and len(found) > 0
    assert len({tuple(each.flatten().tolist()) for each in (mask, *found)}) == 1 + len(found)
    assert all(matched(graph, each) == matched(graph, mask) for each in found)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_edge_of_a_random_circuit_is_on_a_path(name: str):
    """Though nothing is pruned."""
    graph = GRAPHS[name]
    found = matched_circuits(graph, circuit_in(graph, 0.2), 8, seed=0)
    assert all(torch.equal(prune(graph, each), each) and not (each & ~graph.mask).any() for each in found)


def test_edges_are_swapped_and_not_heads_alone():
    """Exchanged heads would leave the degrees at both ends of every edge."""
    graph = GRAPHS["plain"]
    mask = circuit_in(graph, 0.3)
    found = matched_circuits(graph, mask, 4, seed=0)
    assert all(degrees_at_ends(each) != degrees_at_ends(mask) for each in found)


def degrees_at_ends(mask: Tensor) -> Counter[tuple[int, int]]:
    """How many edges go from a writer of so many outgoing to a reader of so many incoming edges."""
    out, into = mask.sum(1), mask.sum(0)
    return Counter((int(out[row]), int(into[column])) for row, column in mask.nonzero().tolist())


def test_with_one_node_of_a_kind_in_a_layer_there_is_no_other_circuit():
    """As where heads are merged."""
    graph = GRAPHS["merged"]
    assert len(matched_circuits(graph, circuit_in(graph, 0.6), 4, seed=0)) == 0


def test_the_seed_decides():
    """The same gives the same, another others."""
    graph = GRAPHS["plain"]
    one, same, other = (matched_circuits(graph, circuit_in(graph, 0.3), 4, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def measured(edges: Any, **knobs: int) -> Any:
    """The check of some edges of a planted model of two heads in each of two layers."""
    experiment = cs.Experiment(induction_model(), induction_task(8))
    return MatchedCircuits(**knobs).measure(
        Trial(experiment, cs.Circuit.from_edges(experiment.graph, edges), n_resamples=20)
    )


def test_a_planted_circuit_is_above_all_that_match_it():
    """Of two heads in two layers there are three other choices, none of which does the task."""
    found = measured(INDUCTION_EDGES)
    assert len(found.table) == 3 and found.value == pytest.approx(0, abs=0.05)
    assert sorted(row["changed"] for row in found.table) == pytest.approx([2 / 3, 2 / 3, 1])
    ((_, line),) = found.lines
    assert "3 (of 20 asked for; no more were found)" in line and "none of them has as much (p = 0.25)" in line
    assert np.isclose(np.mean([row["faithfulness"] for row in found.table]), found.value)


def test_there_may_be_no_other_circuit():
    """Which is said; there is no number then."""
    found = measured([("embed", "m0<in>"), ("m0", "logits")])
    assert found.value is None and found.lines[0][1] == "there is no other circuit with its layers and degrees"
    assert measured(INDUCTION_EDGES, count=0).lines[0][1] == "none run"


def test_edges_on_no_path_are_not_matched():
    """They do nothing in the circuit."""
    with_dead = measured([*INDUCTION_EDGES, ("embed", "a0.h1<q>")])
    assert [row["changed"] for row in with_dead.table] == [row["changed"] for row in measured(INDUCTION_EDGES).table]
