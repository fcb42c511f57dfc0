"""What to tell a user whose target was not reached: how far the best circuit falls short, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from circuitsearch.history import Measured, Pass
from circuitsearch.target import reaches

FARTHEST = 5  # times the passes so far, to which faithfulness is extrapolated
LEAST_PASSES = 3  # from which it is extrapolated


def advice(target: float, found: Measured, missed: str, passes: Sequence[Pass]) -> str:
    """How far the best circuit, of faithfulness ``found`` and in words ``missed``, is from the target, and what would help."""
    if found.value > 2 - target:
        return f"no circuit of faithfulness {target:g} was found: the best one overshoots, {missed}"
    if reaches(found.value, target):
        return f"no circuit was found that is faithful on both kinds of prompts: the best one has faithfulness {missed}; more prompts tell whether the difference is chance"
    lower = max(0.0, int(100 * (found.value - found.error)) / 100)
    more = passes_needed(passes, target)
    remedy = f"about {more} passes in all may reach it, or " if more else ""
    return f"no circuit of faithfulness {target:g} was found: the best one has faithfulness {missed}; {remedy}a target of {lower:g} is within reach"


def passes_needed(passes: Sequence[Pass], target: float) -> int | None:
    """By a line through the last half of the passes, how many would reach the target; None if that is not to be expected."""
    late = passes[len(passes) // 2 :]
    if len(late) < LEAST_PASSES:
        return None
    slope, at_none = np.polyfit([each.number for each in late], [each.best_estimate.value for each in late], 1)
    needed = (target - at_none) / slope if slope > 0 else inf
    return round(needed) if len(passes) < needed < FARTHEST * len(passes) else None
