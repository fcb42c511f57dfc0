"""Country facts: "The capital of France is" -> " Paris"; capitals and main languages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from random import Random
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.task import Example, Task
from circuitsearch.text import is_one_token

from .template import fill
from .words import COUNTRIES, FEWEST_GROUPS, MORE_COUNTRIES, Pool, folds
from .writer import Pools, Writer

TEMPLATES = {
    "capital": [
        "The bank of {country} is in the capital,",
        "The capital of {country} is called",
        "In {country}, the parliament sits in the city of",
        "The map shows that the capital of {country} is",
        "Everyone in {country} knows the capital,",
        "The president of {country} works in the capital,",
        "Tourists in {country} visited the capital,",
        "Soon we visited the capital of {country},",
        "They went to the capital of {country},",
        "The leaders of {country} met in the capital,",
        "The national library of {country} is in the capital,",
        "The newspapers of {country} are from the capital,",
        "The museum of {country} is in the capital,",
        "The capital city of {country} is called",
        "The government of {country} sits in the city of",
        "Everyone knows that the capital of {country} is",
        "The people of {country} know the capital,",
        "The government of {country} works in the capital,",
        "The people of {country} visited the capital,",
        "We reached the capital of {country},",
        "They left the capital of {country},",
        "The writers of {country} met in the capital,",
        "The national museum of {country} is in the capital,",
        "The players of {country} arrived in the capital,",
        "The theater of {country} is in the capital,",
        "Clearly the capital of {country} is called",
        "The parliament of {country} sits in the city of",
        "The name of the capital city of {country} is",
        "People from {country} know the capital,",
        "The scientist from {country} works in the capital,",
        "The president of {country} visited the capital,",
        "We saw the capital of {country},",
        "They reached the capital of {country},",
        "The teachers of {country} met in the capital,",
        "The national theater of {country} is in the capital,",
        "The workers of {country} went to the capital,",
    ],
    "language": [
        "The main language of {country} is",
        "The main language in {country} is",
        "The main language of the people in {country} is",
        "The main language of the schools in {country} is",
        "Most people in {country} speak",
        "Everyone in {country} speaks",
        "In {country}, the newspapers are written in",
        "People say that the main language in {country} is",
        "The main language that people speak in {country} is",
        "The main language of the radio in {country} is",
        "Of course the main language of {country} is",
        "Yes, the national language of {country} is",
        "The national language of {country} is",
        "The national language in {country} is",
        "The main language of the workers in {country} is",
        "The main language of the students in {country} is",
        "The people in {country} speak",
        "The teachers in {country} speak",
        "The books in {country} are written in",
        "People say that the national language in {country} is",
        "The national language that people speak in {country} is",
        "The main language of the shops in {country} is",
        "Of course the national language in {country} is",
        "Yes, the main language in {country} is",
    ],
}
"""Per relation, sentences after which a model names it at once: no article, quotation mark or nationality comes first.

Sentences that differ in one noun are twelve places apart, so that they belong to one group."""

RELATIONS = tuple(TEMPLATES)
RELATION_OF = {template: relation for relation, templates in TEMPLATES.items() for template in templates}
ALL_COUNTRIES = [*COUNTRIES, *MORE_COUNTRIES]

Facts = Mapping[str, Mapping[str, str]]
"""For each relation, the answers for countries."""


def country_facts(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Country facts, recalled from the weights: capital and main language.

    The corrupt prompt asks for the same fact about another country with another answer; that answer is the wrong one.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer; facts whose country or answer is not one token are left out.
    n
        Number of examples, at least 1.
    seed
        Seed of the examples; the same seed gives the same task.

    Returns
    -------
    Task
        Metric: logit of the right answer minus logit of the other country's. Spans: ``country``, ``END``.

    References
    ----------
    Meng et al., Locating and Editing Factual Associations in GPT, 2022, arXiv:2202.05262 (recall of facts by subject
    and relation); Hernandez et al., Linearity of Relation Decoding in Transformer Language Models, 2023,
    arXiv:2308.09124 (country relations).
    """
    return writer(tokenizer).draw_by_group(n, seed)


def writer(tokenizer: Any) -> Writer:
    """The writer of the task."""
    facts = usable_facts(tokenizer)
    countries = [country for country, *_ in ALL_COUNTRIES if any(country in known for known in facts.values())]
    by_group = folds(
        "country_facts", tokenizer, [Pool("countries", "countries", countries, 3)], list(TEMPLATES.values())
    )
    askable = {group: pools for group, pools in by_group.items() if _askable(facts, pools)}
    if len(askable) < FEWEST_GROUPS:
        raise InputError(
            "task country_facts: too few of its facts are single tokens in this tokenizer; use a tokenizer in which names of"
            " countries and capitals are single tokens"
        )
    return Writer("country_facts", partial(write, facts), askable, tokenizer)


def write(facts: Facts, random: Random, pools: Pools) -> Example:
    """One example: a template that two of the countries answer differently, and two such countries."""
    template = random.choice(_askable(facts, pools))
    answers = {country: facts[RELATION_OF[template]].get(country) for country in pools["countries"]}
    country = random.choice([country for country, answer in answers.items() if answer])
    other = random.choice([other for other, answer in answers.items() if answer and answer != answers[country]])
    (clean, places), (corrupt, _) = (fill(template, {"country": name}) for name in (country, other))
    factors = {"countries": (country, other), "templates": (template,)}
    return Example(clean, corrupt, (f" {answers[country]}",), (f" {answers[other]}",), spans=places, factors=factors)


def usable_facts(tokenizer: Any) -> Facts:
    """For each relation, the answers for countries where both are single tokens."""
    pairs = {relation: {row[0]: row[column] for row in ALL_COUNTRIES} for column, relation in enumerate(RELATIONS, 1)}
    one_token = cache(lambda word: is_one_token(tokenizer, f" {word}"))
    return {
        relation: {country: answer for country, answer in known.items() if one_token(country) and one_token(answer)}
        for relation, known in pairs.items()
    }


def _askable(facts: Facts, pools: Pools) -> list[str]:
    """The templates to which the countries of the pools have two different answers."""
    answers = {relation: {known.get(country) for country in pools["countries"]} for relation, known in facts.items()}
    return [template for template in pools["templates"] if len(answers[RELATION_OF[template]] - {None}) > 1]
