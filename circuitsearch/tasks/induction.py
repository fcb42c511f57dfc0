"""Induction on random words: ... A B ... A -> B."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from circuitsearch.example import Example
from circuitsearch.task import Task

from .pools import Pool, Pools, select
from .template import fill
from .words import ARGUMENTS, EVENTS, NAMES, NOUNS, OBJECTS, PLACES, ROLES, THINGS, TRAITS
from .writer import Writer

LENGTH = 24
"""Words in a prompt."""
SINGULAR = [noun.split("/")[0] for noun in NOUNS]
WORDS = list(dict.fromkeys([*PLACES, *OBJECTS, *ROLES, *TRAITS, *SINGULAR, *EVENTS, *ARGUMENTS, *THINGS, *NAMES]))
"""Whole English words, so that no token is a fragment of a word or of another script."""

MOST_TOKENS = 2_000


def induction(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Induction: what followed a token before will follow it again.

    All words of a prompt are different and random, except the last, which repeats an earlier one, A.

    Counterfactual: another word replaces the earlier A: its successor B is still there, but does not follow A. So the prompts
    differ in what a previous-token head writes at B and an induction head's keys read there. Metric: logit of B minus logit of
    another word of the prompt. Spans: ``A1``, the earlier A; ``B``; ``END``, the last token, A again.

    References
    ----------
    Olsson et al., In-context Learning and Induction Heads, 2022, arXiv:2209.11895.
    """
    return writer(tokenizer).draw_by_group(n, seed)


def induction_tokens(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Induction on random tokens of the vocabulary instead of whole words.

    The tokens are those of the vocabulary that begin with a space, have letters only and stay one token in any text, at most
    2,000 of them, evenly from the whole vocabulary. All else as in induction.

    References
    ----------
    Olsson et al., In-context Learning and Induction Heads, 2022, arXiv:2209.11895 (random tokens that are repeated).
    """
    return writer(tokenizer, "induction_tokens", vocabulary(tokenizer)).draw_by_group(n, seed)


def writer(tokenizer: Any, task: str = "induction", words: Sequence[str] = WORDS) -> Writer:
    """The writer of the task, with these words."""
    chosen = select(task, tokenizer, [Pool("words", "words", words, LENGTH)], [])
    return Writer(task, write, chosen.by_group, tokenizer, words=chosen.words)


def vocabulary(tokenizer: Any) -> list[str]:
    """Tokens of the vocabulary that are letters after a space, evenly from all of them."""
    special = set(tokenizer.all_special_ids)
    texts = (tokenizer.decode([token]) for token in range(len(tokenizer)) if token not in special)
    words = list(dict.fromkeys(text.strip() for text in texts if text.strip().isalpha() and text.strip().isascii()))
    return words[:: max(1, len(words) // MOST_TOKENS)]


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
