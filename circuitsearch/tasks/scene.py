"""Scenes: which word each slot of a prompt holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .template import Field

KIND = "kind"
"""The slot that holds the name of the list from which the template is."""
LABEL = "label"
"""The column with the label of the place into which a slot is shuffled."""

TOKENS = "tokens"
"""The column with the number of tokens of a word that may have several."""
OTHER = "other"
"""The column with the other value of a slot that has two."""


@dataclass(frozen=True)
class Word:
    """A word, with what stands in its row by column.

    Attributes
    ----------
    text : str
        The word.
    cells : mapping
        The other words of its row, by column.
    factor, key : str
        Among the values of which factor it counts, and as which; empty if it is of no list.
    """

    text: str
    cells: Mapping[str, str] = field(default_factory=dict)
    factor: str = ""
    key: str = ""


Scene = Mapping[str, Word]
"""From each slot to its word."""


def column_of(field: Field, scene: Scene) -> str:
    """The column that a field reads: the one with its name, or whose name is in the slot of its name."""
    return scene[field.column].text if field.column in scene else field.column


def shown(field: Field, word: Word, scene: Scene) -> str:
    """What a field shows if its slot holds the word."""
    column = column_of(field, scene)
    text = word.cells[column] if column else word.text
    return text[0] if field.first_letter else text
