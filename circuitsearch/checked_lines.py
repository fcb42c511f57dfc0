"""A file of finished work to which lines are only added, from which work that was killed goes on.

A line is a checksum and a JSON object, written whole and flushed. The first line says what the work is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError


def read_lines(path: Path, first: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the object of each line but the first, which must be ``first``.

    What follows the last line break, left by a kill, is cut off; a file without a whole line is removed.

    Raises
    ------
    InputError
        If a line is damaged, or the file is of other work.
    """
    *whole, cut_short = path.read_bytes().split(b"\n")
    entries = [(number, _parsed(path, number, line)) for number, line in enumerate(whole, 1)]
    if not entries:
        path.unlink()
        return
    if any(entries[0][1].get(name) != about for name, about in first.items()):
        raise InputError(f"{path} has the measurements of other settings: name another file, or remove it")
    if cut_short:
        os.truncate(path, path.stat().st_size - len(cut_short))
    yield from entries[1:]


def append_line(path: Path, first: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Add a line to the file, which begins with ``first``."""
    for each in (entry,) if path.exists() else (first, entry):
        text = json.dumps(each, allow_nan=False).encode()
        with path.open("ab") as file:
            file.write(checksum(text) + b" " + text + b"\n")
            file.flush()
            os.fsync(file.fileno())


def damaged(path: Path, number: int) -> InputError:
    """The error of a line that cannot be used."""
    return InputError(
        f"{path}, line {number}, is damaged or is not a line of a journal: remove the file to measure again"
    )


def checksum(text: bytes) -> bytes:
    """Of a line's object."""
    return hashlib.sha256(text).hexdigest()[:16].encode()


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    own, _, text = line.partition(b" ")
    try:
        entry = json.loads(text) if own == checksum(text) else None
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise damaged(path, number)
    return entry
