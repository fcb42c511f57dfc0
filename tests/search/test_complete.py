"""Complete circuits: what can take the place of edges, what opposes the behaviour, and how edges work together."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import cast

import pytest
import torch

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.models.planted import Design, Planted, plant
from circuitsearch.redundancy import ALTERNATIVE, BACKUP, INTERACTS, NEEDED, OPPOSES, Redundancy
from circuitsearch.search.alternatives import Alternatives
from circuitsearch.search.gates import Gates
from circuitsearch.search.interactions import Interactions
from circuitsearch.search.minimal import Elimination
from circuitsearch.target import reaches

SMALL = Design(layers=3, heads=3, distractor_heads=2, noise=0.002, rotated=True)


@cache
def planted(motif: str) -> Planted:
    return plant(motif, seed=3, n=16, design=SMALL)


@cache
def experiment(motif: str) -> cs.Experiment:
    task = replace(planted(motif).task, writer=None)  # so that all is measured on the same prompts
    return cs.Experiment(planted(motif).model, task)


@cache
def completed(motif: str) -> cs.Circuit:
    """From the first of the sufficient sets of edges."""
    ours = experiment(motif)
    minimal = cs.Circuit.from_edges(ours.graph, sorted(planted(motif).sufficient[0]))
    return cs.complete(ours, ours.task, minimal)


def redundancy(motif: str) -> Redundancy:
    found = completed(motif).redundancy
    assert found is not None
    return found


def named(edges) -> set[str]:
    return {f"{writer}->{reader}" for writer, reader in edges}


@pytest.mark.parametrize("motif", ["or", "vote", "backup", "negative", "and", "step", "xor", "induction"])
def test_the_true_edges_and_no_other_are_in_the_complete_circuit(motif: str):
    """Whichever sufficient set the search found first."""
    assert set(completed(motif).edges) == set(planted(motif).edges)


@pytest.mark.parametrize("motif", ["or", "vote", "backup"])
def test_each_circuit_has_none_of_the_forbidden_edges_and_reaches_the_target(motif: str):
    """Run by itself; it is one of the planted sufficient sets."""
    ours, known = experiment(motif), redundancy(motif)
    measure = Faithfulness(ours)
    for each in known.alternatives:
        assert not set(each.edges) & set(each.forbidden)
        if each.edges:
            edges = frozenset((edge.split("->")[0], edge.split("->")[1]) for edge in each.edges)
            value = measure.measured_alone(ours.graph.edge_mask(edges)).value
            assert edges in planted(motif).sufficient
            assert reaches(value, 0.9) and value == pytest.approx(each.faithfulness, abs=1e-6)


def test_of_a_vote_any_two_heads_of_three():
    """All three pairs are found, and the last edge is in each."""
    known = redundancy("vote")
    assert len(known.circuits) == 3
    roles = set(known.roles.values())
    assert roles == {NEEDED, ALTERNATIVE}
    assert [edge for edge, role in known.roles.items() if role == NEEDED] == [
        edge for edge in known.roles if edge.endswith("->logits")
    ]


def test_a_backup_is_told_from_an_alternative_by_what_silences_it():
    """Its own edges are a backup's; those that silence it oppose the behaviour."""
    known, truth = redundancy("backup"), planted("backup")
    opposing = named(truth.opposing)
    assert {edge for edge, role in known.roles.items() if role == OPPOSES} == opposing
    assert {edge for edge, role in known.roles.items() if role == BACKUP} == named(truth.sufficient[1]) - opposing
    assert BACKUP not in redundancy("or").roles.values()


def test_negative_edges_are_added_and_marked():
    """They are in no minimal circuit, but cut alone each raises the metric."""
    roles = redundancy("negative").roles
    assert {edge for edge, role in roles.items() if role == OPPOSES} == named(planted("negative").opposing)


@pytest.mark.parametrize(("motif", "kind"), [("or", "OR"), ("and", "AND"), ("vote", "2 of 3"), ("xor", "SUM")])
def test_gates_are_named(motif: str, kind: str):
    """At the MLP, where the edges of the heads meet. In a prompt of XOR only one of the bits differs, so that the effects add up."""
    assert [gate.kind for gate in redundancy(motif).gates if gate.reader.startswith("m")] == [kind]


def test_a_circuit_without_redundancy_stays_as_it_is():
    """No edge is forbidden: the model needs each as much as the circuit does."""
    known = redundancy("induction")
    assert set(known.roles.values()) == {NEEDED} and known.alternatives == ()
    assert known.untried == len(completed("induction")) == len(planted("induction").edges)


def test_noising_and_denoising_are_told_apart():
    """The circuit of one branch of an OR needs it, the model does not."""
    ours, known = experiment("or"), redundancy("or")
    measure = Faithfulness(ours)
    for edge, value in known.without_in_model.items():
        mask = ours.graph.mask.clone()
        mask[ours.graph.find_writer(edge.split("->")[0]), ours.graph.find_reader(edge.split("->")[1])] = False
        assert value == pytest.approx(measure.measured_alone(mask).value, abs=1e-6)
        needed = known.roles[edge] == NEEDED
        assert (value < 0.2) if needed else (value > 0.9)


def test_what_takes_the_place_of_an_edge():
    """The other branch of an OR."""
    known, truth = redundancy("or"), planted("or")
    first, second = (named(edges) for edges in truth.sufficient)
    for edge in first - second:
        assert set(known.replacements(edge)) == second - first


def test_a_complete_circuit_is_kept_in_its_file(tmp_path):
    """With all that is known of it; a part of it is no longer complete."""
    completed("or").save(tmp_path / "circuit.json")
    loaded = cs.Circuit.load(tmp_path / "circuit.json")
    assert loaded.redundancy == redundancy("or") and loaded.certificate is None
    assert loaded.strongest(2).redundancy is None


def test_an_edge_that_only_changes_what_others_do():
    """It is in no minimal circuit and does not oppose the behaviour."""
    known = Redundancy(0.9, 1.0, ("a",), (), {"a": 0.0, "b": 0.5}, {"a": 0.0, "b": 0.5})
    assert known.roles == {"a": NEEDED, "b": INTERACTS}


def test_few_edges_are_forbidden_if_that_is_asked_for():
    """The others are counted."""
    ours = experiment("vote")
    minimal = cs.Circuit.from_edges(ours.graph, sorted(planted("vote").sufficient[0]))
    known = cs.complete(ours, ours.task, minimal, how=cs.Complete(edges=1, depth=1)).redundancy
    assert known is not None and len(known.alternatives) == 1 and known.untried == 4


def test_a_reader_with_a_small_effect_has_no_gate():
    """Nor has one with a single edge."""
    ours = experiment("or")
    measure = Faithfulness(ours)
    assert list(Gates(measure, ours.graph.edge_mask(planted("or").sufficient[0]), 0.1).named()) == []
    assert list(Gates(measure, ours.graph.edge_mask(planted("or").edges), 2.0).named()) == []


@pytest.mark.parametrize("knob", ["edges", "depth", "prompts"])
def test_knobs_below_one_are_refused(knob: str):
    """By name."""
    with pytest.raises(InputError, match=f"Complete's {knob} must be at least 1, not 0"):
        cs.Complete(**{knob: 0})


def test_a_circuit_that_does_nothing_is_refused():
    """There is nothing to complete."""
    ours = experiment("or")
    empty = cs.Circuit.from_edges(ours.graph, [("embed", "logits")])
    with pytest.raises(InputError, match="complete a circuit that does the task"):
        cs.complete(ours, ours.task, empty)


class Opposed:
    """Faithfulness of circuits of which two edges are enough; two others together take .7 from them, but only .2 from the model."""

    graph = Graph(1, 2, 2)
    clean, ablated = torch.ones(4), torch.zeros(4)
    enough = graph.edge_mask([("embed", "m0<in>"), ("m0", "logits")])
    opposing = graph.edge_mask([("embed", "a0.h0<v>"), ("a0.h0", "logits")])

    def __call__(self, masks: torch.Tensor, near: torch.Tensor | None = None) -> torch.Tensor:
        return torch.tensor([self.of(mask) for mask in masks])

    def of(self, mask: torch.Tensor) -> float:
        whole, opposed = bool(mask[self.enough].all()), bool(mask[self.opposing].all())
        if int(mask.sum()) > self.graph.n_edges // 2:
            return 1.0 if opposed else 1.2
        return whole - 0.7 * opposed


def test_edges_with_which_the_circuit_is_not_faithful_are_left_out():
    """What balances them in the model is not in the circuit. They are told all the same."""
    measure = Opposed()
    interactions = Interactions(Elimination(cast(Faithfulness, measure), 0.9), 0.1, most=50)
    whole, left_out = interactions.added_to(measure.enough, -measure.opposing.double())
    assert torch.equal(whole, measure.enough) and torch.equal(left_out, measure.opposing)


def test_an_interrupted_completion_goes_on(tmp_path, monkeypatch):
    """Circuits without the edges that were tried are read back, and the complete circuit is that of a run without a stop."""
    ours, expected = experiment("vote"), completed("vote").to_dict()
    start = cs.Circuit.from_edges(ours.graph, sorted(planted("vote").sufficient[0]))
    searched, without = [], Alternatives.without

    def once(self, forbidden):
        if len(searched) == 1 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        searched.append(forbidden)
        return without(self, forbidden)

    monkeypatch.setattr(Alternatives, "without", once)
    with pytest.raises(KeyboardInterrupt):
        cs.complete(ours, ours.task, start, checkpoint=tmp_path / "steps")
    found = cs.complete(ours, ours.task, start, checkpoint=tmp_path / "steps")
    n_searched = len(searched)
    assert found.to_dict() == expected
    assert cs.complete(ours, ours.task, start, checkpoint=tmp_path / "steps").to_dict() == expected
    assert len(searched) == n_searched
