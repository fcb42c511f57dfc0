"""Whether a model does a task: two tests, their levels, and what few prompts cannot show."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
import pytest
import torch
from scipy import stats

import circuitsearch as cs
from circuitsearch.validation.significance import TaskTest, chance, signed_rank_p
from tests.search.test_search import doable_task


def by_enumeration(differences: np.ndarray) -> float:
    """Share of all signs of the differences whose positive ranks sum to at least what was seen; zeros have no sign."""
    ranks, moving = stats.rankdata(abs(differences)), differences != 0
    seen = ranks[differences > 0].sum()
    sums = [ranks[moving][np.array(signs)].sum() for signs in product([False, True], repeat=int(moving.sum()))]
    return float(np.mean(np.array(sums) >= seen - 1e-9))


@pytest.mark.parametrize("seed", range(6))
def test_the_signed_rank_test_is_exact(seed):
    """Against all signs one by one, with ties and zeros, and against SciPy without them."""
    rng = np.random.default_rng(seed)
    tied = rng.integers(-2, 5, 11).astype(float)
    assert signed_rank_p(tied) == pytest.approx(by_enumeration(tied))
    loose = rng.normal(0.3, 1, 30)
    assert signed_rank_p(loose) == pytest.approx(stats.wilcoxon(loose, alternative="greater", method="exact")[1])


def test_many_prompts_take_the_normal_approximation():
    """It agrees with the exact distribution at the number where it takes over."""
    values = np.random.default_rng(0).normal(0.2, 1, 51)
    exact = stats.wilcoxon(values, alternative="greater", method="exact")[1]
    assert signed_rank_p(values) == pytest.approx(exact, rel=0.05)


def found_on(n: int, right: int, lower: int = 0, of_chance: float = 0.5) -> TaskTest:
    """Of n prompts, so many right, and so many whose metric is lower than with every edge ablated."""
    ablated = torch.zeros(n)
    clean = torch.arange(1, n + 1) * torch.where(torch.arange(n) < lower, -1, 1)
    return TaskTest.of(clean, ablated, (torch.arange(n) < right).double(), torch.full((n,), of_chance))


def test_accuracy_is_tested_against_chance():
    """14 of 16 right where chance gives a quarter: the tail of the binomial distribution."""
    found = found_on(16, 14, of_chance=0.25)
    assert found.accuracy_p == pytest.approx(sum(comb(16, k) * 0.25**k * 0.75 ** (16 - k) for k in (14, 15, 16)))


@pytest.mark.parametrize(
    ("test", "significant"),
    [(found_on(64, 64), True), (found_on(64, 40), False), (found_on(64, 64, lower=45), False), (found_on(8, 8), True),
     (found_on(8, 7), False), (found_on(8, 8, lower=3), False), (found_on(4, 4), True), (found_on(4, 3), False),
     (found_on(4, 4, lower=1), False), (found_on(1, 1), True), (found_on(1, 0), False)],
)  # fmt: skip
def test_both_tests_must_be_significant(test, significant):
    """At .01; fewer prompts than seven may have no exception."""
    assert test.significant is significant
    assert ("not shown" in test.verdict) is not significant


def test_what_few_prompts_cannot_show_is_said():
    """The smallest p that they can give, and how many prompts reach the level; eight do."""
    assert "4 prompts can show no more than p = 0.062: give 7 or more for the level 0.01" in found_on(4, 4).verdict
    assert "give 44 or more" in found_on(20, 20, of_chance=0.9).verdict
    assert found_on(8, 8).verdict == "the model does the task (level 0.01)"


def test_chance_by_hand():
    """One right and one wrong answer, and one right and three wrong ones."""
    task = cs.Task.from_ids([[1, 2], [2, 3]], [[4, 2], [5, 3]], [[1], [1]], [[2], [2, 3, 4]])
    assert chance(task).tolist() == [0.5, 0.25]


def test_copies_of_a_prompt_are_one_prompt(gpt2):
    """A file that repeats one prompt a hundred times is no evidence."""
    task = doable_task(gpt2)
    found = cs.behaviour(gpt2, task.subset([0, 1] * 50))
    assert found.test is not None and found.test.n == 2 and found.test == cs.behaviour(gpt2, task.subset([0, 1])).test


def test_a_behaviour_that_is_chance_is_refused_in_one_sentence(gpt2):
    """With the figures of both tests, also where the mean of the metric is greater."""
    found = replace(
        cs.behaviour(gpt2, doable_task(gpt2)), test=found_on(64, 36), clean=0.2, ablated=0.1, accuracy=36 / 64
    )
    with pytest.raises(cs.InputError) as refused:
        found.check()
    sentence = str(refused.value)
    assert "does not do the task 'doable' (level 0.01, 64 prompts)" in sentence
    assert len(sentence) + len(40 * "x") + len(30 * "x") - len("doable" + "logit_diff") <= 300  # with the longest names
    assert (
        "accuracy 56.2%" in sentence
        and "binomial p = 0.19 against chance 50.0%" in sentence
        and "Wilcoxon p < 1e-06" in sentence
    )


def test_a_behaviour_without_a_test_is_measured_again(gpt2):
    """A file of an earlier version is read, and cannot be taken as evidence."""
    found = replace(cs.behaviour(gpt2, doable_task(gpt2)), test=None)
    with pytest.raises(cs.InputError, match="measure it again"):
        found.check()
