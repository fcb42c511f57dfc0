"""The battery that every method must pass."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file

from circuitsearch import metrics
from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.graph import Graph
from circuitsearch.methods import (
    EAP,
    EAPIG,
    GIM,
    CleanCorrupt,
    Conductance,
    EAPIGActivations,
    EdgePruning,
    Ensemble,
    Exact,
    Matryoshka,
    QKFix,
    Recheck,
    RelP,
)
from circuitsearch.models.planted import INDUCTION_EDGES, induction_model, induction_task
from circuitsearch.registry import METHODS
from circuitsearch.scores import Scores
from circuitsearch.search import minimal
from circuitsearch.task import Task
from tests.conftest import blind_to, mixed_task, random_task

ALL = [
    EAP(),
    EAPIG(steps=3),
    EAPIGActivations(steps=2),
    CleanCorrupt(),
    Conductance(steps=3),
    RelP(),
    GIM(),
    QKFix(),
    QKFix(EAPIG(steps=2)),
    Exact(),
    Recheck(EAP(), k=20),
]
# Of methods that rank by all prompts at once, whose scores are no effects; with few steps and without parts of the prompts.
RANKERS = [
    Matryoshka(steps=3, rate=0.5),
    EdgePruning(steps=3),
    Ensemble((EAP(), EAPIG(steps=2))),
    Ensemble((EAP(), EAPIG(steps=2)), ranks=True),
]


def test_the_battery_runs_every_method():
    """No method goes untested."""
    assert {type(method) for method in ALL + RANKERS} == set(map(METHODS.load, METHODS.names()))


@pytest.mark.parametrize("method", ALL + RANKERS, ids=repr)
def test_scores_are_zero_off_the_graph(method, grouped):
    """Pairs that are no edge score exactly zero."""
    scores = score(grouped, random_task(), method)
    assert (scores.values[~scores.graph.mask] == 0).all()
    assert (scores.values[scores.graph.mask] != 0).any()


@pytest.mark.parametrize("method", ALL, ids=repr)
def test_scores_are_zero_where_clean_is_corrupt(method, gpt2):
    """With nothing to cut away no edge has an effect."""
    task = random_task(1)
    assert score(blind_to(gpt2, task), task, method).values.abs().max() < 1e-12


@pytest.mark.parametrize("method", ALL + RANKERS, ids=repr)
def test_scores_do_not_depend_on_batching(method, gpt2):
    """Batches of 1, 4 and all, also in another order, of mixed lengths, give the same scores."""
    task = mixed_task()
    reference = score(gpt2, task, method)
    shuffled = task.subset([5, 0, 8, 3, 7, 1, 6, 2, 4])
    scale = reference.values.abs().max()
    for rows, order in ((1, task), (4, shuffled)):
        values = score(gpt2, order, method, memory=rows * _bytes_a_prompt(gpt2, task)).values
        assert (values - reference.values).abs().max() < 1e-10 * scale


@pytest.mark.parametrize("method", ALL + RANKERS, ids=repr)
def test_a_longer_shared_prefix_changes_nothing(method, gpt2):
    """The same prompts scored without their prefix being shared give the same scores."""
    task = random_task(differs_at=6)
    whole = Task.from_ids(task.clean, task.corrupt, task.answers, task.wrong, position=task.position)
    object.__setattr__(whole, "_first_difference", lambda row: 0)
    shared, unshared = score(gpt2, task, method).values, score(gpt2, whole, method).values
    assert (shared - unshared).abs().max() < 1e-10 * shared.abs().max()


@pytest.mark.parametrize("method", ALL + RANKERS, ids=repr)
def test_the_planted_circuit_is_found(method):
    """The three edges built by hand come out as the minimal circuit, whatever method ranked the edges."""
    model, task = induction_model(), induction_task()
    circuit = minimal(model, task, score(model, task, method))
    assert set(circuit.edges) == set(INDUCTION_EDGES)


def test_eap_ig_of_many_steps_sums_to_the_metric_on_the_last_edges():
    """Along the straight path of the input, effects of edges into the logits add up to the metric's change."""
    model, task = induction_model(), induction_task()
    to_logits = score(model, task, EAPIG(steps=200)).values[:, -1].sum()
    clean = torch.stack([_metric(model, ids, task, row) for row, ids in enumerate(task.clean)]).mean()
    corrupt = torch.stack([_metric(model, ids, task, row) for row, ids in enumerate(task.corrupt)]).mean()
    assert float(to_logits) == pytest.approx(float(clean - corrupt), rel=0.15)


@pytest.mark.parametrize("metric", [metrics.logit_diff, metrics.prob_diff, metrics.log_likelihood, metrics.neg_kl])
def test_every_metric_can_be_scored(metric, gpt2):
    """Integrated gradients of each smooth metric give finite scores that are not all zero."""
    base = random_task()
    task = Task.from_ids(base.clean, base.corrupt, base.answers, base.wrong, metric=metric)
    values = score(gpt2, task, EAPIG(steps=2)).values
    assert values.isfinite().all() and values.abs().max() > 1e-8


def test_exact_of_chosen_edges_leaves_the_others_unscored(gpt2):
    """Exact(edges) measures those alone, and says NaN for the rest."""
    edges = (("embed", "a1.h2<q>"), ("m0", "logits"))
    some, everything = score(gpt2, random_task(), Exact(edges=edges)), score(gpt2, random_task(), Exact())
    assert int(some.scored.sum()) == 2
    for edge in edges:
        assert some[edge] == pytest.approx(everything[edge], abs=1e-12)
    assert some.to_dict().keys() == {"embed->a1.h2<q>", "m0->logits"}


def test_scores_survive_a_file(tmp_path, gpt2):
    """Saving and loading gives back every number and every choice."""
    scores = score(gpt2, random_task(), EAP())
    scores.save(tmp_path / "scores.safetensors")
    again = Scores.load(tmp_path / "scores.safetensors")
    assert torch.equal(again.values, scores.values)
    assert (again.graph, repr(again)) == (scores.graph, repr(scores))


@pytest.mark.rounded
@pytest.mark.parametrize(
    ("tensors", "about", "words"),
    [
        ({}, None, "'values' must be float64 [4, 8], and is missing"),
        ({"values": torch.zeros(9, 4)}, None, "and is float32 [9, 4]"),
        ({"values": torch.zeros(4, 8).double(), "more": torch.zeros(1)}, None, "'more'"),
        ({"values": torch.zeros(4, 8).double()}, {"setup": {"n": 3}}, "missing"),
        ({"values": torch.zeros(4, 8).double()}, {"graph": {"n_layers": 4000}}, "missing"),
    ],
)
def test_a_file_that_holds_no_scores_is_refused(tmp_path, tensors, about, words):
    """A broken file is named in one sentence, which says what is wrong in it."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not scores")
    with pytest.raises(InputError, match=r"x\.safetensors is not a file of scores"):
        Scores.load(path)
    whole = {"graph": asdict(Graph(1, 2, 2))}
    save_file(tensors, path, {"scores": json.dumps(whole | (about or {}))})
    with pytest.raises(InputError, match=r"x\.safetensors is not a file of scores") as caught:
        Scores.load(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["eap-igg", "EAPIG(steps=0)", "EAPIG(stepz=3)", "EAPIG(steps=", "EAPIG(3, 4)", "exact(edges=__import__('os'))"],
)
def test_methods_that_make_no_sense_are_refused(text):
    """A misspelt method or knob is an error with a sentence, and nothing is evaluated."""
    with pytest.raises(InputError):
        METHODS.read(text)


@pytest.mark.parametrize("method", ALL + RANKERS, ids=repr)
def test_a_method_is_rebuilt_from_what_it_prints(method):
    """repr is enough to rebuild a method."""
    assert METHODS.read(repr(method)) == method


def _bytes_a_prompt(model, task):
    from circuitsearch.engine.pair import bytes_per_prompt
    from circuitsearch.models.describe import describe

    return bytes_per_prompt(describe(model), task.max_length)


def _metric(model, ids, task, row):
    logits = model(ids[None]).logits[0, -1]
    return logits[task.answers[row][0]] - logits[task.wrong[row][0]]


@pytest.mark.parametrize("edges", [(), 5, "embed", [("embed",)], [("embed", "logits", 1.0)], [(0, 1)]])
def test_edges_to_measure_are_pairs_of_names(edges):
    """Other entries, as of a table of scores, are refused with how to write them."""
    with pytest.raises(InputError, match=r"pairs of names, as in \[\('a0.h1', 'logits'\)\]"):
        Exact(edges=edges)
