"""Settings travel with the numbers: they are inherited, and a contradiction is refused."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.ablation import Mean, Resample, Zero
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.metrics import logit_diff, prob_diff
from tests.conftest import random_task
from tests.search.test_search import doable_task


@pytest.fixture
def task(gpt2) -> cs.Task:
    """Twelve prompts that the model does."""
    return doable_task(gpt2)


def test_later_verbs_inherit_the_ablation(gpt2, task):
    """Search and report under Mean are those of the scores' own ablation, not of the default."""
    scores = cs.score(gpt2, task, cs.EAPIG(), ablation=Mean())
    circuit = cs.minimal(gpt2, task, scores, 0.7)
    report = cs.validate(gpt2, circuit, task, n_controls=0)
    assert report.ablation == circuit.ablation == scores.ablation == "Mean()"
    assert circuit.certificate is not None
    assert report.faithfulness.value == pytest.approx(circuit.certificate.faithfulness)
    by_hand = Experiment(gpt2, task, Mean()).evaluator
    (kept,), (clean,) = by_hand.circuits(circuit.mask[None]), by_hand.clean()
    (cut,) = by_hand.circuits(torch.zeros_like(circuit.mask)[None])
    assert report.faithfulness.value == pytest.approx(float((kept - cut).mean() / (clean - cut).mean()))


def test_later_verbs_inherit_from_files(gpt2, task, tmp_path):
    """Scores and circuits keep their setup in their files."""
    cs.score(gpt2, task, cs.EAP(), ablation=Zero()).save(tmp_path / "s.safetensors")
    circuit = cs.minimal(gpt2, task, cs.Scores.load(tmp_path / "s.safetensors"), 0.5)
    circuit.save(tmp_path / "c.json")
    again = cs.Circuit.load(tmp_path / "c.json")
    assert again.setup == circuit.setup
    assert cs.validate(gpt2, again, task, n_controls=0).ablation == "Zero()"


@pytest.mark.parametrize(
    ("settings", "metric", "sentence"),
    [
        ({"ablation": Resample()}, None, "made with ablation mean, and you ask for resample"),
        ({"ablation": "mean(over_positions=True)"}, None, "you ask for mean(over_positions=True)"),
        ({"granularity": cs.Granularity(merged_heads=True)}, None, "and you ask for whole attentions and MLPs"),
        ({}, prob_diff, "made with metric logit_diff, and you ask for prob_diff"),
    ],
)
def test_a_contradiction_is_refused_with_both_values(gpt2, task, settings: dict[str, Any], metric, sentence: str):
    """In the search and in the report."""
    scores = cs.score(gpt2, task, cs.EAP(), ablation=Mean())
    other = task if metric is None else replace(task, metric=metric)
    with pytest.raises(InputError) as caught:
        cs.minimal(gpt2, other, scores, 0.5, **settings)
    assert sentence in str(caught.value) and "the scores was" not in str(caught.value)
    with pytest.raises(InputError) as caught:
        cs.validate(gpt2, cs.top(scores, 40), other, **settings)
    assert sentence in str(caught.value)


def test_a_metric_is_compared_by_what_it_computes(gpt2, task):
    """Two functions of one name differ, and one function under two names does not."""

    def times(change: float):
        def metric(logits, batch):
            return change * logit_diff(logits, batch)

        return metric

    scores = cs.score(gpt2, replace(task, metric=times(1.0)), cs.EAP())
    cs.minimal(gpt2, replace(task, metric=times(1.0)), scores, 0.5)
    with pytest.raises(InputError, match="made with metric metric, and you ask for metric"):
        cs.minimal(gpt2, replace(task, metric=times(10.0)), scores, 0.5)


def test_an_ablation_that_holds_prompts_is_given_again(gpt2, task):
    """A file keeps no prompts; the same reference passes, another one does not."""
    reference, other = random_task(seed=5), random_task(seed=6)
    scores = cs.score(gpt2, task, cs.EAP(), ablation=Mean(reference))
    with pytest.raises(InputError, match=r"ablation=Mean\(reference=...\)"):
        cs.minimal(gpt2, task, scores, 0.5)
    assert cs.minimal(gpt2, task, scores, 0.5, ablation=Mean(reference)).ablation == scores.ablation
    with pytest.raises(InputError, match="you ask for mean"):
        cs.minimal(gpt2, task, scores, 0.5, ablation=Mean(other))


def test_scores_from_elsewhere_take_any_setting(gpt2, task):
    """Where nothing is known of how scores were made, nothing is contradicted."""
    scores = cs.score(gpt2, task, cs.EAP())
    circuit = cs.minimal(gpt2, task, replace(scores, setup=None), 0.5, ablation=Mean())
    assert circuit.ablation == "Mean()"


def test_an_experiment_is_given_in_a_models_place(gpt2, task):
    """Its settings are the verb's, and the numbers are those of the same settings given one by one."""
    experiment = Experiment(gpt2, task, ablation="mean", seed=3)  # pyright: ignore[reportArgumentType]
    scores = experiment.score("eap")
    assert torch.equal(scores.values, cs.score(gpt2, task, cs.EAP(), ablation=Mean()).values)
    assert torch.equal(scores.values, cs.score(experiment, task, "eap").values)
    circuit = cs.minimal(experiment, task, scores, 0.5)
    report = cs.validate(experiment, circuit, random_task(n=12, seed=9), n_controls=2)
    assert report.ablation == "Mean()" and report.setup is not None and report.setup.seed == 3
    with pytest.raises(InputError, match="settings of its own: leave out ablation"):
        cs.score(experiment, task, "eap", ablation=Zero())


def test_the_model_is_verified_once_and_prompts_are_recorded_once(gpt2, task, monkeypatch):
    """Whatever is measured on an experiment, and on other prompts of it."""
    verified, recorded = [], []
    verify, made = cs.experiment.verified, Evaluator._new_pairs
    monkeypatch.setattr("circuitsearch.experiment.verified", lambda *a: verified.append(1) or verify(*a))
    monkeypatch.setattr(Evaluator, "_new_pairs", lambda self: recorded.append(1) or made(self))
    experiment = Experiment(gpt2, task)
    cs.behaviour(experiment, task)
    scores = experiment.score("recheck(first=eap, k=3)")
    cs.minimal(experiment, task, scores, 0.5)
    assert (len(verified), len(recorded)) == (1, 1)
    experiment.on(random_task(seed=4)).score("eap")
    assert (len(verified), len(recorded)) == (1, 2)


def test_another_seed_is_another_setup(gpt2, task):
    """With the same prompts and the same verified model; it is checked as any seed is."""
    experiment = Experiment(gpt2, task)
    other = experiment.seeded(3)
    assert (other.setup.seed, experiment.setup.seed) == (3, 0) and other.described is experiment.described
    assert other.setup.identity() == Experiment(gpt2, task, seed=3).setup.identity()
    with pytest.raises(InputError, match="seed must be an integer of 0 or more, not -1"):
        experiment.seeded(-1)


def test_other_prompts_are_checked(gpt2, task):
    """An experiment on a task that does not fit its model is refused."""
    experiment = Experiment(gpt2, task)
    with pytest.raises(InputError, match="outside the model's vocabulary"):
        experiment.on(cs.Task.from_ids([[1, 999]], [[2, 999]], [1], [2]))


def test_a_setup_depends_on_what_counts_alone(gpt2, task):
    """Memory is no part of it; weights, configuration, prompts, metric, ablation, nodes and seed are."""
    own = Experiment(gpt2, task).setup
    assert Experiment(gpt2, task, memory=1 << 22).setup.identity() == own.identity()
    others = [
        Experiment(gpt2, task, Mean()),
        Experiment(gpt2, task, granularity=cs.Granularity(merged_heads=True)),
        Experiment(gpt2, task, seed=1),
        Experiment(gpt2, task.subset(range(4))),
        Experiment(gpt2, replace(task, metric=prob_diff)),
    ]
    assert all(other.setup.identity() != own.identity() for other in others)
    assert [len(own.differences(other.setup)) for other in others] == [1, 1, 1, 2, 1]


def test_prompts_of_the_search_are_known_again(gpt2, task):
    """A report says how many of its prompts the search had."""
    count = len(task)
    search, new = task.subset(range(count - 2)), task.subset(range(count - 4, count))
    circuit = cs.top(cs.score(gpt2, search, cs.EAP()), 60)
    report = cs.validate(gpt2, circuit, new, n_controls=0)
    assert report.n_seen == 2 and "4 prompts, 2 of the search" in str(report)
    assert f"{count - 2} prompts of the search" in str(cs.validate(gpt2, circuit, search, n_controls=0))
    assert "4 prompts\n" in str(cs.validate(gpt2, replace(circuit, setup=None), new, n_controls=0))


def test_copies_are_no_evidence(gpt2, task):
    """The interval is that of the prompts without their copies, and the report says how many there were."""
    some = task.subset(range(3))
    circuit = cs.top(cs.score(gpt2, task, cs.EAP()), 60)
    plain, copied = (cs.validate(gpt2, circuit, one, n_controls=0) for one in (some, some.subset([0, 1, 1, 2, 0])))
    assert copied.faithfulness == plain.faithfulness and (copied.n, copied.n_copies) == (3, 2)
    assert "without 2 copies" in str(copied) and "copies" not in str(plain)


def test_the_likeliest_tokens_are_shown_where_they_are_not_the_answers(gpt2, task):
    """Beside the answers, with their ranks, on the first prompt."""
    found = cs.behaviour(gpt2, replace(task, answers=task.wrong, wrong=task.answers))
    assert found.top1 < 0.5 and "the likeliest tokens are" in found.note and "rank" in found.note


@pytest.mark.rounded
def test_the_likeliest_tokens_are_shown_where_a_third_of_the_answers_are_wrong():
    """Although the likeliest token is right on the other two thirds."""
    model, tokenizer = cs.load("pico")
    task = cs.tasks.induction(tokenizer, n=6)
    swapped = replace(task, answers=(*task.answers[:4], *task.wrong[4:]), wrong=(*task.wrong[:4], *task.answers[4:]))
    found = cs.behaviour(model, swapped)
    assert found.top1 == found.accuracy == pytest.approx(2 / 3) and "the likeliest tokens are" in found.note


@pytest.mark.rounded
def test_no_tokens_are_shown_where_the_answers_are_the_likeliest():
    """The model that does its task says nothing of other tokens."""
    model, tokenizer = cs.load("pico")
    found = cs.behaviour(model, cs.tasks.induction(tokenizer, n=6))
    assert found.top1 > 0.9 and found.note == ""


def test_an_experiment_prints_its_settings(gpt2, task):
    """On one line, without the model's modules."""
    printed = repr(Experiment(gpt2, task, Mean(), seed=2))
    assert printed.startswith("Experiment(GPT2LMHeadModel, Task(") and "Mean()" in printed and "seed=2" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"task": "ioi"}, "the task must be a Task, not 'ioi'"),
        ({"memory": 0}, "memory must be an integer of 1 or more, not 0"),
        ({"memory": 1.5}, "memory must be an integer of 1 or more, not 1.5"),
        ({"seed": -1}, "seed must be an integer of 0 or more, not -1"),
        ({"ablation": Mean}, "the ablation must be a value, not a class: write Mean()"),
        ({"ablation": "men"}, "unknown ablation 'men': did you mean 'mean'"),
        ({"granularity": 3}, "3 is not a granularity"),
    ],
)
def test_what_an_experiment_cannot_be_made_of_is_refused(gpt2, task, arguments: dict[str, Any], sentence: str):
    """In one sentence, before anything is run."""
    with pytest.raises(InputError) as caught:
        Experiment(**{"model": gpt2, "task": task, **arguments})
    assert sentence in str(caught.value)


def test_a_partial_metric_works(gpt2, task):
    """It is named by what it is a part of."""
    scores = cs.score(gpt2, replace(task, metric=functools.partial(logit_diff)), cs.EAP())
    assert torch.equal(scores.values, cs.score(gpt2, task, cs.EAP()).values)
    assert scores.metric == "partial(logit_diff)"
