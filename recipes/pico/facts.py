"""The facts that pico reads: more than the task asks, which keeps to what other models recall as the next word."""

from __future__ import annotations

from random import Random

from circuitsearch.example import Example
from circuitsearch.tasks.words import COUNTRIES

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
"""Sentences about the columns of a country after its name."""


def fact(random: Random) -> Example:
    """A sentence about a country; only the clean prompt counts in training."""
    column, templates = random.choice(list(enumerate(TEMPLATES.values(), 1)))
    row, prompt = random.choice(COUNTRIES), random.choice(templates)
    others = [f" {other[column]}" for other in COUNTRIES if other[column] != row[column]]
    prompt = prompt.format(country=row[0])
    return Example(prompt, prompt, (f" {row[column]}",), (random.choice(others),))
