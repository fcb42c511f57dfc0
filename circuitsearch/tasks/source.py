"""What stands in a task's TOML file, and reading it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from circuitsearch.errors import InputError, nearest, shortened
from circuitsearch.files import read_text

Item = TypeVar("Item")


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ListTable(_Table):
    """A list of words, or of rows whose cells are separated by "/".

    Attributes
    ----------
    words : str or list of str
        A text is split at spaces.
    shared : str or list of str
        Lists of :data:`circuitsearch.tasks.words.SHARED` that come before the words.
    columns : list of str
        Names of the cells of a row; the first is the word itself.
    constants : mapping
        Cells that all rows have.
    factor : str
        What the words count as; by default the list's own name.
    incomplete : bool
        Whether a row may lack cells, of which then only the first must be one token.
    long : bool
        Whether the words themselves may be several tokens; the other cells are still single ones. Then a word is replaced by one
        of as many tokens.
    """

    words: str | list[str] = []
    shared: str | list[str] = []
    columns: list[str] = []
    constants: dict[str, str] = {}
    factor: str = ""
    incomplete: bool = False
    long: bool = False


class UnlikeTable(_Table):
    """A word of a list that differs from another slot's in one column: ``unlike = "country.capital"``."""

    list: str
    unlike: str


class ShuffleTable(_Table):
    """Slots whose words are dealt at random to the fields ``into``, or to one another."""

    slots: list[str]
    into: list[str] = []
    labels: list[str] = []
    orders: dict[str, list[str]] = {}


class RuleTable(_Table):
    """A counterfactual, and what it does in words."""

    rule: str
    about: str = ""


class Source(_Table):
    """A task's definition as it stands in the file."""

    name: str
    about: str
    detail: str = ""
    paper: str = ""
    baselines: list[str] = []
    metric: str = "logit_diff"
    answer: str | list[str]
    wrong: str | list[str] = []
    templates: list[str] | dict[str, list[str]]
    lists: dict[str, str | list[str] | ListTable]
    slots: dict[str, str | list[str] | UnlikeTable]
    shuffle: list[ShuffleTable] = []
    counterfactuals: dict[str, str | RuleTable]
    spans: list[str] | None = None
    common: list[str] = []


def read(given: str | Path) -> tuple[str, Source]:
    """Read a definition from a file, or from a text of several lines; return its place, for messages, and its content.

    Raises
    ------
    InputError
        If there is no such file, or it is not TOML or has not the keys of a definition.
    """
    is_text = isinstance(given, str) and "\n" in given
    place = "the task's text" if is_text else shortened(given, 100)
    text = str(given) if is_text else read_text(given, "a task's TOML file")
    try:
        return place, Source.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{place} is not TOML: {shortened(error)}") from None
    except ValidationError as error:
        raise InputError(f"{place}, {_problem(error)}") from None


def _problem(error: ValidationError) -> str:
    """The first problem: a key that is missing, unknown or of the wrong kind."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"][:2]))
    key = str(first["loc"][-1])
    if first["type"] == "missing":
        return f"{place}: the key {key!r} is missing: a task needs name, about, answer, templates, lists, slots and counterfactuals"
    if first["type"] == "extra_forbidden":
        known = [*Source.model_fields, *ListTable.model_fields, *ShuffleTable.model_fields, "rule", "unlike", "list"]
        return f"{place}: the key {shortened(repr(key))} is unknown:{nearest(key, known) or ' remove it'}"
    return f"{place}: {shortened(first['msg'], 120)}"


def listed(given: Item | list[Item]) -> list[Item]:
    """A value as a list of one; a list as it is."""
    return given if isinstance(given, list) else [given]


def words_of(given: str | list[str]) -> list[str]:
    """The words of a list: a text is split at spaces."""
    return given.split() if isinstance(given, str) else given


def table_of(given: Any) -> ListTable:
    """A list as a table."""
    return given if isinstance(given, ListTable) else ListTable(words=given)
