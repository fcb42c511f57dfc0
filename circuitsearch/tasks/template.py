"""Templates: sentences with fields for words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Formatter

from circuitsearch.errors import InputError, shortened

Place = tuple[int, int]
"""First character, last character + 1."""


@dataclass(frozen=True)
class Field:
    """A field ``{name}``, ``{name.column}`` or, for its first letter, ``{name[0]}``, with the text before it."""

    name: str
    column: str
    first_letter: bool
    before: str


_FIELD = re.compile(r"(\w+)(?:\.(\w+))?(\[0\])?")


@cache
def pieces(template: str) -> tuple[tuple[str, Field | None], ...]:
    """The literal texts of a template, each with the field after it, or None at the end.

    Raises
    ------
    InputError
        If a brace is not closed, or a field is not written so.

    Examples
    --------
    >>> [(text, field and (field.name, field.column)) for text, field in pieces("The {noun.number} are")]
    [('The ', ('noun', 'number')), (' are', None)]
    """
    try:
        parsed = [(text, name, spec or how) for text, name, spec, how in Formatter().parse(template)]
    except ValueError as error:
        raise InputError(f"{shortened(repr(template))} has a brace that does not fit ({error})") from None
    found: list[tuple[str, Field | None]] = []
    for text, name, rest in parsed:
        match = None if name is None else _FIELD.fullmatch(name)
        if name is not None and (match is None or rest):
            raise InputError(
                f"{shortened(repr(template))} has the field {{{shortened(name)}}}: write {{slot}}, {{slot.column}} or {{slot[0]}}"
            )
        found.append((text, match and Field(match[1], match[2] or "", bool(match[3]), text)))
    return tuple(found)


def fields(template: str) -> list[Field]:
    """The fields of a template."""
    return [field for _, field in pieces(template) if field is not None]


def fill(template: str, words: Mapping[str, str]) -> tuple[str, dict[str, Place]]:
    """Fill in a template; return the text and the places of its fields.

    Examples
    --------
    >>> fill("The {noun} near the {thing}", {"noun": "key", "thing": "cabinet"})
    ('The key near the cabinet', {'noun': (4, 7), 'thing': (17, 24)})
    """
    text, places = "", {}
    for literal, field in pieces(template):
        text += literal
        if field is not None:
            places[field.name] = len(text), len(text) + len(words[field.name])
            text += words[field.name]
    return text, places
