"""Definition: a task as data: templates, slots, lists of words, and a rule for the corrupt prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.metrics import Metric
from circuitsearch.registry import METRICS

from .counterfactuals import COUNTERFACTUALS, Counterfactual
from .scene import KIND, LABEL, OTHER, Word
from .slots import FromList, Same, Shuffle, Slot, Unlike, Values
from .source import ListTable, RuleTable, Source, UnlikeTable, listed, read, table_of, words_of
from .template import Field, fields
from .words import SHARED


@dataclass(frozen=True)
class WordList:
    """A list of words with its columns; each word has its row's text as key."""

    name: str
    factor: str
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]
    constants: Mapping[str, str]
    incomplete: bool
    long: bool

    def key(self, row: Sequence[str]) -> str:
        """How a row is named among the values of its factor."""
        return row[0] if self.incomplete else "/".join(row)

    def word(self, row: Sequence[str]) -> Word:
        """The row as a word with its cells."""
        cells = {**self.constants, **dict(zip(self.columns, row, strict=False))}
        return Word(row[0], cells, self.factor, self.key(row))


@dataclass(frozen=True)
class Definition:
    """A task's definition, checked.

    Attributes
    ----------
    place : str
        Where it stands, for messages.
    source : Source
        What stands there.
    """

    place: str
    source: Source

    @classmethod
    def read(cls, given: str | Path) -> Definition:
        """Read and check a definition.

        Raises
        ------
        InputError
            If it is not a definition, or one of its parts does not fit the others; the sentence names the place.
        """
        from .definition_checks import check

        definition = cls(*read(given))
        try:
            check(definition)
        except InputError as error:
            raise InputError(f"{definition.place}: {error}") from None
        return definition

    @property
    def name(self) -> str:
        """The task's name."""
        return self.source.name

    @cached_property
    def metric(self) -> Metric:
        """The task's metric."""
        return METRICS.read(self.source.metric)

    @cached_property
    def templates(self) -> dict[str, list[str]]:
        """The templates by kind; of a single list the kind is an empty text."""
        given = self.source.templates
        return {"": given} if isinstance(given, list) else given

    @cached_property
    def kind_of(self) -> dict[str, str]:
        """The kind of each template."""
        return {template: kind for kind, templates in self.templates.items() for template in templates}

    @cached_property
    def lists(self) -> dict[str, WordList]:
        """The lists of words."""
        return {name: _word_list(name, table_of(given)) for name, given in self.source.lists.items()}

    @cached_property
    def slots(self) -> dict[str, Slot]:
        """From where each slot has its word."""
        return {name: self._slot(name, given) for name, given in self.source.slots.items()}

    @cached_property
    def shuffles(self) -> list[Shuffle]:
        """Which slots are shuffled."""
        return [
            Shuffle(
                tuple(table.slots),
                tuple(table.into or table.slots),
                tuple(table.labels),
                {name: tuple(order) for name, order in table.orders.items()},
            )
            for table in self.source.shuffle
        ]

    @cached_property
    def counterfactuals(self) -> dict[str, Counterfactual]:
        """The rules for the corrupt prompt; the first is the default."""
        return {name: COUNTERFACTUALS.read(_rule(given).rule) for name, given in self.source.counterfactuals.items()}

    @property
    def abouts(self) -> dict[str, str]:
        """What each counterfactual does, in words."""
        return {name: _rule(given).about for name, given in self.source.counterfactuals.items()}

    @property
    def orders(self) -> list[str]:
        """Names of orders of shuffled slots."""
        return [name for shuffle in self.shuffles for name in shuffle.orders or ()]

    @property
    def answers(self) -> list[str]:
        """The right answers."""
        return listed(self.source.answer)

    @property
    def wrong(self) -> list[str]:
        """The wrong answers; none if they are the corrupt prompt's right ones."""
        return listed(self.source.wrong)

    @property
    def texts(self) -> Iterable[str]:
        """Everything with fields."""
        return (*self.kind_of, *self.answers, *self.wrong)

    @property
    def names(self) -> list[str]:
        """All that a field can name."""
        into = [name for shuffle in self.shuffles for name in shuffle.into]
        return list(dict.fromkeys([*self.slots, *into, KIND]))

    def shown_by(self, field: Field) -> list[str]:
        """The lists whose words a field can show."""
        if field.column != LABEL:
            return self.sources(field.name)
        labels = [label for shuffle in self.shuffles if field.name in shuffle.slots for label in shuffle.labels]
        return list(dict.fromkeys(name for label in labels for name in self.sources(label)))

    def sources(self, name: str) -> list[str]:
        """The lists whose words a slot can hold, in the clean or in the corrupt prompt."""
        found, seen = [name], set[str]()
        while new := [each for each in found if each not in seen]:
            seen.update(new)
            found += [other for each in new for other in self._behind(each)]
        slots = (self.slots.get(each) for each in dict.fromkeys(found))
        lists = [slot.list for slot in slots if isinstance(slot, FromList | Unlike)]
        return list(dict.fromkeys([*lists, *([name] if name in self.lists else [])]))

    def columns(self, field: Field) -> list[str]:
        """The columns that a field can read; an empty text is the word itself."""
        if not field.column or field.column in (LABEL, OTHER):
            return [""]
        if field.column == KIND:
            return list(self.templates)
        slot = self.slots.get(field.column)
        return list(slot.values) if isinstance(slot, Values) else [field.column]

    def _behind(self, name: str) -> list[str]:
        """The slots whose words another slot or field can hold."""
        slot = self.slots.get(name)
        behind = [slot.slot] if isinstance(slot, Same) else []
        behind += [each for shuffle in self.shuffles if name in shuffle.into for each in shuffle.slots]
        for rule in self.counterfactuals.values():
            if name in rule.changed:
                behind += rule.sources(name)
        return behind

    def _slot(self, name: str, given: Any) -> Slot:
        if isinstance(given, UnlikeTable):
            slot, _, column = given.unlike.partition(".")
            return Unlike(self._known_list(name, given.list), slot, column)
        if isinstance(given, list):
            return Values(tuple(given))
        if given.startswith("{") and given.endswith("}"):
            return Same(given[1:-1])
        return FromList(self._known_list(name, given))

    def _known_list(self, slot: str, name: str) -> str:
        if name not in self.lists:
            raise InputError(f"slot {slot}: {unknown('list', name, self.lists)}")
        return name


def _rule(given: str | RuleTable) -> RuleTable:
    return given if isinstance(given, RuleTable) else RuleTable(rule=given)


def _word_list(name: str, table: ListTable) -> WordList:
    shared = [word for each in listed(table.shared) for word in _shared(name, each)]
    words = [*shared, *words_of(table.words)]
    rows = [tuple(word.split("/")) if table.columns else (word,) for word in words]
    columns = tuple(table.columns) or ("",)
    for row in rows:
        if not all(row) or len(row) > len(columns) or (len(row) < len(columns) and not table.incomplete):
            raise InputError(
                f"list {name}: the row {shortened('/'.join(row), 40)!r} has {sum(map(bool, row))} words, and the list has"
                f" {len(columns)} columns"
            )
    return WordList(name, table.factor or name, tuple(rows), columns, table.constants, table.incomplete, table.long)


def _shared(name: str, shared: str) -> list[str]:
    if shared not in SHARED:
        raise InputError(f"list {name}: {unknown('shared list', shared, SHARED)}")
    return SHARED[shared]


def all_fields(texts: Iterable[str]) -> Iterable[Field]:
    """The fields of some texts."""
    return (field for text in texts for field in fields(text))
