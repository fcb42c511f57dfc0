"""The strongest connected circuit, against all circuits of small graphs."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.reachability import prune
from circuitsearch.scores import Scores
from circuitsearch.search import greedy, optimal, top
from circuitsearch.search.subsets import pruned_subsets
from tests.search.test_search import made_up

TINY = {
    "heads": Graph(1, 2, 2),
    "grouped": Graph(1, 2, 1),
    "parallel": Graph(1, 2, 2, parallel=True),
    "two-blocks": Graph(2, 1, 1, blocks=("mlp", "heads>mlp")),
    "experts": Graph(2, 1, 1, blocks=("mixer", "experts:2")),
    "spans": Graph(2, 1, 1, blocks=("mixer", "mixer"), granularity=Granularity(spans=("S",))),
}


def total(scores: Scores, mask: torch.Tensor) -> float:
    """Sum of the strengths of the edges."""
    return sum(abs(float(scores.values[row, column])) for row, column in mask.nonzero().tolist())


def best_of_all(scores: Scores) -> list[float]:
    """The largest sum of any circuit of at most 0, 1, 2 ... edges, by trying all."""
    graph = scores.graph
    strength = scores.values[graph.mask.nonzero().unbind(1)].abs().numpy()
    subsets = pruned_subsets(graph, graph.mask)
    bits = (subsets[:, None] >> np.arange(len(strength), dtype=np.uint32)) & 1
    best = np.zeros(len(strength) + 1)
    np.maximum.at(best, bits.sum(1), bits @ strength)
    return np.maximum.accumulate(best).tolist()


@pytest.mark.parametrize("graph", TINY.values(), ids=TINY.keys())
@pytest.mark.parametrize("seed", range(2))
def test_no_circuit_of_as_many_edges_is_stronger(graph: Graph, seed: int):
    """Of any size, with ties too; the bound says so."""
    scores = made_up(graph, seed)
    scores = replace(scores, values=(2 * scores.values).round() if seed else scores.values)
    for n, best in list(enumerate(best_of_all(scores)))[1::2]:
        circuit = optimal(scores, n)
        assert total(scores, circuit.mask) == pytest.approx(best, abs=1e-5) and len(circuit) <= n
        assert torch.equal(prune(graph, circuit.mask), circuit.mask)
        assert circuit.bound is not None and circuit.bound.solved and circuit.bound.n_edges == n
        assert circuit.bound.total == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(
    "graph", [Graph(4, 4, 2), Graph(3, 4, 4, blocks=("mixer>mlp", "heads+mlp", "heads>experts:3"))]
)
@pytest.mark.parametrize("n", [15, 60])
def test_it_is_at_least_as_strong_as_the_rankings_circuits(graph: Graph, n: int):
    """On larger graphs, some of whose edges have no score, and these are not taken."""
    scores = made_up(graph, n)
    values = scores.values.clone()
    values[::5, ::3] = torch.nan
    scores = replace(scores, values=values)
    circuit = optimal(scores, n)
    assert not scores.values[circuit.mask].isnan().any()
    assert total(scores, circuit.mask) >= max(
        total(scores, other.mask) for other in (top(scores, n), greedy(scores, n))
    )
    assert circuit.bound is not None and circuit.bound.solved


@pytest.mark.parametrize("solver", ["linprog", "milp"])
def test_without_time_the_best_known_circuit_comes_with_a_bound(monkeypatch: pytest.MonkeyPatch, solver: str):
    """A solver that has found nothing leaves the circuit of the ranking, and a bound that no circuit exceeds."""
    scores = made_up(Graph(3, 4, 2), 0)
    best = optimal(scores, 20).bound
    nothing = SimpleNamespace(x=None, status=1)
    monkeypatch.setattr(import_module("circuitsearch.search.optimal"), solver, lambda *_, **__: nothing)
    circuit = optimal(scores, 20)
    known = max(total(scores, other.mask) for other in (top(scores, 20), greedy(scores, 20)))
    strongest = float(scores.values.abs().flatten().topk(20).values.sum())
    assert circuit.bound is not None and best is not None and not circuit.bound.solved
    assert circuit.bound.total == pytest.approx(known) == total(scores, circuit.mask)
    assert best.total <= circuit.bound.most + 1e-9 and (
        solver == "milp" or circuit.bound.most == pytest.approx(strongest)
    )


def test_the_unit_of_the_metric_does_not_matter():
    """Scores of a probability may be below the solver's tolerances."""
    scores = made_up(Graph(3, 4, 2), 3)
    small = optimal(replace(scores, values=1e-12 * scores.values), 9)
    assert torch.equal(small.mask, optimal(scores, 9).mask)
    assert small.bound is not None and small.bound.solved and small.bound.total > 0


def test_what_has_no_answer_is_refused():
    """No edges, no time, no scored path."""
    scores = made_up(Graph(2, 2, 2), 0)
    nothing = replace(scores, values=torch.full_like(scores.values, torch.nan))
    for ask, sentence in (
        (lambda: optimal(scores, 0), "at least 1"),
        (lambda: optimal(scores, 5, seconds=0), "more than 0 seconds"),
        (lambda: optimal(nothing, 5), "no path from embed to the logits"),
    ):
        with pytest.raises(InputError, match=sentence):
            ask()
