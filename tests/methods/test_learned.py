"""Learned rankings and ensembles: what is trained, by finite differences and closed forms, and what it finds."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import rankdata

import circuitsearch as cs
from benchmarks.truth import average_precision
from circuitsearch.formats.elements import elements
from circuitsearch.methods.edge_pruning import drawn_gates, probability_open
from circuitsearch.methods.matryoshka import soft_top_k, through_top_k
from circuitsearch.methods.objective import Objective
from circuitsearch.models.planted import Design, plant
from circuitsearch.references.compare import auroc
from circuitsearch.registry import METHODS
from circuitsearch.scores import Scores, are_effects
from circuitsearch.summary import meaning
from tests.conftest import blind_to, random_task

TRAINED = [cs.Matryoshka(steps=2), cs.EdgePruning(steps=2)]
MATRYOSHKA, PRUNING = cs.Matryoshka(steps=20, rate=0.5), cs.EdgePruning(steps=40)


@pytest.fixture(scope="module")
def planted():
    """A two-hop lookup among distractors, where EAP ranks false edges above true ones."""
    return plant(
        "two-hop", 1, n=8, design=Design(layers=3, heads=2, distractor_heads=1, distractor_mlps=1, rotated=True)
    )


# ---- what is trained


@pytest.mark.parametrize("k", [0.5, 1, 3.7, 19])
def test_soft_masks_sum_to_k(k):
    """At any temperature, in the order of the values; also where all are equal."""
    values = torch.randn(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 5
    for temperature in (0.01, 0.5, 10.0):
        weights = soft_top_k(values, k, temperature)
        assert float(weights.sum()) == pytest.approx(k, abs=1e-9)
        assert (weights[values.argsort()].diff() >= 0).all() and ((weights >= 0) & (weights <= 1)).all()
    assert torch.allclose(soft_top_k(torch.zeros(20).double(), k, 0.5), torch.full((20,), k / 20).double())


@pytest.mark.parametrize("overshoot", [False, True])
def test_the_gradient_of_the_training_loss_is_that_of_finite_differences(overshoot, gpt2):
    """Through the model, the prompts' mean and the soft mask, in some values, of prompts in two parts."""
    experiment = cs.Experiment(gpt2, random_task(n=6))
    generator = torch.Generator().manual_seed(0)
    objective = Objective.of(experiment, 3, overshoot, generator)
    values = torch.randn(experiment.graph.n_edges, dtype=torch.float64, generator=generator)
    part = objective.drawn(generator)

    def loss(of: torch.Tensor) -> float:
        return objective(part, soft_top_k(of, 30.0, 0.5))[0]

    weights = soft_top_k(values, 30.0, 0.5)
    gradient = through_top_k(weights, objective(part, weights)[1], 0.5)
    for edge in [*gradient.abs().topk(3).indices.tolist(), 0]:
        step = torch.zeros_like(values)
        step[edge] = 1e-4
        difference = (loss(values + step) - loss(values - step)) / 2e-4
        assert float(gradient[edge]) == pytest.approx(difference, rel=1e-5, abs=1e-8)


def test_the_loss_is_the_mean_distance_from_the_model(gpt2):
    """Of all weights 1 it is 0, of none 1, and the parts together are all prompts, whatever an ablation is fitted to."""
    for ablation in (cs.Resample(), cs.Mean(), cs.Zero()):
        experiment = cs.Experiment(gpt2, random_task(n=5), ablation=ablation)
        objective = Objective.of(experiment, 2, False, torch.Generator().manual_seed(0))
        n_edges, sizes = experiment.graph.n_edges, [len(part.clean) for part in objective.parts]
        empty = [objective(part, torch.zeros(n_edges).double())[0] for part in objective.parts]
        assert sum(value * size for value, size in zip(empty, sizes, strict=True)) / 5 == pytest.approx(1)
        assert all(objective(part, torch.ones(n_edges).double())[0] < 1e-12 for part in objective.parts)
        ((clean, ablated),) = experiment.evaluator.ends()
        assert objective.fall == pytest.approx(float((clean - ablated).abs().mean()))


def test_gates_are_open_as_often_as_their_probability_says():
    """Of a hard concrete gate, over 40,000 draws."""
    log_alpha = torch.tensor([-3.0, -1.5, 0.0, 2.0]).double()
    drawn = drawn_gates(log_alpha.expand(40000, 4), torch.Generator().manual_seed(0))
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert torch.allclose((drawn > 0).double().mean(0), probability_open(log_alpha), atol=0.01)


# ---- what it finds


@pytest.mark.parametrize("method", [MATRYOSHKA, PRUNING], ids=lambda method: type(method).__name__)
def test_true_edges_come_first(method, planted):
    """On a planted model with distractors a learned ranking has all true edges at its top."""
    experiment = cs.Experiment(planted.model, planted.task)
    mask = experiment.graph.mask
    true = experiment.graph.edge_mask(planted.edges)[mask]
    learned = experiment.score(method).values[mask]
    assert auroc(learned, true) > 0.99 and average_precision(learned, true) > 0.95


def test_overshoot_is_rewarded_only_if_asked_for(gpt2):
    """The strongest half of the edges then has a metric above the model's, and otherwise one near it."""
    experiment = cs.Experiment(gpt2, random_task(n=4))
    ((clean, ablated),) = experiment.evaluator.ends()
    over = []
    for overshoot in (False, True):
        scores = experiment.score(cs.Matryoshka(steps=12, rate=0.5, overshoot=overshoot))
        half = cs.top(scores, scores.graph.n_edges // 2).mask
        over.append(float((experiment.evaluator.metric_of(half) - clean).mean() / (clean - ablated).abs().mean()))
    assert over[1] > 0.5 and abs(over[0]) < over[1] / 2


@pytest.mark.parametrize(
    "method", [*TRAINED, cs.Ensemble((cs.EAP(), cs.Matryoshka(steps=2)))], ids=lambda method: type(method).__name__
)
def test_a_ranking_follows_from_the_seed(method, gpt2):
    """Twice the same, and another with another seed; in 0 ... 1, zero off the graph, its progress told to the end."""
    told: list[float] = []
    task = random_task(n=3)
    first, again, other = (
        cs.Experiment(gpt2, task, seed=seed).score(method, progress=lambda done, total: told.append(done / total))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first.values, again.values) and not torch.equal(first.values, other.values)
    assert (first.values[~first.graph.mask] == 0).all() and ((first.values >= 0) & (first.values <= 1)).all()
    one = told[: len(told) // 3]
    assert one == sorted(one) and one[-1] == 1 and told == one * 3


# ---- ensembles


def test_an_ensemble_is_the_mean_of_what_its_methods_say(gpt2):
    """Of magnitudes over the largest, and of ranks."""
    experiment = cs.Experiment(gpt2, random_task())
    mask, methods = experiment.graph.mask, (cs.EAP(), cs.Exact())
    one, other = (experiment.score(method).values.abs() for method in methods)
    mean = (one / one.max() + other / other.max()) / 2
    assert torch.allclose(experiment.score(cs.Ensemble(methods)).values, mean)
    ranks = sum(torch.from_numpy(rankdata(each[mask].numpy())) for each in (one, other)) / (2 * mask.sum())
    assert torch.allclose(experiment.score(cs.Ensemble(methods, ranks=True)).values[mask], ranks)


def test_edge_pruning_starts_from_a_ranking(gpt2):
    """A sequential ensemble that has hardly been trained ranks as the method that it started from; without one all edges are alike."""
    experiment = cs.Experiment(gpt2, random_task())
    mask = experiment.graph.mask
    started, alike = (
        experiment.score(cs.EdgePruning(steps=1, rate=1e-9, start=start)).values[mask] for start in (cs.EAP(), None)
    )
    first = rankdata(experiment.score(cs.EAP()).values[mask].abs().numpy())
    assert (rankdata(started.round(decimals=6).numpy()) == first).all()
    assert (
        alike.max() - alike.min() < 1e-6 and started.min() < alike.min() and float(started.max() - alike.max()) < 1e-6
    )


# ---- strengths are no effects


def test_strengths_are_told_from_effects(tmp_path, gpt2):
    """By the setup, so that a file, a table and a figure claim neither a unit nor a sign."""
    learned, estimated = (cs.score(gpt2, random_task(), method) for method in (cs.Matryoshka(steps=1), cs.EAP()))
    learned.save(tmp_path / "scores.safetensors")
    assert not Scores.load(tmp_path / "scores.safetensors").are_effects
    assert estimated.are_effects and are_effects(None)
    assert "fall of" not in learned._repr_html_() and "fall of" in estimated._repr_html_()
    assert {link.sign for link in elements(cs.top(learned, 20)).links} == {"unknown"}
    cs.draw(cs.top(learned, 20), tmp_path / "circuit.svg")
    drawn = (tmp_path / "circuit.svg").read_text()
    assert "no sign" in drawn and meaning(1.0) not in drawn


# ---- bad input


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("matryoshka(steps=0)", "steps must be above 0"),
        ("matryoshka(temperature=-1)", "temperature must be above 0"),
        ("matryoshka(prompts='all')", "prompts must be an integer"),
        ("edge-pruning(share=1.5)", "share must be below 1"),
        ("edge-pruning(rate=0)", "rate must be above 0"),
        ("edge-pruning(start=3)", "start is not a method"),
        ("ensemble(methods=(eap,))", "two methods or more"),
        ("ensemble(methods=(eap, 5))", "not a method"),
        ("conductance(steps=0)", "at least 1"),
        ("recheck(first=matryoshka)", "first must be"),
    ],
)
def test_bad_knobs_are_refused(text, words):
    """In one sentence that names the knob."""
    with pytest.raises(cs.InputError, match=words):
        METHODS.read(text)


def test_there_must_be_something_to_learn(gpt2):
    """Where clean is corrupt no ranking can be trained."""
    task = random_task(1)
    for method in TRAINED:
        with pytest.raises(cs.InputError, match="no ranking can be learned"):
            cs.score(blind_to(gpt2, task), task, method)


def test_an_ensemble_needs_every_edge_scored(gpt2):
    """Exact effects of some edges leave the others without a score."""
    some = cs.Exact(edges=(("embed", "logits"),))
    with pytest.raises(cs.InputError, match="leaves edges without a score"):
        cs.score(gpt2, random_task(), cs.Ensemble((cs.EAP(), some)))
