"""Pools: which words a tokenizer leaves, and their division between the groups of a task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from circuitsearch.errors import InputError, shortened
from circuitsearch.text import encode, is_one_token, unknown_word

Pools = Mapping[str, tuple[str, ...]]
"""The values of each factor: `{"names": ("Mary", "John", ...), "templates": (...)}`."""

GROUPS = 12
"""Groups into which a task divides its words and templates: half of them, and twice a quarter, are whole numbers of groups."""
FEWEST_GROUPS = 4
"""A task whose words do not suffice for so many groups is refused."""


@dataclass(frozen=True)
class WordUse:
    """Which words of a list a tokenizer leaves.

    Attributes
    ----------
    kept : tuple of str
        Words that prompts use.
    dropped : mapping
        The others, each with the reason.
    """

    kept: tuple[str, ...]
    dropped: Mapping[str, str]


@dataclass(frozen=True)
class Pool:
    """A list of words to divide between the groups of a task.

    Several lists may belong to one factor; ``least`` is the number of values that an example needs of this one.
    """

    factor: str
    what: str
    words: Sequence[str]
    least: int = 1


@dataclass(frozen=True)
class Selection:
    """The values of each group, and for each list the words that are kept and dropped."""

    by_group: Mapping[int, Pools]
    words: Mapping[str, WordUse] = field(default_factory=dict)


def select(task: str, tokenizer: Any, pools: Sequence[Pool], templates: Sequence[Sequence[str]]) -> Selection:
    """For each group its words and its templates: each list is divided between as many groups as it is long enough for.

    Parameters
    ----------
    pools
        Lists of words, of which only those are used that are one token of the tokenizer.
    templates
        Lists of templates, of which each group gets at least one each.

    Raises
    ------
    InputError
        If a list has too few words that are single tokens.
    """
    reasons = {pool.what: not_single(pool.words, tokenizer) for pool in pools}
    kept = [replace(pool, words=[word for word in pool.words if word not in reasons[pool.what]]) for pool in pools]
    for pool in kept:
        check_enough(task, pool, reasons[pool.what])
    words = {pool.what: WordUse(tuple(pool.words), reasons[pool.what]) for pool in kept}
    known = [known_templates(task, tokenizer, some) for some in templates]
    words |= {name: use for _, dropped in known for name, use in dropped.items()}
    return Selection(deal([*kept, *(Pool("templates", "templates", some) for some, _ in known)]), words)


def known_templates(task: str, tokenizer: Any, templates: Sequence[str]) -> tuple[list[str], dict[str, WordUse]]:
    """The templates without words that are not in the vocabulary, and which these are; only few tokenizers have such words.

    Raises
    ------
    InputError
        If too few are left.
    """
    reasons = {
        template: f"{word!r} is not in the vocabulary"
        for template in templates
        if (word := _strange(template, tokenizer))
    }
    kept = [template for template in templates if template not in reasons]
    if len(kept) < min(FEWEST_GROUPS, len(templates)):
        raise InputError(
            f"task {task}: only {len(kept)} of its {len(templates)} templates have words of this tokenizer alone"
            f" ({next(iter(reasons.values()))}), and it needs {FEWEST_GROUPS}; use another tokenizer"
        )
    return kept, {"templates": WordUse(tuple(kept), reasons)} if reasons else {}


def _strange(template: str, tokenizer: Any) -> str:
    """The first word of a template that is not in the vocabulary."""
    if getattr(tokenizer, "unk_token_id", None) is None:
        return ""
    return unknown_word(tokenizer, FIELD.sub(" ", template))


FIELD = re.compile(r"\{[^{}]*\}")


def deal(pools: Sequence[Pool]) -> dict[int, Pools]:
    """The values of each group: of every list each so-many-th."""
    groups = min(GROUPS, *(len(pool.words) // pool.least for pool in pools))
    return {group: _fold(pools, group, groups) for group in range(groups)}


def _fold(pools: Sequence[Pool], group: int, groups: int) -> Pools:
    fold: dict[str, tuple[str, ...]] = {}
    for pool in pools:
        fold[pool.factor] = (*fold.get(pool.factor, ()), *pool.words[group::groups])
    return fold


def check_enough(task: str, pool: Pool, dropped: Mapping[str, str], groups: int = FEWEST_GROUPS) -> None:
    """Raise an InputError if a list has too few words for so many groups."""
    least = pool.least * groups
    if len(pool.words) < least:
        raise InputError(
            f"task {task}: only {len(pool.words)} of its {len(pool.words) + len(dropped)} {pool.what} are single tokens in this"
            f" tokenizer{_example(dropped)}, and it needs {least}; use a tokenizer in which common English words are single tokens."
        )


def _example(dropped: Mapping[str, str]) -> str:
    return next((f" ({shortened(word, 30)} is not: {shortened(why, 40)})" for word, why in dropped.items()), "")


def not_single(words: Sequence[str], tokenizer: Any) -> dict[str, str]:
    """The words (or words joined by "/") of which a part is not a single token after a space, with the reason."""
    reasons = {word: [why_not(tokenizer, " " + part) for part in word.split("/")] for word in words}
    return {word: next(filter(None, why)) for word, why in reasons.items() if any(why)}


def why_not(tokenizer: Any, word: str, prompt: str = "the") -> str:
    """Why a word is not one token after a prompt; an empty text if it is."""
    if is_one_token(tokenizer, word, prompt):
        return ""
    unknown = getattr(tokenizer, "unk_token_id", None)
    more = encode(tokenizer, prompt + word)[len(encode(tokenizer, prompt)) :]
    return "not in the vocabulary" if unknown in more and len(more) == 1 else f"{len(more)} tokens"
