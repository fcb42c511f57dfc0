"""Draw distinct examples from each group in turn."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from string import Formatter

from circuitsearch.errors import InputError, shortened
from circuitsearch.task import Example

Sampler = Callable[[Random, int], Example]
"""Writes one example of a group: `(random, group) -> Example`."""

MOST_EXAMPLES = 1_000_000
PATIENCE = 200
"""Draws in a row that may repeat an earlier prompt before a group counts as used up."""


def distinct(task: str, sampler: Sampler, groups: int, n: int, seed: int) -> list[Example]:
    """`n` examples with different clean prompts, one from each group in turn."""
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


def fill(template: str, words: dict[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """Fill in a template; return the text and the places of its fields, (first character, last character + 1) each.

    Examples
    --------
    >>> fill("The {noun} near the {thing}", {"noun": "key", "thing": "cabinet"})
    ('The key near the cabinet', {'noun': (4, 7), 'thing': (17, 24)})
    """
    text, places = "", {}
    for literal, name, _, _ in Formatter().parse(template):
        text += literal
        if name is not None:
            places[name] = len(text), len(text) + len(words[name])
            text += words[name]
    return text, places


def check_count(task: str, n: int) -> None:
    """Refuse a number of examples below 1 or too large to generate."""
    if not 1 <= n <= MOST_EXAMPLES:
        raise InputError(f"task {task}: n must be 1 to {MOST_EXAMPLES:,}, not {shortened(n)}.")
