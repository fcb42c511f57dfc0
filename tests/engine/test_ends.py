"""The metric of the model, and with every edge ablated."""

from __future__ import annotations

import pytest
import torch

import circuitsearch as cs
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.verify import verified
from circuitsearch.metrics import accuracy

pytestmark = pytest.mark.rounded


@pytest.fixture
def evaluator() -> Evaluator:
    """Of pico on a few prompts."""
    model, tokenizer = cs.load("pico")
    return Evaluator(verified(model), cs.tasks.ioi(tokenizer, n=12))


def test_they_are_those_of_the_separate_calls(evaluator: Evaluator):
    """For each metric; the activations may be kept or not."""
    for memory in (evaluator.memory, 1):
        evaluator = Evaluator(evaluator.described, evaluator.task, memory=memory)
        empty = torch.zeros_like(evaluator.described.graph.mask)[None]
        metrics = evaluator.task.metric, accuracy
        cleans, ablateds = evaluator.clean(*metrics), evaluator.circuits(empty, *metrics)
        for (clean, ablated), model, none in zip(evaluator.ends(*metrics), cleans, ablateds, strict=True):
            assert torch.equal(clean, model) and torch.equal(ablated, none[0])


def test_they_are_measured_once(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch):
    """A second call runs nothing, also after the activations were released; another metric does."""
    first = evaluator.ends()
    evaluator.release()
    monkeypatch.setattr(evaluator, "_contexts", lambda: pytest.fail("the prompts were run again"))
    assert all(torch.equal(a, b) for a, b in zip(first[0], evaluator.ends()[0], strict=True))
    with pytest.raises(pytest.fail.Exception):
        evaluator.ends(accuracy)


def test_released_activations_are_computed_again(evaluator: Evaluator):
    """With the same results."""
    mask = cs.Experiment(evaluator.described.model, evaluator.task).graph.mask[None]
    before = evaluator.circuits(mask)[0]
    kept = set(vars(evaluator))
    evaluator.release()
    assert len(set(vars(evaluator))) < len(kept)
    assert torch.equal(evaluator.circuits(mask)[0], before)
