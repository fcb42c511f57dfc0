"""Country facts: "The capital of France is" -> " Paris"; capital, language, continent and currency."""

from __future__ import annotations

from random import Random
from typing import Any

from circuitsearch.metrics import logit_diff
from circuitsearch.task import Example, Task

from .sample import Sampler, distinct, fill
from .words import COUNTRIES, GROUPS, deal, usable

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
    ],
}
"""Per relation, the sentences that ask for it."""

RELATIONS = tuple(TEMPLATES)


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
    examples = distinct("country_facts", sampler(tokenizer, GROUPS), GROUPS, n, seed)
    return Task.from_examples("country_facts", examples, tokenizer, metric=logit_diff)


def sampler(tokenizer: Any, groups: int) -> Sampler:
    """The function that writes one example with the countries and templates of a group."""
    facts = {
        relation: deal(usable_facts(tokenizer, column, 3 * groups), groups)
        for column, relation in enumerate(RELATIONS, 1)
    }
    templates = {relation: deal(TEMPLATES[relation], groups) for relation in RELATIONS}

    def write(random: Random, group: int) -> Example:
        relation = random.choice(RELATIONS)
        template = random.choice(templates[relation][group])
        country, answer = random.choice(facts[relation][group])
        other, wrong = random.choice([fact for fact in facts[relation][group] if fact[1] != answer])
        (clean, places), (corrupt, _) = (fill(template, {"country": name}) for name in (country, other))
        return Example(clean, corrupt, (f" {answer}",), (f" {wrong}",), group, places)

    return write


def usable_facts(tokenizer: Any, column: int, least: int) -> list[tuple[str, str]]:
    """Pairs of country and answer that are single tokens."""
    facts = [(row[0], row[column]) for row in COUNTRIES]
    return usable(facts, tokenizer, "country_facts", f"{RELATIONS[column - 1]} facts", least)
