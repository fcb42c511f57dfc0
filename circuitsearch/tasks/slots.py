"""Slots: from where the words of a prompt are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from .scene import OTHER, TOKENS, Word


@dataclass(frozen=True)
class FromList:
    """A word of a list, another one than those of the other slots of that list."""

    list: str


@dataclass(frozen=True)
class Unlike:
    """A word of a list whose column differs from that of another slot's word."""

    list: str
    slot: str
    column: str


@dataclass(frozen=True)
class Values:
    """One of some values, which are not divided between groups."""

    values: tuple[str, ...]

    def draw(self, random: Random) -> Word:
        """One of the values; of two, with the other."""
        text = random.choice(self.values)
        others = [value for value in self.values if value != text]
        return Word(text, {OTHER: others[0]} if len(others) == 1 else {})


@dataclass(frozen=True)
class Same:
    """The word of another slot, unless a counterfactual replaces one of them."""

    slot: str


Slot = FromList | Unlike | Values | Same


@dataclass(frozen=True)
class Shuffle:
    """Words that are dealt at random: the word of each slot of ``slots`` is held by one of ``into``.

    Attributes
    ----------
    slots, into : tuple of str
        Alike if the slots exchange their words.
    labels : tuple of str
        For each place in ``into`` the slot of its label, which the shuffled slot then has in its column ``label``.
    orders : mapping
        Orders of the slots that have names.
    """

    slots: tuple[str, ...]
    into: tuple[str, ...]
    labels: tuple[str, ...] = ()
    orders: Mapping[str, tuple[str, ...]] | None = None

    def order(self, random: Random, name: str) -> Sequence[str]:
        """The slots in random order, or in the one of that name."""
        mixed = random.sample(self.slots, len(self.slots))
        return mixed if not name or not self.orders else self.orders[name]


def needed(slots: Mapping[str, Slot], name: str) -> int:
    """The number of words of a list that a prompt needs: two for a slot that must differ, so that one does."""
    return sum(
        2 if isinstance(slot, Unlike) else 1
        for slot in slots.values()
        if isinstance(slot, FromList | Unlike) and slot.list == name
    )


def unlike(words: Sequence[Word], word: Word, column: str) -> Iterator[Word]:
    """The words that differ from a word in a column, or in themselves, and have as many tokens."""
    own, tokens = _cell(word, column), word.cells.get(TOKENS)
    return (w for w in words if own and _cell(w, column) not in ("", own) and w.cells.get(TOKENS) == tokens)


def _cell(word: Word, column: str) -> str:
    return word.cells.get(column, "") if column else word.text
