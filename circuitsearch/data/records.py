"""Records: the rows of a file or a table as they are, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from circuitsearch.errors import InputError

MOST_RECORDS = 1_000_000
COLUMNS = ("clean", "corrupt", "answer", "wrong")  # of a row that is a list


def named(row: Any) -> Any:
    """A row that is a list of four values under our names; any other one as it is."""
    is_list = isinstance(row, tuple | list) and len(row) == len(COLUMNS)
    return dict(zip(COLUMNS, row, strict=True)) if is_list else row


@dataclass(frozen=True)
class Record:
    """One row: ``place`` is where a message says that it is, as in ``"line 7"``; a row that cannot be read has a ``problem``."""

    place: str
    fields: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class Records:
    """Rows of one source.

    Attributes
    ----------
    source : str
        The file's path, or what else messages call it; empty for a list in Python.
    name : str
        The name of a task that is made from them.
    table : bool
        Whether all rows have the same columns, and cells may hold printed lists and numbers.
    """

    source: str
    name: str
    rows: tuple[Record, ...]
    table: bool = False

    def __iter__(self) -> Iterator[Record]:
        return iter(self.rows)

    def with_corrupt(self, other: Records) -> Records:
        """The rows, each with the prompt of the other source's row as its corrupt prompt.

        Raises
        ------
        InputError
            If the sources differ in their number of rows, or in the ``prompt_id`` or ``id`` of a row.
        """
        if len(self.rows) != len(other.rows):
            raise InputError(
                f"{self.source} has {len(self.rows)} rows and the corrupt prompts' file {other.source} {len(other.rows)}:"
                " give files whose rows belong together"
            )
        pairs = zip(self.rows, other.rows, strict=True)
        return replace(self, rows=tuple(_joined(own, corrupt, other.source) for own, corrupt in pairs))


def _joined(own: Record, corrupt: Record, source: str) -> Record:
    for key in ("prompt_id", "pair_id"):
        ours, theirs = own.fields.get(key), corrupt.fields.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            return replace(
                own, problem=f"its {key} is {ours!r}, and that of the row beside it in {source} is {theirs!r}"
            )
    found = next((corrupt.fields[key] for key in ("prompt", "clean") if key in corrupt.fields), None)
    if found is None:
        return replace(own, problem=own.problem or f"{source} has no column prompt or clean")
    return replace(own, fields={**own.fields, "corrupt": found}, problem=own.problem or corrupt.problem)


def checked_count(count: int, source: str) -> None:
    """Raise an InputError if there are more rows than are read."""
    if count > MOST_RECORDS:
        raise InputError(f"{source} has more than {MOST_RECORDS:,} rows: give a part of them")
