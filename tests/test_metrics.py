"""Metrics by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from circuitsearch import metrics
from circuitsearch.errors import InputError
from circuitsearch.registry import METRICS
from circuitsearch.task import Task

LOGITS = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]], dtype=torch.float64))


@pytest.fixture
def batch():
    """Two prompts: right {2, 3} and {0}, wrong {1} and {1, 2}."""
    return next(iter(Task.from_ids([[1], [2]], [[3], [3]], [[2, 3], [0]], [[1], [1, 2]]).batches()))


def test_logit_diff(batch):
    """Mean right logit less mean wrong logit, padding left out."""
    expected = [(math.log(0.3) + math.log(0.4)) / 2 - math.log(0.2), math.log(0.7) - math.log(0.1)]
    assert metrics.logit_diff(LOGITS, batch).tolist() == pytest.approx(expected)


def test_prob_diff(batch):
    """Sum of right probabilities less sum of wrong ones."""
    assert metrics.prob_diff(LOGITS, batch).tolist() == pytest.approx([0.7 - 0.2, 0.7 - 0.2])


def test_log_likelihood(batch):
    """Log of the right answers' joint probability."""
    assert metrics.log_likelihood(LOGITS, batch).tolist() == pytest.approx([math.log(0.7)] * 2)


def test_neg_kl(batch):
    """Minus the divergence from the clean distribution: zero for itself, by hand for another, an error without one."""
    assert metrics.neg_kl(LOGITS, replace(batch, clean_logits=LOGITS)).tolist() == pytest.approx([0, 0])
    flat = torch.zeros(2, 4, dtype=torch.float64)
    by_hand = [-sum(p * math.log(p / 0.25) for p in row) for row in LOGITS.exp().tolist()]
    assert metrics.neg_kl(flat, replace(batch, clean_logits=LOGITS)).tolist() == pytest.approx(by_hand)
    with pytest.raises(InputError, match="clean model's logits"):
        metrics.neg_kl(LOGITS, batch)


def test_accuracy_and_top1(batch):
    """The best right answer against the wrong ones, and against the whole vocabulary."""
    worse = LOGITS.clone()
    worse[1] = torch.log(torch.tensor([0.3, 0.1, 0.2, 0.4], dtype=torch.float64))
    assert metrics.accuracy(worse, batch).tolist() == [1, 1]
    assert metrics.top1(worse, batch).tolist() == [1, 0]


def test_an_unknown_metric_names_the_nearest():
    """A misspelt metric is answered with the right name."""
    with pytest.raises(InputError, match="did you mean 'logit_diff'"):
        METRICS.read("logitdif")
