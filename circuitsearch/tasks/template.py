"""Templates: sentences with fields for words."""

from __future__ import annotations

from string import Formatter


def fill(template: str, words: dict[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """Fill in a template; return the text and the places of its fields, (first character, last character + 1) each.

    Examples
    --------
    >>> fill("The {noun} near the {thing}", {"noun": "key", "thing": "cabinet"})
    ('The key near the cabinet', {'noun': (4, 7), 'thing': (17, 24)})
    """
    text, places = "", {}
    for literal, name, _, _ in Formatter().parse(template):
        text += literal
        if name is not None:
            places[name] = len(text), len(text) + len(words[name])
            text += words[name]
    return text, places
