"""Faithfulness on prompts that are new in one factor: which prompts they are, and that the numbers are those of the report."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import circuitsearch as cs
from circuitsearch.validation import generalisation
from circuitsearch.validation.checks.new_prompts import _conditions
from tests.conftest import random_task
from tests.search.test_search import doable_task

FACTORS = ("names", "words", "templates")


@pytest.fixture(scope="module")
def parts():
    """Two halves of the prompts of pico's ioi, with other names, words and templates, as experiments."""
    model, tokenizer = cs.load("pico")
    return cs.Experiment(model, cs.tasks.ioi(tokenizer, n=48, seed=0), seed=3).split(0.5)


def test_written_prompts_are_new_in_what_they_say(parts):
    """Values of a new factor are the evaluation's and none of the selection's; all others the selection's; no prompt was seen."""
    selection, evaluation = parts
    found = dict(_conditions(selection, evaluation, 20))
    assert list(found) == [(), ("names",), ("words",), ("templates",), FACTORS]
    assert found[FACTORS] is evaluation.task
    for new, task in found.items():
        assert new == FACTORS or 15 <= len(task) <= 20
        assert not set(task.prompt_digests()) & set(selection.task.prompt_digests())
        for factor in FACTORS:
            values = {value for factors in task.factors for value in factors[factor]}
            own = (evaluation if factor in new else selection).task.writer.pools[factor]
            assert values <= set(own)
    assert not set(selection.task.writer.pools["names"]) & set(evaluation.task.writer.pools["names"])


@pytest.mark.rounded
def test_the_numbers_are_those_of_a_report_on_the_same_prompts(parts):
    """With their intervals, for every kind of new prompts; and a label says what is new."""
    selection, evaluation = parts
    circuit = cs.top(selection.score("eap"), 80)
    found = generalisation(circuit, selection, evaluation, n=10, n_resamples=200)
    assert [each.label for each in found][:2] == ["new prompts", "new names"]
    assert found[-1].label == "new names, words, templates"
    for each, (new, task) in zip(found, _conditions(selection, evaluation, 10), strict=True):
        report = cs.validate(evaluation, circuit, task, n_controls=0, n_resamples=200)
        assert (each.new, each.n) == (new, report.n)
        for ours, theirs in ((each.faithfulness, report.faithfulness), (each.per_prompt, report.per_prompt)):
            assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=1e-5)


def test_rows_of_a_file_are_divided_by_what_the_search_had(gpt2):
    """Rows with a known and with a new name, and a kind with too few rows."""
    task = doable_task(gpt2, random_task(n=24))
    names = ["Ann"] * 6 + ["Bob"] * 9 + ["Ann"] * 8 + ["Cy"]
    factors = [{"names": (name,), "templates": ("1",)} for name in names]
    whole = replace(task, factors=tuple(factors))
    selection, evaluation = (cs.Experiment(gpt2, whole.subset(rows)) for rows in (range(6), range(6, 24)))
    circuit = cs.top(selection.score("eap"), 40)
    found = generalisation(circuit, selection, evaluation, n_resamples=100)
    assert [(each.new, each.n) for each in found] == [((), 8), (("names",), 10)]
    fewer = evaluation.on(evaluation.task.subset(range(16)))
    assert [each.n for each in generalisation(circuit, selection, fewer)] == [9]


def test_prompts_without_factors_have_no_such_numbers(gpt2):
    """Neither a writer nor values."""
    experiment = cs.Experiment(gpt2, doable_task(gpt2, random_task()))
    circuit = cs.top(experiment.score("eap"), 40)
    assert generalisation(circuit, experiment, experiment) == ()


def test_where_the_model_fails_there_is_no_faithfulness(gpt2):
    """Right and wrong answers swapped: not defined, and no error that stops a run."""
    task = replace(doable_task(gpt2, random_task(n=10)), factors=tuple({"names": ("Ann",)} for _ in range(10)))
    good = cs.Experiment(gpt2, task)
    circuit = cs.top(good.score("eap"), 40)
    swapped = good.on(replace(task, answers=task.wrong, wrong=task.answers))
    (found,) = generalisation(circuit, good, swapped)
    assert str(found.faithfulness) == "not defined" and not torch.tensor(found.per_prompt.value).isnan()
