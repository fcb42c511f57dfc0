"""Pairs aligned by their spans: ablated edges carry the corrupt prompt's own activations at the corresponding positions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from circuitsearch.ablation import Mean
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.granularity import Granularity
from circuitsearch.instruments import activation_patching, head_roles
from circuitsearch.reachability import prune
from circuitsearch.task import Task
from tests.conftest import granularity_of, tiny_model, verified_once
from tests.engine.plain import plain_circuit, plain_writes
from tests.engine.test_circuit_gradient import assert_scores_are_those_of_runs, on_all
from tests.engine.test_granularity import random_masks

SPANS = Granularity(spans=("S", "END"))


def unequal_task() -> Task:
    """Rows whose clean prompt is shorter, longer, and as long as the corrupt one."""
    clean = [[3, 7, 11, 5, 9], [3, 8, 12, 13, 5, 9], [4, 2, 14, 5, 9], [6, 1, 2, 3, 4]]
    corrupt = [[3, 7, 21, 22, 5, 9], [3, 8, 23, 5, 9], [4, 2, 15, 5, 9], [7, 8, 1, 2, 3, 4]]
    spans = [{"S": (2,), "END": (len(ids) - 1,)} for ids in clean]
    return Task.from_ids(clean, corrupt, [30, 31, 32, 33], [34, 35, 36, 37], spans=spans, align="span")


def by_hand(model, task: Task, granularity=None):
    """What ablated edges carry in one row: the writes of the corrupt prompt, run alone, at the corresponding positions."""

    def ablated_of(row: int) -> torch.Tensor:
        return plain_writes(model, task.corrupt[row], granularity)[:, task.aligned[row]]

    return ablated_of


def test_circuits_are_those_run_by_hand(every_family):
    """Replay and the weighted pass agree with runs prompt by prompt; with every edge ablated the corrupt prompt's logits come out."""
    task = unequal_task()
    evaluator = Evaluator(verified_once(every_family), task)
    ((clean, ablated),) = evaluator.ends()
    for side, found in ((task.clean, clean), (task.corrupt, ablated)):
        logits = [every_family(ids[None]).logits[0, -1] for ids in side]
        own = [each[a] - each[w] for each, a, w in zip(logits, task.answers, task.wrong, strict=True)]
        assert (found - torch.cat(own)).abs().max() < 1e-10
    graph = evaluator.described.graph
    masks = random_masks(graph, (0.5,))
    (joint,) = evaluator.circuits(masks)
    for mask, found in zip(masks, joint, strict=True):
        slow = plain_circuit(every_family, task, mask, by_hand(every_family, task))
        assert (found - slow).abs().max() < 1e-10
        assert (on_all(evaluator, mask)[0] - slow).abs().max() < 1e-10


def test_scores_are_the_derivative_and_exact_effects_the_fall(any_model):
    """EAP is the gradient at the full model; an exact effect is what a run by hand without the edge loses."""
    task = unequal_task()
    experiment = Experiment(any_model, task, granularity=granularity_of(any_model))
    ablated = by_hand(any_model, task)
    assert_scores_are_those_of_runs(experiment, lambda mask: plain_circuit(any_model, task, mask, ablated))


def test_with_nodes_of_spans():
    """The spans are those of the clean prompt."""
    model, task = tiny_model("llama-grouped"), unequal_task()
    evaluator = Evaluator(verified_once(model, SPANS), task)
    graph = evaluator.described.graph
    (mask,) = (prune(graph, mask) for mask in random_masks(graph, (0.6,)))
    (found,) = evaluator.circuits(mask[None])[0]
    whole = Granularity()
    assert (found - plain_circuit(model, task, mask, by_hand(model, task, whole), SPANS)).abs().max() < 1e-10


def test_batches_and_the_shared_prefix_change_nothing(gpt2):
    """Each row by itself has the value that it has in a batch."""
    task = unequal_task()
    described = verified_once(gpt2)
    masks = random_masks(described.graph, (0.5,))
    (joint,) = Evaluator(described, task).circuits(masks)
    for row in range(len(task)):
        (alone,) = Evaluator(described, task.subset([row])).circuits(masks)
        assert (alone[:, 0] - joint[:, row]).abs().max() < 1e-10


def test_means_are_of_corresponding_positions(gpt2):
    """A mean by position averages what corresponds to that position in the corrupt prompts of all clean prompts of that length."""
    task = unequal_task()
    evaluator = Evaluator(verified_once(gpt2), task, Mean())
    writes, five = by_hand(gpt2, task), [0, 2, 3]  # the rows of five tokens
    mean = torch.stack([writes(row) for row in five]).mean(0)
    (mask,) = (prune(evaluator.described.graph, each) for each in random_masks(evaluator.described.graph, (0.6,)))
    found = evaluator.metric_of(mask)[five]
    slow = plain_circuit(gpt2, task, mask, lambda row: mean if row in five else writes(row))[five]
    assert (found - slow).abs().max() < 1e-10


def test_what_needs_one_position_refuses(gpt2):
    """Roles of heads compare shuffled pairs, and have no meaning where the lengths differ."""
    with pytest.raises(InputError, match="shuffled alike"):
        head_roles(gpt2, unequal_task())
    with pytest.raises(InputError, match="exchanges activations of one position"):
        activation_patching(gpt2, unequal_task().subset([0]))
    blind = replace(verified_once(gpt2), causal=False)
    with pytest.raises(InputError, match="reads later tokens"):
        Evaluator(blind, unequal_task()).ends()
