"""Mechanisms: planted tasks of one and of two circuits, the number of clusters, and the effects on each prompt."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.models.planted import plant
from circuitsearch.search.effects import effects_by_prompt
from circuitsearch.validation.clusters import clustered, silhouette

N = 24
QUICK: Any = {"n_resamples": 20, "refine": cs.Refine(passes=1), "clusters": cs.Clusters(samples=19, least=8)}


@cache
def found(motif: str) -> tuple[Any, cs.Mechanisms]:
    """The mechanisms of a planted task."""
    planted = plant(motif, seed=3, n=N)
    return planted, cs.mechanisms(planted.model, planted.task, **QUICK)


def paths(planted: Any) -> list[tuple[set[tuple[str, str]], set[int]]]:
    """Of the XOR: for each head the edges from it to the answer, and the prompts that differ where it looks."""
    mlp = planted.layout.named(("mlp", "logits"))
    return [
        (
            {planted.layout.named(("embed", f"{role}<v>")), planted.layout.named((role, "mlp<in>")), mlp},
            {
                row
                for row in range(len(planted.task))
                if planted.task.clean[row][place] != planted.task.corrupt[row][place]
            },
        )
        for role, place in zip(("first", "second"), planted.layout.sites, strict=False)
    ]


def test_two_kinds_of_prompts_with_circuits_of_their_own_are_two_mechanisms():
    """In a XOR either the one or the other bit differs from the corrupt prompt; each mechanism is one head's path, edge for edge."""
    planted, mechanisms = found("xor")
    assert len(mechanisms) == 2
    assert sorted((sorted(each.circuit.edges), sorted(each.prompts)) for each in mechanisms.mechanisms) == sorted(
        (sorted(edges), sorted(rows)) for edges, rows in paths(planted)
    )
    assert mechanisms.cross["mechanism 1", "mechanism 1"].faithfulness.value == pytest.approx(1, abs=0.01)
    assert mechanisms.cross["mechanism 1", "mechanism 2"].faithfulness.value == pytest.approx(0, abs=0.01)
    assert "the task is 2 mechanisms" in str(mechanisms)


@pytest.mark.parametrize("motif", ["induction", "ioi"])
def test_a_task_of_one_circuit_is_one_mechanism(motif: str):
    """Also where its prompts form clusters, whose circuits then do each other's prompts."""
    planted, mechanisms = found(motif)
    (only,) = mechanisms.mechanisms
    assert set(only.circuit.edges) <= set(planted.edges) and len(only.prompts) == N
    assert "the task is one mechanism" in str(mechanisms)
    assert mechanisms.cross[only.name, only.name].faithfulness.value > 0.9


def test_clusters_that_are_no_mechanisms_are_joined_and_it_is_said():
    """In the planted IOI prompts differ in the order of names, which the effects show."""
    _, mechanisms = found("ioi")
    assert mechanisms.clusters.k == 2 and len(mechanisms) == 1
    assert "1 of the clusters joined, whose circuits do each other's prompts" in str(mechanisms)


def test_circuits_are_measured_on_prompts_that_did_not_find_them():
    """Half of each cluster."""
    for mechanism in found("xor")[1].mechanisms:
        assert set(mechanism.searched) < set(mechanism.prompts) and len(mechanism.searched) == 6
        assert found("xor")[1].cross[mechanism.name, mechanism.name].n == 6


def test_the_circuit_of_one_prompt_is_that_of_its_mechanism():
    """Its strongest edges."""
    _, mechanisms = found("xor")
    for row in (0, 1, 23):
        mechanism = mechanisms.mechanism_of(row)
        assert mechanism is not None
        assert {edge[:2] for edge in mechanisms.of_prompt(row, 3)} == set(mechanism.circuit.edges)
        assert all(effect > 0 for *_, effect in mechanisms.of_prompt(row, 3))
    with pytest.raises(InputError, match="prompts 0 to 23, and none 24"):
        mechanisms.of_prompt(24)


def test_effects_of_a_prompt_are_those_of_a_task_of_it_alone():
    """And add up to about what the metric falls by."""
    planted = plant("induction", seed=1, n=6)
    experiment = cs.Experiment(planted.model, planted.task)
    mask = experiment.graph.mask
    effects = effects_by_prompt(experiment, mask)
    alone = effects_by_prompt(experiment.on(planted.task.subset([4])), mask)
    assert effects[4].tolist() == pytest.approx(alone[0].tolist(), abs=1e-9)
    ((clean, ablated),) = experiment.evaluator.ends()
    assert effects.sum(1).tolist() == pytest.approx((clean - ablated).tolist(), rel=0.1)


def test_prompts_that_the_model_does_not_do_are_left_out_and_what_the_others_have_is_said():
    """Of one, right and wrong answers are exchanged; each mechanism has a value of a factor."""
    planted = plant("xor", seed=3, n=30)
    (_, rows), _ = paths(planted)
    answers, wrong = (list(each) for each in (planted.task.answers, planted.task.wrong))
    answers[5], wrong[5] = wrong[5], answers[5]
    factors = tuple({"place": ("first" if row in rows else "second",), "all": ("same",)} for row in range(30))
    task = replace(planted.task, answers=tuple(answers), wrong=tuple(wrong), factors=factors)
    mechanisms = cs.mechanisms(planted.model, task, **QUICK)
    assert mechanisms.left_out == (5,) and mechanisms.mechanism_of(5) is None and len(mechanisms) == 2
    assert "30 prompts, of which the model does not do 1" in str(mechanisms)
    assert {each.only["place"] for each in mechanisms.mechanisms} == {("first",), ("second",)}
    assert "only here: place 'second'" in str(mechanisms) and "'same'" not in str(mechanisms)


def test_it_can_be_saved(tmp_path: Path):
    """As JSON with the circuits."""
    _, mechanisms = found("xor")
    mechanisms.save(tmp_path / "found.json")
    content = json.loads((tmp_path / "found.json").read_text())
    assert cs.Circuit.from_dict(content["mechanisms"][0]["circuit"]).edges == mechanisms.mechanisms[0].circuit.edges
    assert str(cs.Specificity.from_dict(content["cross"])) == str(mechanisms.cross)


@pytest.mark.slow
def test_two_tasks_of_pico_in_one_are_two_mechanisms():
    """Each with the prompts of one task."""
    model, tokenizer = cs.load("pico")
    tasks = [cs.tasks.induction(tokenizer, n=24), cs.tasks.gendered_pronoun(tokenizer, n=24)]
    columns = [
        [row for task in tasks for row in getattr(task, name)] for name in ("clean", "corrupt", "answers", "wrong")
    ]
    mechanisms = cs.mechanisms(model, cs.Task.from_ids(*columns, name="mixed"), n_resamples=20)
    assert sorted(each.prompts for each in mechanisms.mechanisms) == [tuple(range(24)), tuple(range(24, 48))]


# ---- clusters


@pytest.mark.parametrize("k", [2, 3])
def test_clusters_that_are_apart_are_found(k: int):
    """Points around k centres."""
    rng, truth = np.random.default_rng(0), np.arange(45) % k
    points = rng.normal(size=(45, 6)) + 12 * rng.normal(size=(k, 6))[truth]
    assert clustered(points, 5, 8, 49, 0.05, 0).labels == tuple(truth.tolist())


def test_one_normal_distribution_is_one_cluster():
    """Also a long one; of 20 about one is taken for more."""
    rng = np.random.default_rng(1)
    clouds = [rng.normal(size=(30, 5)) * np.array([5, 1, 1, 0.2, 0.1]) for _ in range(20)]
    assert sum(clustered(points, 4, 8, 39, 0.05, 0).k > 1 for points in clouds) <= 3


def test_points_that_are_all_alike_are_one_cluster():
    """And too few to divide."""
    assert clustered(np.ones((30, 3)), 4, 8, 9, 0.05, 0).k == 1
    assert clustered(np.eye(9), 4, 8, 9, 0.05, 0).k == 1


def test_the_silhouette_is_that_of_its_definition():
    """Point by point."""
    rng = np.random.default_rng(2)
    distances, labels = squareform(pdist(rng.normal(size=(12, 3)))), np.array([0] * 5 + [1] * 6 + [2])
    values = []
    for point in range(12):
        means = {}
        for label in range(3):
            others = [distances[point, other] for other in range(12) if labels[other] == label and other != point]
            means[label] = sum(others) / len(others) if others else None
        own = means.pop(int(labels[point]))
        nearest = min(mean for mean in means.values() if mean is not None)
        values.append(0.0 if own is None else (nearest - own) / max(own, nearest))
    assert silhouette(distances, labels) == pytest.approx(sum(values) / 12)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: cs.mechanisms(*_planted(10)), "24 different prompts or more that the model does, .* has 10"),
        (lambda: cs.mechanisms(*_planted(4), faithfulness=2), "the faithfulness to reach"),
        (lambda: cs.Clusters(least=3), "least must be 4 or more, not 3"),
        (lambda: cs.Clusters(margin=0.0), r"margin must be in \(0, 1\]"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, sentence: str):
    """In a sentence."""
    with pytest.raises(InputError, match=sentence):
        make()


def _planted(n: int) -> tuple[Any, cs.Task]:
    planted = plant("induction", seed=1, n=n)
    return planted.model, planted.task
