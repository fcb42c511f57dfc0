"""ACDC in joint batches decides as the plain algorithm does, one edge after another."""

from __future__ import annotations

import pytest
import torch

from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.granularity import WHOLE, Granularity
from circuitsearch.methods.acdc import acdc, readers_down, writers_down
from circuitsearch.metrics import neg_kl
from circuitsearch.models.planted import INDUCTION_EDGES, induction_model, induction_task
from circuitsearch.reachability import prune
from circuitsearch.task import Task
from tests.conftest import blind_to, mixed_task, random_task


def plain_acdc(model, task, threshold, metric, seed=None, granularity=WHOLE):
    """Algorithm 1 of the paper: one run of the whole circuit a test."""
    evaluator = Evaluator(verified(model, task, granularity), task)
    graph = evaluator.described.graph
    kept = graph.mask.clone()
    value = float(evaluator.circuits(kept[None], metric)[0].mean())
    for column in readers_down(graph, seed):
        for row in writers_down(graph, column, seed):
            without = kept.clone()
            without[row, column] = False
            there = float(evaluator.circuits(without[None], metric)[0].mean())
            if value - there < threshold:
                kept, value = without, there
    return prune(graph, kept)


@pytest.mark.parametrize(("metric", "seed"), [(neg_kl, 3), pytest.param(None, None, marks=pytest.mark.slow)])
def test_the_circuits_are_those_of_the_plain_algorithm(gpt2, metric, seed):
    """At every threshold, by KL or by the task's metric, in either order of heads, in one run for all thresholds."""
    task = random_task(n=2, length=5)
    metric = metric or task.metric
    thresholds = (0.03, 0.003, 0.0003)
    found = acdc(gpt2, task, thresholds, metric=metric, shuffle=seed)
    assert tuple(found) == thresholds
    for threshold, circuit in found.items():
        assert torch.equal(circuit.mask, plain_acdc(gpt2, task, threshold, metric, seed))
    assert len({len(circuit) for circuit in found.values()}) == 3


@pytest.mark.parametrize("name", ["llama-grouped", "gpt_neox-parallel"])
def test_grouped_and_parallel_models_too(name):
    """Shared keys and values, blocks in parallel, and prompts of mixed lengths."""
    from tests.conftest import tiny_model

    model, task = tiny_model(name), mixed_task().subset([0, 4, 8])
    (circuit,) = acdc(model, task, 0.01).values()
    assert torch.equal(circuit.mask, plain_acdc(model, task, 0.01, neg_kl))


@pytest.mark.parametrize("granularity", [Granularity(merged_heads=True), Granularity(spans=("S",))], ids=repr)
def test_other_nodes_too(gpt2, granularity):
    """Heads merged, and a span of its own."""
    random = random_task(n=2, length=5)
    columns = (random.clean, random.corrupt, random.answers, random.wrong)
    task = Task.from_ids(*columns, spans=[{"S": 3}] * 2)
    (circuit,) = acdc(gpt2, task, 0.01, granularity=granularity).values()
    assert torch.equal(circuit.mask, plain_acdc(gpt2, task, 0.01, neg_kl, granularity=granularity))
    assert 0 < len(circuit) < circuit.graph.n_edges


def test_the_planted_circuit_is_found():
    """The three edges built by hand are what is left, by the task's own metric."""
    model, task = induction_model(), induction_task()
    assert set(acdc(model, task, 0.05, metric=task.metric)[0.05].edges) == set(INDUCTION_EDGES)


def test_every_edge_is_visited_once_readers_before_writers(gpt2):
    """The order is a reverse topological order of all edges, and the seed changes heads alone."""
    graph = verified(gpt2, random_task()).graph
    for seed in (None, 1):
        order = [(row, column) for column in readers_down(graph, seed) for row in writers_down(graph, column, seed)]
        assert len(order) == len(set(order)) == graph.n_edges
        columns = readers_down(graph, seed)
        assert [graph.visible_writers(c) for c in columns] == sorted(
            (graph.visible_writers(c) for c in columns), reverse=True
        )
    assert readers_down(graph, 1) != readers_down(graph)


def test_where_nothing_differs_nothing_is_left(gpt2):
    """If clean is corrupt no edge is missed."""
    same = random_task(n=2, length=5)
    assert len(acdc(blind_to(gpt2, same), same, 1e-6)[1e-6]) == 0


@pytest.mark.parametrize("thresholds", [0.0, -1.0, (), (0.1, 0.0), float("nan")])
def test_thresholds_that_make_no_sense_are_refused(gpt2, thresholds):
    """A threshold must be above 0."""
    with pytest.raises(InputError, match="above 0"):
        acdc(gpt2, random_task(), thresholds)


def test_a_run_goes_on_from_its_journal(gpt2, tmp_path):
    """A run stopped in the middle ends with the circuits, and the measurements, of one that was not."""
    task, path = random_task(n=2, length=5), tmp_path / "journal"

    class Stop(Exception):
        pass

    def stop(done, total):
        if done == total // 2:
            raise Stop

    whole = acdc(gpt2, task, (0.1, 0.01), journal=tmp_path / "whole")
    with pytest.raises(Stop):
        acdc(gpt2, task, (0.1, 0.01), journal=path, progress=stop)
    assert 1 < len(path.read_bytes().splitlines()) < len((tmp_path / "whole").read_bytes().splitlines())
    again = acdc(gpt2, task, (0.1, 0.01), journal=path)
    assert all(torch.equal(again[level].mask, whole[level].mask) for level in whole)
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
