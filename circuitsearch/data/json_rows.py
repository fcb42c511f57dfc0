"""Rows in JSON: lines, an array, one object, or auto-circuit's object with ``prompts``."""

from __future__ import annotations

import re
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.files import Malformed, parse_json

from .records import Record, checked_count, named

_EXAMPLE = '{"clean": ..., "corrupt": ..., "answer": ..., "wrong": ...}'


def json_records(text: str, name: str) -> tuple[Record, ...]:
    """The rows of a JSON text.

    Raises
    ------
    InputError
        If it is an array or an object that is not JSON; a line that is not becomes a row with a problem.
    """
    start = text.lstrip()[:1]
    whole = _whole(text, name) if start == "[" else _object(text)
    if whole is None:
        lines = enumerate(re.split(r"\r\n|\n|\r", text), 1)  # unlike str.splitlines, only at these
        rows = tuple(_line(f"line {number}", line) for number, line in lines if line.strip())
    else:
        rows = tuple(_row(f"row {number}", entry) for number, entry in enumerate(whole, 1))
    checked_count(len(rows), name)
    return rows


def _whole(text: str, name: str) -> list[Any]:
    try:
        return parse_json(text, list[Any])
    except Malformed as error:
        raise InputError(f"{name}: {error}") from None


def _object(text: str) -> list[Any] | None:
    """The rows of a file that is one object of several lines; None of JSON lines."""
    if not re.match(r"\s*\{\s*(\n|\r|\"prompts\")", text):
        return None
    try:
        content = parse_json(text, dict[str, Any])
    except Malformed:
        return None
    prompts = content.get("prompts")
    return prompts if isinstance(prompts, list) else [content]


def _line(place: str, line: str) -> Record:
    try:
        return _row(place, parse_json(line, object))
    except Malformed as error:
        reason = str(error).replace(" at line 1, column", " at column")
        return Record(place, {}, f"{reason}: write one JSON object per line")


def _row(place: str, content: Any) -> Record:
    row = named(content)
    if isinstance(row, dict):
        return Record(place, row)
    return Record(place, {}, f"not a JSON object: write {_EXAMPLE}")
