"""Induction on random tokens: ... A B ... A -> B."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.metrics import logit_diff
from circuitsearch.task import Task
from circuitsearch.text import encode

from .sample import check_count

LENGTH = 24
"""Random tokens in a prompt."""


def induction(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Induction: what followed a token before will follow it again.

    All tokens of a prompt are different random words, except the last, which repeats an earlier one, A. In the corrupt
    prompt another word replaces that earlier A: its successor B is still there, but does not follow A. So the prompts
    differ in what a previous-token head writes at B and an induction head's keys read there.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer; its words of two letters or more are used.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: logit of B minus logit of another token of the prompt. Spans: ``A1``, the earlier A; ``B``; ``END``, the
        last token, A again.

    References
    ----------
    Olsson et al., In-context Learning and Induction Heads, 2022, arXiv:2209.11895.
    """
    check_count("induction", n)
    random, pool = Random(seed), letters(tokenizer)
    rows = [write(random, pool) for _ in range(n)]
    clean, corrupt, answers, wrong = zip(*rows, strict=True)
    start = encode(tokenizer, "")
    first = [len(start) + ids.index(ids[-1]) for ids in clean]
    spans = [{"A1": a, "B": a + 1, "END": len(start) + LENGTH - 1} for a in first]
    clean, corrupt = ([start + ids for ids in column] for column in (clean, corrupt))
    return Task.from_ids(
        clean, corrupt, answers, wrong, name="induction", metric=logit_diff, groups=range(n), spans=spans
    )


def write(random: Random, pool: list[int], length: int = LENGTH) -> tuple[list[int], list[int], int, int]:
    """One example as ids: clean, corrupt, answer, wrong."""
    *tokens, other = random.sample(pool, length)  # length - 1 tokens and the one that breaks the pair
    first, distractor = random.sample(range(1, length - 3), 2)  # never the last: it would follow itself
    clean = [*tokens, tokens[first]]
    corrupt = [*tokens[:first], other, *tokens[first + 1 :], tokens[first]]
    wrong = tokens[distractor] if distractor != first + 1 else tokens[0]
    return clean, corrupt, tokens[first + 1], wrong


def letters(tokenizer: Any) -> list[int]:
    """Ids of the tokens that are words of two letters or more."""
    special = set(tokenizer.all_special_ids)
    words = {token: tokenizer.decode([token]).strip() for token in range(len(tokenizer)) if token not in special}
    pool = [token for token, word in words.items() if len(word) > 1 and word.isalpha()]
    if len(pool) < 2 * LENGTH:
        raise InputError(
            f"task induction: only {len(pool)} tokens of this tokenizer are words of letters only, and it needs "
            f"{2 * LENGTH}; use a tokenizer in which common English words are single tokens."
        )
    return pool
