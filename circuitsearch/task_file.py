"""Reading a task from a file of JSON lines or a JSON array, with errors that name the line or row."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import Malformed, parse_json, read_text, to_json
from circuitsearch.text import Row, Tokenizer, encode_row

Item = TypeVar("Item")


class _Row(BaseModel):
    """The optional keys of every row; unknown keys are ignored."""

    model_config = ConfigDict(strict=True)
    group: StrictInt | str | None = None
    position: int | None = None
    name: str | None = None
    spans: dict[str, int | list[int]] = Field(default_factory=dict)
    factors: dict[str, str | list[str]] = Field(default_factory=dict)


class IdsRow(_Row):
    """A row that holds token ids."""

    clean_ids: list[int]
    corrupt_ids: list[int]
    answer_id: int | list[int]
    wrong_id: int | list[int]

    def ids(self, tokenizer: Tokenizer | None) -> Row:
        return self.clean_ids, self.corrupt_ids, _listed(self.answer_id), _listed(self.wrong_id)


class TextRow(_Row):
    """A row that holds text."""

    clean: str
    corrupt: str
    answer: str | list[str]
    wrong: str | list[str]

    def ids(self, tokenizer: Tokenizer | None) -> Row:
        if tokenizer is None:
            raise InputError("the row is text, but no tokenizer was given: pass the model's tokenizer, or token ids")
        return encode_row(tokenizer, self.clean, self.corrupt, _listed(self.answer), _listed(self.wrong))


READ = (*TextRow.model_fields, *(name for name in IdsRow.model_fields if name not in TextRow.model_fields))


def read_task_file(path: Path, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """Read the rows of ``path`` as columns for :meth:`circuitsearch.Task.from_ids`.

    Raises
    ------
    InputError
        If the file is missing, empty, not text, or a row is not valid; the sentence names the row.
    """
    rows: list[IdsRow | TextRow] = []
    ids: list[Row] = []
    for place, text in _places(path):
        try:
            row = _parsed(text)
            ids.append(row.ids(tokenizer))
        except InputError as error:
            raise InputError(f"{shortened(path, 100)}, {place}: {error}") from None
        rows.append(row)
    if not rows:
        raise InputError(f"{path} is empty: write one JSON object per line with clean, corrupt, answer, wrong")
    names = {row.name for row in rows}
    clean, corrupt, answers, wrong = zip(*ids, strict=True)
    return {
        "clean": clean,
        "corrupt": corrupt,
        "answers": answers,
        "wrong": wrong,
        "name": rows[0].name if len(names) == 1 and rows[0].name else path.stem,
        "spans": [row.spans for row in rows] if any(row.spans for row in rows) else (),
        "factors": [row.factors for row in rows] if any(row.factors for row in rows) else (),
        "groups": _groups(path, rows),
        "position": _positions(rows, clean),
    }


def _places(path: Path) -> Iterator[tuple[str, str]]:
    """Each row's place in the file and its JSON: the entries of an array, else the lines that are not blank."""
    text = read_text(path, "a task file")
    if text.lstrip().startswith("["):
        try:
            entries = parse_json(text, list[Any])
        except Malformed as error:
            raise InputError(f"{shortened(path, 100)}: {error}") from None
        yield from ((f"row {number}", to_json(entry)) for number, entry in enumerate(entries, 1))
        return
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):  # unlike str.splitlines, only at these
        if line.strip():
            yield f"line {number}", line


def _parsed(text: str) -> IdsRow | TextRow:
    try:
        content = parse_json(text, object)
    except Malformed as error:
        reason = str(error).replace(" at line 1, column", " at column")
        raise InputError(f"{reason}: write one JSON object per line") from None
    if not isinstance(content, dict):
        raise InputError('not a JSON object: write {"clean": ..., "corrupt": ..., "answer": ..., "wrong": ...}')
    _check_keys(content)
    try:
        return parse_json(text, IdsRow if "clean_ids" in content else TextRow)
    except Malformed as error:
        raise InputError(
            f"{error}: a row needs clean, corrupt, answer, wrong (or clean_ids, corrupt_ids, answer_id, wrong_id)"
        ) from None


def _check_keys(content: dict[str, Any]) -> None:
    """Refuse a key that is probably a misspelling of a missing key, since it would be ignored."""
    missing = [name for name in READ if name not in content]
    for key in content:
        near = [] if key in READ else difflib.get_close_matches(key, missing, n=1, cutoff=0.8)
        if near:
            raise InputError(f"the key {shortened(repr(key), 60)} is not read: did you mean {near[0]!r}?")


def _groups(path: Path, rows: Sequence[_Row]) -> list[int | str] | None:
    """Each row's group, if any has one."""
    groups = [row.group for row in rows if row.group is not None]
    if 0 < len(groups) < len(rows):
        first = next(number for number, row in enumerate(rows, 1) if row.group is None)
        raise InputError(f"{path}: row {first} has no group, but other rows have one: give every row a group, or none")
    return groups or None


def _positions(rows: Sequence[_Row], clean: tuple[list[int], ...]) -> list[int] | None:
    """The position that the metric reads in each row, if any row gives one: by default the last token."""
    if all(row.position is None for row in rows):
        return None
    return [len(ids) - 1 if row.position is None else row.position for row, ids in zip(rows, clean, strict=True)]


def _listed(value: Item | list[Item]) -> list[Item]:
    return value if isinstance(value, list) else [value]
