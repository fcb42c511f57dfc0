"""What a pass changes of a circuit, by gains that are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from circuitsearch.search.edits import Edits, Gains, Steps
from circuitsearch.search.edits import edited as proposed

STEPS = Steps(swapped=0.1, added=0.2, dropped=0.25)
TARGET = 0.9


def gains(values: list[float], error: float = 0.0) -> Gains:
    """Gains that are also the effects."""
    mean = torch.tensor(values, dtype=torch.float64)
    return Gains(mean, torch.full_like(mean, error), mean)


@dataclass
class Edited:
    inside: torch.Tensor
    predicted: float


def edited(inside: torch.Tensor, *given: Any, **options: Any) -> Edited:
    """The circuit after all changes."""
    edits = proposed(inside, *given, **options)
    return Edited(edits.first(1.0, inside), edits.predicted)


def circuit(kept: int, count: int) -> torch.Tensor:
    return torch.arange(count) < kept


def test_below_the_target_the_strongest_edges_are_added():
    """Until the predicted faithfulness is the target; the weak ones stay outside."""
    edit = edited(circuit(4, 8), gains([0.2] * 4 + [0.3, 0.2, 0.01, -0.5]), 0.5, TARGET, STEPS)
    assert edit.inside.nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert abs(edit.predicted - 0.5) < 1e-12


def test_little_trust_adds_more():
    """If a tenth of the gain is expected, all edges that help are added."""
    edit = edited(circuit(4, 8), gains([0.2] * 4 + [0.3, 0.2, 0.01, -0.5]), 0.5, TARGET, STEPS, trust=0.1)
    assert edit.inside.nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_an_edge_that_is_not_sure_to_help_is_not_added():
    """Its gain must be above its error."""
    edit = edited(circuit(4, 5), gains([0.4] * 4 + [0.1], error=0.2), 0.5, TARGET, STEPS)
    assert not edit.inside[4]


def test_above_the_target_the_weakest_edges_are_dropped():
    """A share of the circuit; one that seems to do harm counts as half as strong as one that helps as much."""
    edit = edited(circuit(8, 8), gains([0.1, 0.11, 0.2, -0.18, *[0.2] * 4]), 1.0, TARGET, STEPS)
    assert (~edit.inside).nonzero().flatten().tolist() == [0, 3]


def test_below_the_target_no_edge_is_dropped_but_for_a_stronger_one():
    """However weak it is."""
    edit = edited(circuit(8, 8), gains([0.0, *[0.2] * 7]), 0.5, TARGET, STEPS)
    assert edit.inside.all()


def test_a_circuit_that_overshoots_only_drops():
    """However much an edge outside would bring."""
    edit = edited(circuit(8, 9), gains([0.1] * 7 + [0.01, 5.0]), 1.5, TARGET, STEPS)
    assert not edit.inside[8] and not edit.inside[7] and int(edit.inside.sum()) == 6


def test_at_the_target_a_weak_edge_is_swapped_for_one_twice_as_strong():
    """The size stays the same."""
    edit = edited(circuit(4, 6), gains([0.01, 0.2, 0.2, 0.2, 0.15, 0.0]), 0.93, TARGET, STEPS)
    assert edit.inside.nonzero().flatten().tolist() == [1, 2, 3, 4]


def test_the_first_changes_are_a_smaller_edit():
    """The same share of what is added and of what is dropped; the circuit itself stays as it was."""
    inside, edits = circuit(3, 6), Edits(added=(3, 5), dropped=(0, 1), predicted=0.1)
    assert edits.first(0.5, inside).nonzero().flatten().tolist() == [1, 2, 3]
    assert edits.first(0.0, inside).tolist() == inside.tolist() == [True] * 3 + [False] * 3


def test_mended_changes_end_with_those_that_the_effects_speak_against():
    """A dropped edge that is missed, and an added one that does harm, come last."""
    edits = Edits(added=(3, 5), dropped=(0, 1, 2), predicted=0.1)
    mended = edits.mended(torch.tensor([0.8, -0.1, 0.2, -0.5, 0.0, 0.4]))
    assert mended == Edits(added=(5, 3), dropped=(1, 2, 0), predicted=0.1)
