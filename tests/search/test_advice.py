"""What is said where a search misses its target."""

from __future__ import annotations

import pytest

from circuitsearch.history import Measured, Pass
from circuitsearch.search.advice import advice, passes_needed


def _passes(*values: float) -> tuple[Pass, ...]:
    measured = [Measured(value, 0.1) for value in values]
    return tuple(Pass(number, 9, value, value, 1.0) for number, value in enumerate(measured, 1))


@pytest.mark.parametrize(
    ("late", "needed"), [((0.5, 0.6, 0.7), 8), ((0.7, 0.6, 0.5), None), ((0.95, 0.97, 0.99), None)]
)
def test_passes_needed_are_extrapolated(late: tuple[float, ...], needed: int | None):
    """From the last half of them; none are named where faithfulness falls, or is there already on these prompts."""
    assert passes_needed(_passes(0.1, 0.1, 0.1, *late), 0.9) == needed


@pytest.mark.parametrize(("value", "said"), [(0.7, "a target of 0.6 is"), (0.94, "both kinds"), (1.3, "overshoots")])
def test_a_missed_target_is_told_with_a_remedy(value: float, said: str):
    """A lower target; or more prompts, where faithfulness reaches it on all prompts but not on each kind."""
    note = advice(0.9, Measured(value, 0.1), "as judged", ())
    assert said in note and "as judged" in note
