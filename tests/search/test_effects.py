"""Effects of edges in a circuit."""

from __future__ import annotations

import pytest
import torch

import circuitsearch as cs
from tests.conftest import random_task

pytestmark = pytest.mark.rounded


@pytest.fixture(scope="module")
def experiment() -> cs.Experiment:
    """On pico's induction."""
    model, tokenizer = cs.load("pico")
    return cs.Experiment(model, cs.tasks.induction(tokenizer, n=8, seed=0))


@pytest.fixture(scope="module")
def circuit(experiment: cs.Experiment) -> cs.Circuit:
    """A minimal circuit with its effects."""
    found = cs.minimal(experiment, experiment.task, experiment.score("relp"), 0.95)
    return cs.with_effects(experiment, experiment.task, found)


def effects_of(circuit: cs.Circuit) -> torch.Tensor:
    """(U, V)"""
    assert circuit.effects is not None
    return circuit.effects


def above_no_edges(experiment: cs.Experiment, circuit: cs.Circuit) -> float:
    """The mean metric of a circuit less that of no edges."""
    ((_, ablated),) = experiment.evaluator.ends()
    return float((experiment.evaluator.metric_of(circuit.mask) - ablated).mean())


def test_effects_add_up_to_what_the_circuit_does(experiment: cs.Experiment, circuit: cs.Circuit):
    """But for the five steps; they are not known outside the circuit."""
    effects, does = effects_of(circuit), above_no_edges(experiment, circuit)
    assert torch.equal(effects.isnan(), ~circuit.mask)
    assert abs(float(effects[circuit.mask].sum()) - does) < 0.03 * does


def test_effects_are_slopes_of_the_metric_between_no_edges_and_the_circuit(
    experiment: cs.Experiment, circuit: cs.Circuit
):
    """Against plain runs with a little less of an edge, at each of the steps."""
    effects, metric_of = effects_of(circuit), experiment.evaluator.metric_of
    for row, column in circuit.mask.nonzero()[:4].tolist():
        slopes = []
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            more, less = circuit.mask.double() * share, circuit.mask.double() * share
            more[row, column] += 1e-2
            less[row, column] -= 1e-2
            slopes.append(float((metric_of(more) - metric_of(less)).mean()) / 2e-2)
        assert abs(sum(slopes) / 5 - float(effects[row, column])) < 0.01 * float(effects[circuit.mask].abs().max())


def test_the_rest_of_a_circuit_stays_as_it_was(experiment: cs.Experiment, circuit: cs.Circuit):
    """Edges, scores and certificate are those of the circuit that was given."""
    again = cs.with_effects(experiment, experiment.task, circuit)
    assert torch.equal(again.mask, circuit.mask) and again.scores is circuit.scores
    assert again.certificate is circuit.certificate and again.setup is circuit.setup


def test_another_ablation_than_the_circuits_is_refused(experiment: cs.Experiment, circuit: cs.Circuit):
    """Effects by two ablations cannot be compared."""
    with pytest.raises(cs.InputError, match="made with ablation resample, and you ask for mean"):
        cs.with_effects(experiment.model, experiment.task, circuit, ablation=cs.Mean())


def test_a_circuit_of_another_tool_gets_effects(grouped):
    """It has no setup; the two edges of its one path share what it does."""
    task = random_task()
    experiment = cs.Experiment(grouped, task)
    path = cs.Circuit.from_edges(experiment.graph, [("embed", "a0.kv0<v>"), ("a0.h0", "logits")])
    circuit = cs.with_effects(grouped, task, path)
    does = above_no_edges(experiment, circuit)
    assert abs(float(effects_of(circuit)[circuit.mask].sum()) - does) < 0.05 * abs(does)
