"""Gendered pronoun: "So Mary is a really great friend, isn't" -> " she"."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.task import Example, Task

from .template import fill
from .words import FEMALE, MALE, ROLES, TRAITS, Pool, among, folds
from .writer import Pools, Writer

TEMPLATES = [
    "So {name} is a really {trait} {role}, isn't",
    "Surely {name} was once a {trait} {role}, wasn't",
    "Soon {name} will become a {trait} {role}, won't",
    "You know, {name} has been a {trait} {role}, hasn't",
    "They say {name} can be a {trait} {role}, can't",
    "Well, {name} could make a {trait} {role}, couldn't",
    "Of course {name} would be a {trait} {role}, wouldn't",
    "As a {role}, {name} should be {trait}, shouldn't",
    "Honestly, {name} does seem a {trait} {role}, doesn't",
    "Back then {name} did look like a {trait} {role}, didn't",
    "Yes, {name} had met a {trait} {role}, hadn't",
    "To be a {role}, {name} needs to be {trait}, doesn't",
    "Yes, {name} was a really {trait} {role}, wasn't",
    "Honestly, {name} will be a {trait} {role}, won't",
    "Of course {name} has become a {trait} {role}, hasn't",
    "Soon {name} would be a {trait} {role}, wouldn't",
    "Surely {name} can become a {trait} {role}, can't",
    "Well, {name} is a {trait} {role}, isn't",
    "You know, {name} was once a {trait} {role}, wasn't",
    "They say {name} could be a {trait} {role}, couldn't",
    "So {name} does seem a {trait} {role}, doesn't",
    "Honestly, {name} has been a {trait} {role}, hasn't",
    "As a {role}, {name} would be {trait}, wouldn't",
    "Back then {name} had met a {trait} {role}, hadn't",
]


def gendered_pronoun(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Gendered pronoun: the pronoun of a tag question agrees with the name.

    The corrupt prompt has a name of the other gender in the same position, so that the right and the wrong pronoun
    change roles; everything else is the same.

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
        Metric: logit of the right pronoun minus logit of the other. Spans: ``name``, ``trait``, ``role``, ``END``.

    References
    ----------
    Mathwin et al., Identifying a Preliminary Circuit for Predicting Gendered Pronouns in GPT-2 Small, 2023.
    """
    return writer(tokenizer).draw_by_group(n, seed)


def writer(tokenizer: Any) -> Writer:
    """The writer of the task."""
    task = "gendered_pronoun"
    people = [Pool("names", "women's names", FEMALE), Pool("names", "men's names", MALE)]
    words = [Pool("words", "traits", TRAITS), Pool("words", "roles", ROLES)]
    return Writer(task, write, folds(task, tokenizer, [*people, *words], [TEMPLATES]), tokenizer)


def write(random: Random, pools: Pools) -> Example:
    """One example, with a woman in one of its prompts and a man in the other."""
    template = random.choice(pools["templates"])
    trait, role = (random.choice(among(pools["words"], words)) for words in (TRAITS, ROLES))
    woman, man = (random.choice(among(pools["names"], names)) for names in (FEMALE, MALE))
    (name, answer), (other, wrong) = random.sample([(woman, " she"), (man, " he")], 2)
    (clean, places), (corrupt, _) = (
        fill(template, {"name": who, "trait": trait, "role": role}) for who in (name, other)
    )
    factors = {"names": (name, other), "words": (trait, role), "templates": (template,)}
    return Example(clean, corrupt, (answer,), (wrong,), spans=places, factors=factors)
