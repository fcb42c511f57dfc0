"""What the prompts and answers of single tasks are made of."""

from __future__ import annotations

from typing import Any

from circuitsearch.tasks import agreement, country_facts, induction
from circuitsearch.tasks.induction import WORDS
from circuitsearch.tasks.words import ALL_COUNTRIES, NOUNS

SINGULAR, PLURAL = {" is", " was", " has", " does"}, {" are", " were", " have", " do"}


def test_every_verb_agrees_with_the_subject(digit_tokenizer: Any) -> None:
    """The right verbs have the subject's number, and the wrong ones are the same verbs of the other number."""
    task = agreement(digit_tokenizer, n=48)
    plurals = {noun.split("/")[1] for noun in NOUNS}
    for ids, spans, right, wrong in zip(task.clean, task.spans, task.answers, task.wrong, strict=True):
        sides = [{digit_tokenizer.decode([token]) for token in side} for side in (right, wrong)]
        is_plural = digit_tokenizer.decode(ids[list(spans["subject"])]).strip() in plurals
        assert sides[is_plural] <= SINGULAR and sides[not is_plural] <= PLURAL
        assert len(sides[0]) == len(sides[1]) >= 2


def test_induction_repeats_whole_words(tokenizer: Any) -> None:
    """Every token is a whole English word, and the answer follows the earlier one."""
    task = induction(tokenizer, n=24)
    for ids, spans, right in zip(task.clean, task.spans, task.answers, strict=True):
        words = [tokenizer.decode([token]).strip() for token in ids[-24:]]
        assert set(words) <= set(WORDS) and len(set(words)) == 23
        (first,), (then,) = spans["A1"], spans["B"]
        assert ids[first] == ids[-1] and ids[then] == right and then == first + 1


def test_facts_are_true(digit_tokenizer: Any) -> None:
    """The right answer is a fact about the clean country, the wrong one about the corrupt country."""
    task = country_facts(digit_tokenizer, n=48)
    facts = {country: set(known) for country, *known in ALL_COUNTRIES}
    for row, right, wrong in zip(task.factors, task.answers, task.wrong, strict=True):
        clean, corrupt = row["countries"]
        assert digit_tokenizer.decode(right).strip() in facts[clean]
        assert digit_tokenizer.decode(wrong).strip() in facts[corrupt] - facts[clean]
