"""Gendered pronoun: "So Mary is a really great friend, isn't" -> " she"."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.metrics import logit_diff
from circuitsearch.task import Example, Task

from .sample import Sampler, distinct, fill
from .words import FEMALE, GROUPS, MALE, ROLES, TRAITS, deal, usable

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
    examples = distinct("gendered_pronoun", sampler(tokenizer, GROUPS), GROUPS, n, seed)
    return Task.from_examples("gendered_pronoun", examples, tokenizer, metric=logit_diff)


def sampler(tokenizer: Any, groups: int) -> Sampler:
    """The function that writes one example with the names, words and templates of a group."""
    task = "gendered_pronoun"
    women = deal(usable(FEMALE, tokenizer, task, "women's names", groups), groups)
    men = deal(usable(MALE, tokenizer, task, "men's names", groups), groups)
    traits = deal(usable(TRAITS, tokenizer, task, "traits", groups), groups)
    roles = deal(usable(ROLES, tokenizer, task, "roles", groups), groups)
    templates = deal(TEMPLATES, groups)

    def write(random: Random, group: int) -> Example:
        template = random.choice(templates[group])
        words = {"trait": random.choice(traits[group]), "role": random.choice(roles[group])}
        people = [(random.choice(women[group]), " she"), (random.choice(men[group]), " he")]
        (name, answer), (other, wrong) = random.sample(people, 2)
        (clean, places), (corrupt, _) = (fill(template, {"name": who, **words}) for who in (name, other))
        return Example(clean, corrupt, (answer,), (wrong,), group, places)

    return write
