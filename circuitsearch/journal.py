"""Journal: a file of the exact effects measured so far, from which work that was killed continues."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError

Values = list[list[float]]  # a list of numbers for each prompt


class Journal:
    """Measurements by key and prompt, each made only once, kept in memory and in a file if there is one.

    Each line of the file is a checksum and a JSON object, written whole and flushed as soon as its numbers are known. An
    incomplete last line, left by a kill, is dropped. JSON keeps every float exactly. Measurements do not depend on
    batching or memory, so work may continue on another machine.

    Parameters
    ----------
    path : path, optional
        The file; created with the first measurement. Without one, measurements are kept in memory only.
    about : mapping
        All settings that the numbers depend on; written to the first line.

    Raises
    ------
    InputError
        If the file is damaged, or has the measurements of other settings.

    Examples
    --------
    >>> Journal().once("a0.h1->logits", [0, 1], lambda: [[0.5], [0.25]])
    [[0.5], [0.25]]
    """

    def __init__(self, path: str | Path | None = None, about: Mapping[str, Any] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.about = dict(about or {})
        self.known: dict[str, dict[int, list[float]]] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def once(self, key: str, prompts: Sequence[int], measure: Callable[[], Values]) -> Values:
        """Return the numbers of these prompts under ``key``, or measure and record them.

        Raises
        ------
        InputError
            If a measured number is NaN or infinite.
        """
        if self.has(key, prompts):
            return [self.known[key][prompt] for prompt in prompts]
        values = measure()
        _check_finite(key, prompts, values)
        if self.path is not None:
            if not self.path.exists():
                _append(self.path, {"journal": self.about})
            self._keep(key, prompts, values)
            _append(self.path, {"key": key, "prompts": list(prompts), "values": values})
        return values

    def has(self, key: str, prompts: Sequence[int]) -> bool:
        """Whether the numbers of all these prompts are known under ``key``."""
        known = self.known.get(key, {})
        return all(prompt in known for prompt in prompts)

    def _keep(self, key: str, prompts: Sequence[int], values: Values) -> None:
        self.known.setdefault(key, {}).update(zip(prompts, values, strict=True))

    def _read(self, path: Path) -> None:
        *whole, cut_short = path.read_bytes().split(b"\n")  # text after the last line break is incomplete
        entries = [_parsed(path, number, line) for number, line in enumerate(whole, 1)]
        if not entries:
            path.unlink()
            return
        if entries[0].get("journal") != self.about:
            raise InputError(f"{path} has the measurements of other settings: name another file, or remove it")
        if cut_short:
            os.truncate(path, path.stat().st_size - len(cut_short))
        for number, entry in enumerate(entries[1:], 2):
            self._keep(*_measurement(path, number, entry))


def _append(path: Path, entry: dict[str, Any]) -> None:
    text = json.dumps(entry, allow_nan=False).encode()
    with path.open("ab") as file:
        file.write(_checksum(text) + b" " + text + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    checksum, _, text = line.partition(b" ")
    try:
        entry = json.loads(text) if checksum == _checksum(text) else None
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise _damaged(path, number)
    return entry


def _measurement(path: Path, number: int, entry: dict[str, Any]) -> tuple[str, list[int], Values]:
    """The key, prompts and values of a line, checked for their shapes."""
    key, prompts, values = entry.get("key"), entry.get("prompts"), entry.get("values")
    if not (isinstance(key, str) and isinstance(prompts, list) and isinstance(values, list)):
        raise _damaged(path, number)
    if len(prompts) != len(values) or not all(isinstance(prompt, int) for prompt in prompts):
        raise _damaged(path, number)
    if not all(isinstance(row, list) and _finite(row) for row in values):
        raise _damaged(path, number)
    return key, prompts, values


def _damaged(path: Path, number: int) -> InputError:
    return InputError(
        f"{path}, line {number}, is damaged or is not a line of a journal: remove the file to measure again"
    )


def _finite(row: list[float]) -> bool:
    return all(isinstance(value, int | float) and abs(value) <= sys.float_info.max for value in row)


def _check_finite(key: str, prompts: Sequence[int], values: Values) -> None:
    for prompt, row in zip(prompts, values, strict=True):
        if not _finite(row):
            raise InputError(
                f"the metric of prompt {prompt + 1} is NaN or infinite ({key[:80]}): check the model and the metric"
            )
