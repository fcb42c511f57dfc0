"""Country facts: "The capital of France is" -> " Paris"; capital, language, continent and currency."""

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
        "The capital of {country} is",
        "The capital city of {country} is called",
        "In {country}, the parliament sits in the city of",
        "The map shows that the capital of {country} is",
        "The capital and seat of the government of {country} is",
        "Everyone in {country} knows the capital,",
        "The name of the capital of {country} is",
        "The president of {country} works in the capital,",
        "The capital of the country of {country} is",
        "People say that the capital of {country} is",
        "On the map, the capital of {country} is",
        "The parliament of {country} sits in the capital,",
        "Tourists in {country} visited the capital,",
        "The people of {country} know the capital,",
        "The government of {country} sits in the city of",
        "Everyone knows that the capital of {country} is",
    ],
    "language": [
        "The main language of {country} is",
        "Most people in {country} speak",
        "In {country}, the schools teach in",
        "The newspapers of {country} are written in",
        "The language that people speak in {country} is",
        "In {country}, the laws are written in",
        "Children in {country} learn to read",
        "The radio in {country} speaks",
        "The national language of {country} is",
        "The language of {country} is",
        "Everyone in {country} speaks",
        "The laws of {country} are written in",
        "The schools of {country} teach in",
        "In {country}, the newspapers are written in",
        "The language of the newspapers of {country} is",
        "They say that people in {country} speak",
    ],
    "continent": [
        "The continent of {country} is",
        "The country of {country} lies in",
        "On the globe, {country} is a part of",
        "The continent that {country} belongs to is",
        "People who fly to {country} fly to",
        "The borders of {country} lie within",
        "The rivers of {country} flow through",
        "On the map, {country} is found in",
        "On the map, {country} is a part of",
        "The map shows that {country} lies in",
        "The country of {country} is a part of",
        "The country of {country} is found in",
        "We know that {country} is a part of",
        "On the globe, {country} lies in",
        "The globe shows that {country} is found in",
        "The continent that the country of {country} belongs to is",
    ],
    "currency": [
        "The currency of {country} is the",
        "In {country}, people pay with the",
        "The shops of {country} accept the",
        "The national bank of {country} prints the",
        "The money of {country} is called the",
        "Prices in {country} are given in the",
        "The workers of {country} are paid in the",
        "Tourists in {country} change their money to the",
        "People in {country} pay with the",
        "The national currency of {country} is the",
        "The bank of {country} prints the",
        "Tourists in {country} pay with the",
        "The government of {country} prints the",
        "Most people in {country} pay with the",
        "The workers of {country} pay with the",
        "The people of {country} pay with the",
    ],
}
"""Per relation, the sentences that ask for it."""

RELATIONS = tuple(TEMPLATES)
RELATION_OF = {template: relation for relation, templates in TEMPLATES.items() for template in templates}
ALL_COUNTRIES = [*COUNTRIES, *MORE_COUNTRIES]

Facts = Mapping[str, Mapping[str, str]]
"""For each relation, the answers for countries."""


def country_facts(tokenizer: Any, n: int = 256, seed: int = 0) -> Task:
    """Country facts, recalled from the weights: capital, main language, continent, currency.

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
