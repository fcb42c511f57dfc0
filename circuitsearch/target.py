"""The faithfulness that a circuit is to reach."""

from __future__ import annotations

from typing import overload

from torch import Tensor

from circuitsearch.errors import InputError

ROUNDING = 1e-6  # of a faithfulness measured in float32


@overload
def reaches(value: float, target: float, error: float = 0.0) -> bool: ...
@overload
def reaches(value: Tensor, target: float, error: float = 0.0) -> Tensor: ...
def reaches(value: float | Tensor, target: float, error: float = 0.0) -> bool | Tensor:
    """Whether a faithfulness is within 1 - ``target`` of 1, on either side: a circuit that overshoots is not faithful.

    It may miss the target by ``error``. Differences below 1e-6 are taken for rounding, so that the model itself reaches a target
    of 1.

    Examples
    --------
    >>> [reaches(value, 0.9) for value in (0.85, 0.95, 1.05, 3.0)]
    [False, True, True, False]
    """
    return abs(value - 1) <= 1 - target + error + ROUNDING


def threshold(target: float, error: float) -> float:
    """The faithfulness that a circuit must have that was chosen for being small: a standard error above the target, at most a third of the way to 1.

    Of many circuits the smallest to reach a target is one that was lucky on the prompts that chose it.

    Examples
    --------
    >>> threshold(0.9, error=0.01)
    0.91
    """
    return target + min(error, (1 - target) / 3)


def check_target(faithfulness: float) -> None:
    """Raise an InputError unless a faithfulness to reach is a number in (0, 1]."""
    if not isinstance(faithfulness, int | float) or not 0 < faithfulness <= 1:
        raise InputError(f"the faithfulness to reach must be a number in (0, 1], not {faithfulness!r}")
