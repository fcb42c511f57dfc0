"""Reading a task from a file of JSON lines, with errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from circuitsearch.errors import InputError
from circuitsearch.text import Tokenizer, answer_token, encode

Item = TypeVar("Item")
Row = tuple[list[int], list[int], list[int], list[int]]
Spans = dict[str, int | list[int]]


class IdsRow(BaseModel):
    """A line that holds token ids; other keys are let be."""

    model_config = ConfigDict(strict=True)
    clean_ids: list[int]
    corrupt_ids: list[int]
    answer_id: int | list[int]
    wrong_id: int | list[int]
    spans: Spans = Field(default_factory=dict)

    def ids(self) -> Row:
        return self.clean_ids, self.corrupt_ids, _listed(self.answer_id), _listed(self.wrong_id)


class TextRow(BaseModel):
    """A line that holds text; other keys are let be."""

    model_config = ConfigDict(strict=True)
    clean: str
    corrupt: str
    answer: str | list[str]
    wrong: str | list[str]
    spans: Spans = Field(default_factory=dict)

    def ids(self, tokenizer: Tokenizer) -> Row:
        answers = [answer_token(tokenizer, self.clean, answer) for answer in _listed(self.answer)]
        wrong = [answer_token(tokenizer, self.clean, answer) for answer in _listed(self.wrong)]
        return encode(tokenizer, self.clean), encode(tokenizer, self.corrupt), answers, wrong


def read_task_file(path: Path, tokenizer: Tokenizer | None) -> tuple[list[Row], list[Spans]]:
    """Read the rows of ``path`` as ids: clean (T,), corrupt (T,), answers (k,), wrong (k,); and their spans.

    Raises
    ------
    InputError
        If the file is missing, empty, not UTF-8, or a line is not a row of a task; the sentence says which.
    """
    rows: list[tuple[Row, Spans]] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            rows.append(_parse(line, tokenizer))
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    if not rows:
        raise InputError(f"{path} is empty: write one JSON object a line with clean, corrupt, answer, wrong")
    return [row for row, _ in rows], [spans for _, spans in rows] if any(spans for _, spans in rows) else []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _parse(line: str, tokenizer: Tokenizer | None) -> tuple[Row, Spans]:
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg} at column {error.colno}): write one JSON object a line") from None
    if not isinstance(content, dict):
        raise InputError('not a JSON object: write {"clean": ..., "corrupt": ..., "answer": ..., "wrong": ...}')
    try:
        if "clean_ids" in content:
            given = IdsRow.model_validate(content)
            return given.ids(), given.spans
        row = TextRow.model_validate(content)
    except ValidationError as error:
        raise InputError(_first_problem(error)) from None
    if tokenizer is None:
        raise InputError("the row is text, but no tokenizer was given: pass the model's tokenizer, or token ids")
    return row.ids(tokenizer), row.spans


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"the key {key!r} is missing: a row needs clean, corrupt, answer, wrong (or clean_ids, corrupt_ids, answer_id, wrong_id)"
    return f"the key {key!r} is not usable: {first['msg']}"


def _listed(value: Item | list[Item]) -> list[Item]:
    return value if isinstance(value, list) else [value]
