"""Tables as text: comma-, semicolon- or tab-separated, as spreadsheets and data frames write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from circuitsearch.errors import InputError, shortened

from .records import Record, checked_count

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_UNNAMED = re.compile(r"(unnamed: \d+|__index_level_\d+__)?", re.IGNORECASE)
_LONGEST_CELL = 1 << 22  # characters


def table_records(text: str, name: str) -> tuple[Record, ...]:
    """The rows of a table whose first line names the columns; empty rows and columns are left out.

    Raises
    ------
    InputError
        If the first line names no columns, or one twice; or if quotation marks do not match.
    """
    delimiter, text, first = _delimiter(text)
    lines = _lines(text, delimiter, first, name)
    header = next(lines, None)
    if header is None:
        raise InputError(
            f"{name} is empty: give one line for the names of the columns, and one for each pair of prompts"
        )
    columns = _names(header[1], name)
    rows = tuple(_record(place, cells, columns, delimiter) for place, cells in lines)
    checked_count(len(rows), name)
    return rows


def _delimiter(text: str) -> tuple[str, str, int]:
    """What separates the cells, the text, and the number of its first line: after Excel's line ``sep=;`` it is the second."""
    told = re.match(r'"?sep=(.)"?\r?\n', text)
    if told:
        return told[1], text[told.end() :], 2
    header = re.sub(r'"[^"\n]*"', "", text[:_LONGEST_CELL].lstrip("\r\n").split("\n", 1)[0])
    return max(_DELIMITERS, key=header.count), text, 1


def _lines(text: str, delimiter: str, first: int, name: str) -> Iterator[tuple[str, list[str]]]:
    """The place and the cells of each row that is not empty."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = first
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f"line {start}", cells
            start = first + reader.line_num
    except csv.Error as error:
        raise InputError(
            f"{name}, line {start}: the table cannot be read ({error}): a text that holds quotation marks, {_DELIMITERS.get(delimiter, delimiter)}s"
            ' or line breaks stands in "...", with "" for each of its quotation marks'
        ) from None


def _names(header: Sequence[str], name: str) -> list[str]:
    """Names of the columns; those without a name, and an index that a data frame wrote, are empty."""
    names = ["" if _UNNAMED.fullmatch(cell.strip()) else cell.strip() for cell in header]
    twice = next((each for index, each in enumerate(names) if each and each in names[:index]), None)
    if twice is not None:
        raise InputError(f"{name}: two columns have the name {shortened(repr(twice))}: rename one of them")
    if not any(names):
        raise InputError(f"{name}: the first line names no columns: write clean,corrupt,answer,wrong there")
    return names


def _record(place: str, cells: Sequence[str], names: Sequence[str], delimiter: str) -> Record:
    """A row; an empty cell is no value."""
    beyond = [cell for cell in cells[len(names) :] if cell.strip()]
    fields = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell.strip()}
    problem = (
        f"it has {len(cells)} cells, and the first line names {len(names)} columns:"
        f' put texts that hold a {_DELIMITERS.get(delimiter, delimiter)} in quotation marks, "..."'
    )
    return Record(place, fields, problem if beyond else "")
