"""An estimate of every edge, and exact effects of those that matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr

from circuitsearch import tasks
from circuitsearch.errors import InputError
from circuitsearch.loading import load
from circuitsearch.methods import EAP, EAPIG, Exact
from circuitsearch.methods.recheck import Recheck, edges_in_time
from circuitsearch.scores import Agreement, Scores, score
from circuitsearch.search import minimal
from tests.conftest import random_task


def test_the_strongest_are_exact_and_the_rest_is_the_estimate(gpt2):
    """Edge for edge, and the agreement is that of the two over the measured ones."""
    task = random_task()
    estimate, truth = score(gpt2, task, EAP()), score(gpt2, task, Exact())
    scores = score(gpt2, task, Recheck(EAP(), k=15))
    places = estimate.ranking()
    for rank, (row, column) in enumerate(places.tolist()):
        of = truth if rank < 15 else estimate
        assert float(scores.values[row, column]) == pytest.approx(float(of.values[row, column]), abs=1e-12)
    rows, columns = places[:15].T
    first, second = estimate.values[rows, columns], truth.values[rows, columns]
    assert scores.agreement is not None and scores.agreement.n == 15
    assert scores.agreement.spearman == pytest.approx(spearmanr(first, second)[0])
    assert scores.agreement.signs == pytest.approx(float((first.sign() == second.sign()).double().mean()))


def test_edges_around_a_size_may_be_measured(gpt2):
    """Half of them on either side of the rank given."""
    task = random_task()
    estimate = score(gpt2, task, EAP())
    chosen = Recheck(EAP(), k=6, around=20).second(estimate.graph, estimate.values)
    assert chosen.edges == tuple((writer, reader) for writer, reader, _ in estimate.top(23)[17:])


def test_more_than_all_edges_are_all_edges(gpt2):
    """k may be larger than the graph."""
    task = random_task()
    scores, truth = score(gpt2, task, Recheck(EAP(), k=10**6)), score(gpt2, task, Exact())
    assert (scores.values - truth.values).abs().max() < 1e-12


def test_the_agreement_survives_a_file(gpt2, tmp_path):
    """It is part of the scores."""
    scores = score(gpt2, random_task(), Recheck(EAPIG(2), k=8))
    scores.save(tmp_path / "s.safetensors")
    again = Scores.load(tmp_path / "s.safetensors")
    assert again.agreement == scores.agreement
    assert scores.estimate is not None and again.estimate is not None and torch.equal(again.estimate, scores.estimate)
    assert len(again.rankings()) == 2


@pytest.mark.rounded
def test_minimal_takes_the_better_of_both_rankings():
    """A circuit found from the rechecked and the estimated ranking is no larger than that of either alone."""
    model, tokenizer = load("pico")
    task = tasks.agreement(tokenizer, n=24, seed=0)
    scores = score(model, task, Recheck(EAPIG(5), k=60))
    alone = [replace(scores, estimate=None), replace(scores, values=scores.estimate, estimate=None)]
    sizes = [len(minimal(model, task, one)) for one in alone]
    assert len(minimal(model, task, scores)) == min(sizes) and len(set(sizes)) == 2


def test_agreement_of_what_cannot_be_ranked():
    """Constant scores have no rank correlation; edges without effect have no sign."""
    found = Agreement.between(torch.zeros(3), torch.zeros(3))
    assert found.spearman != found.spearman and found.signs == 1.0


@pytest.mark.parametrize("knobs", [{"k": 0}, {"k": -3}, {"around": 0}])
def test_knobs_that_make_no_sense_are_refused(knobs):
    """At least one edge, around at least the first rank."""
    with pytest.raises(InputError, match="at least 1"):
        Recheck(EAP(), **knobs)


def test_the_time_decides_how_many(gpt2, monkeypatch):
    """Edges are timed, and as many as fit are taken, rounded down; never more than there are."""
    seconds = iter([0.0, 4.0] * 3)
    monkeypatch.setattr("circuitsearch.methods.recheck.perf_counter", lambda: next(seconds))
    task = random_task()
    few = edges_in_time(gpt2, task, 8.0)
    assert few in (10, 20, 50)
    assert edges_in_time(gpt2, task, 1e-9) == 1
    assert edges_in_time(gpt2, task, 1e9) == score(gpt2, task, EAP()).graph.n_edges
