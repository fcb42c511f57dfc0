"""Draw distinct examples, the groups in turn."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from circuitsearch.errors import InputError
from circuitsearch.task import Example

Sampler = Callable[[Random, int], Example]
"""Writes one example of a group: `(random, group) -> Example`."""

PATIENCE = 200
"""Draws in a row that may repeat an earlier prompt before a group counts as used up."""


def distinct(task: str, sampler: Sampler, groups: int, n: int, seed: int) -> list[Example]:
    """`n` examples with pairwise different clean prompts, one of each group in turn."""
    check_count(task, n)
    random = Random(seed)
    found: dict[str, Example] = {}
    while len(found) < n:
        group = len(found) % groups
        draws = (sampler(random, group) for _ in range(PATIENCE))
        example = next((drawn for drawn in draws if drawn.clean not in found), None)
        if example is None:
            raise InputError(
                f"task {task}: with this tokenizer it has about {len(found)} distinct prompts; ask for a smaller n."
            )
        found[example.clean] = example
    return list(found.values())


def check_count(task: str, n: int) -> None:
    """Refuse to make no examples."""
    if n <= 0:
        raise InputError(f"task {task}: n must be 1 or more, not {n}.")
