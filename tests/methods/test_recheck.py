"""An estimate of every edge, and exact effects of those that matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr

from circuitsearch import tasks
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, score
from circuitsearch.loading import load
from circuitsearch.methods import EAP, EAPIG, Exact
from circuitsearch.methods.recheck import A_BATCH, Recheck, affordable_edges, cost_of_a_forward, cost_of_an_edge
from circuitsearch.scores import Agreement, Scores
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
    task = tasks.docstring(tokenizer, n=12, seed=0)
    scores = score(model, task, Recheck(EAPIG(5), k=40))
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


def test_the_cost_of_an_edge_is_that_of_what_lies_above_its_reader(gpt2):
    """By hand: of each block upwards all weights, on the six positions from the difference on, and one token's logits."""
    experiment = Experiment(gpt2, random_task())  # 5 prompts of 9 tokens that differ at 3
    block = sum(weight.numel() for weight in gpt2.transformer.h[0].parameters())
    edges_into = {0: 12 + 5, 1: 6 * 12 + 10}  # blocks of four heads: three ports a head, and the MLP's
    above = (edges_into[0] * 2 * block + edges_into[1] * block) / (sum(edges_into.values()) + 11)
    logits = 2 * 40 * 32 * 5
    assert cost_of_an_edge(experiment) == pytest.approx(2 * above * 5 * 6 + logits + A_BATCH)
    assert cost_of_a_forward(experiment) == pytest.approx(2 * 2 * block * 5 * 9 + logits)


def test_the_cost_decides_how_many(gpt2):
    """As many edges as so many operations or forwards pay for, rounded down; at least one, and never more than there are."""
    experiment = Experiment(gpt2, random_task())
    each = cost_of_an_edge(experiment)
    assert affordable_edges(experiment, 57 * each, 0) == 50
    assert affordable_edges(experiment, 0, 57 * each / cost_of_a_forward(experiment)) == 50
    assert affordable_edges(experiment, 1e-9 * each, 0) == 1
    assert affordable_edges(experiment, 1e9 * each, 0) == experiment.graph.n_edges


@pytest.mark.rounded
def test_pico_measures_two_hundred_edges():
    """The number is the same on every machine, for it comes from sizes alone."""
    model, tokenizer = load("pico")
    search, _ = Experiment(model, tasks.ioi(tokenizer, n=256, seed=0)).split()
    assert affordable_edges(search) == 200
