"""Circuits of few nodes, against nodes and edges removed one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.models.planted import induction_model, induction_task, plant
from circuitsearch.reachability import prune
from circuitsearch.search.nodes import NodeElimination
from circuitsearch.target import reaches
from tests.search.test_elimination import MadeUp
from tests.search.test_search import made_up


def without(graph: Graph, mask: Tensor, node: str) -> Tensor:
    """The circuit without all edges from a node, and those that are then on no path."""
    fewer = mask.clone()
    fewer[graph.writer_index[node]] = False
    return prune(graph, fewer)


def one_by_one(graph: Graph, mask: Tensor, measure: MadeUp, target: float) -> Tensor:
    """In rounds: of the nodes without which the target is reached, remove each that can still go, the least changing first."""

    def worth(mask: Tensor) -> float:
        return float(measure(mask[None]))

    while True:
        nodes = [
            name for name, some in zip(graph.writers, mask.any(1).tolist(), strict=True) if some and name != "embed"
        ]
        left = {node: worth(without(graph, mask, node)) for node in nodes}
        removable = [node for node in nodes if reaches(left[node], target)]
        if not removable:
            return mask
        current = worth(mask)
        for node in sorted(removable, key=lambda node, left=left, current=current: abs(left[node] - current)):
            fewer = without(graph, mask, node)
            if not torch.equal(fewer, mask) and reaches(worth(fewer), target):
                mask = fewer


@pytest.mark.parametrize("graph", [Graph(2, 2, 2), Graph(3, 4, 2)], ids=["heads", "grouped"])
@pytest.mark.parametrize("target", [0.2, 0.5, 0.8])
def test_batches_remove_the_nodes_that_one_by_one_removes(graph: Graph, target: float):
    """On worths that grow with every edge; what is needed has the name of a node."""
    measure: Any = MadeUp(graph, 3, 1000)
    elimination = NodeElimination(measure, target)
    mask, left = elimination.shrunk(graph.mask)
    assert torch.equal(mask, one_by_one(graph, graph.mask, measure, target))
    assert elimination.needed(left) == {
        node: float(measure(without(graph, mask, node)[None])) for node in elimination.needed(left)
    }
    assert set(elimination.needed(left)) == {graph.writers[row] for row in mask.any(1).nonzero().flatten().tolist()} - {
        "embed"
    }


@pytest.mark.parametrize("target", [0.1, 0.4, 0.9, 1.0])
def test_the_start_is_the_smallest_prefix_of_nodes(target: float):
    """Ranked by the strongest edge from each, with all scored edges between them; of at most ten nodes every number is tried."""
    graph = Graph(2, 2, 2)
    measure: Any = MadeUp(graph, 0, 9)
    measure.weights[graph.writer_index["m0"]] = 0  # so that the others reach the target without it
    measure.weights[:, graph.reader_index["m0<in>"]] = 0
    values = made_up(graph, 5).values
    values[graph.writer_index["m0"]] = torch.nan
    scores = replace(made_up(graph, 5), values=values)
    start = NodeElimination(measure, target).smallest_start(scores)
    order = sorted(
        (name for name in graph.writers if name not in ("embed", "m0")),
        key=lambda name: -float(values[graph.writer_index[name]].abs().max()),
    )
    prefixes = []
    for size in range(len(order) + 1):
        kept = torch.zeros(len(graph.writers), dtype=torch.bool)
        kept[[graph.writer_index[name] for name in ("embed", *order[:size])]] = True
        prefixes.append(prune(graph, graph.mask & kept[:, None]))
    assert torch.equal(start, next(mask for mask in prefixes if reaches(float(measure(mask[None])), target)))


def test_a_target_that_all_scored_edges_miss_is_refused():
    """The sentence says how many were scored."""
    graph = Graph(2, 2, 2)
    measure: Any = MadeUp(graph, 0, 9)
    values = made_up(graph, 0).values.where(graph.mask & (torch.arange(len(graph.readers)) > 0), torch.nan)
    with pytest.raises(InputError, match=r"the 45 scored edges together do not reach a faithfulness of 1"):
        NodeElimination(measure, 1.0).smallest_start(replace(made_up(graph, 0), values=values))


@pytest.fixture(scope="module")
def planted() -> tuple[Any, cs.Experiment]:
    """A planted circuit of some nodes."""
    planted = plant("two-hop", seed=1, n=8)
    return planted, cs.Experiment(planted.model, planted.task)


def test_node_minimal_finds_the_planted_nodes(planted: tuple[Any, cs.Experiment]):
    """And their edges; the certificate has the faithfulness without each node and each edge."""
    known, experiment = planted
    circuit = cs.node_minimal(experiment, experiment.task, experiment.score("eap-ig"), 0.9)
    graph, measure, certificate = experiment.graph, Faithfulness(experiment), circuit.certificate
    assert set(circuit.edges) == set(known.edges)
    assert certificate is not None and certificate.kind(len(circuit)) == "local-minimal"
    assert set(certificate.without_nodes) == set(circuit.nodes) - {"embed", "logits"}
    for node, value in certificate.without_nodes.items():
        alone = float(measure(without(graph, circuit.mask, node)[None]))
        assert value == pytest.approx(alone, abs=1e-9) and not reaches(value, 0.9)


def test_minimal_keeps_the_smallest_circuit_of_several_rankings():
    """A ranking that means nothing leads to no larger circuit beside one that does; rankings of another graph are refused."""
    experiment = cs.Experiment(induction_model(), induction_task(8))
    good, bad = experiment.score("eap-ig"), made_up(experiment.graph, 0)
    alone, together = (cs.minimal(experiment, experiment.task, bad, 0.9, starts=starts) for starts in ((), [good]))
    best = cs.minimal(experiment, experiment.task, good, 0.9)
    assert len(together) == min(len(alone), len(best)) and together.scores is bad.values
    with pytest.raises(InputError, match="made on"):
        cs.minimal(experiment, experiment.task, good, 0.9, starts=[made_up(Graph(2, 4, 4))])
