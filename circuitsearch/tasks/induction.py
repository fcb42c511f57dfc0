"""Induction on random words: ... A B ... A -> B."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.task import Example, Task

from .pools import Pool, Pools, select
from .template import fill
from .words import ARGUMENTS, EVENTS, NAMES, NOUNS, OBJECTS, PLACES, ROLES, THINGS, TRAITS
from .writer import Writer

LENGTH = 24
"""Words in a prompt."""
SINGULAR = [noun.split("/")[0] for noun in NOUNS]
WORDS = list(dict.fromkeys([*PLACES, *OBJECTS, *ROLES, *TRAITS, *SINGULAR, *EVENTS, *ARGUMENTS, *THINGS, *NAMES]))
"""Whole English words, so that no token is a fragment of a word or of another script."""


def induction(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Induction: what followed a token before will follow it again.

    All words of a prompt are different and random, except the last, which repeats an earlier one, A. In the corrupt
    prompt another word replaces that earlier A: its successor B is still there, but does not follow A. So the prompts
    differ in what a previous-token head writes at B and an induction head's keys read there.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer; words that are not one token are left out.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: logit of B minus logit of another word of the prompt. Spans: ``A1``, the earlier A; ``B``; ``END``, the
        last token, A again.

    References
    ----------
    Olsson et al., In-context Learning and Induction Heads, 2022, arXiv:2209.11895.
    """
    return writer(tokenizer).draw_by_group(n, seed)


def writer(tokenizer: Any) -> Writer:
    """The writer of the task."""
    chosen = select("induction", tokenizer, [Pool("words", "words", WORDS, LENGTH)], [])
    return Writer("induction", write, chosen.by_group, tokenizer, words=chosen.words)


def write(random: Random, pools: Pools) -> Example:
    """One example: an earlier word is repeated at the end, and replaced in the corrupt prompt."""
    sampled = random.sample(pools["words"], LENGTH)
    *words, other = sampled  # LENGTH - 1 words, and the one that breaks the pair
    first, distractor = random.sample(range(1, LENGTH - 3), 2)  # never the last: it would follow itself
    corrupt = [*words[:first], other, *words[first + 1 :]]
    wrong = words[distractor] if distractor != first + 1 else words[0]
    fields = dict(enumerate(words))
    clean, at = fill("".join(f" {{{place}}}" for place in fields), {str(place): word for place, word in fields.items()})
    return Example(
        clean=f"{clean} {words[first]}",
        corrupt="".join(f" {word}" for word in [*corrupt, words[first]]),
        answers=(f" {words[first + 1]}",),
        wrong=(f" {wrong}",),
        spans={"A1": at[str(first)], "B": at[str(first + 1)]},
        factors={"words": tuple(sampled)},
    )
