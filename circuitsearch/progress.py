"""How long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]  # (steps done, steps in all)


def silent(done: int, total: int) -> None:
    """Report nothing."""


def forward(progress: Progress) -> Progress:
    """Leave out what would go back, as where work is done again in smaller pieces.

    Examples
    --------
    >>> shown = forward(lambda done, total: print(f"{done / total:.0%}"))
    >>> shown(1, 2), shown(1, 4), shown(3, 4)
    50%
    75%
    (None, None, None)
    """
    most = 0.0

    def shown(done: int, total: int) -> None:
        nonlocal most
        if done / total >= most:
            most = done / total
            progress(done, total)

    return shown


def part(progress: Progress, number: int, count: int) -> Progress:
    """The progress of part ``number`` of ``count`` parts that take about as long as each other.

    Examples
    --------
    >>> second = part(lambda done, total: print(f"{done / total:.0%}"), 1, 2)
    >>> second(1, 4), second(4, 4)
    62%
    100%
    (None, None)
    """
    return lambda done, total: progress(number * total + done, count * total)
