"""Journal: a file of the exact effects measured so far, from which work that was killed continues."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import Any

from circuitsearch.checked_lines import append_line, damaged, read_lines
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
            self._keep(key, prompts, values)
            line = {"key": key, "prompts": list(prompts), "values": values}
            append_line(self.path, {"journal": self.about}, line)
        return values

    def has(self, key: str, prompts: Sequence[int]) -> bool:
        """Whether the numbers of all these prompts are known under ``key``."""
        known = self.known.get(key, {})
        return all(prompt in known for prompt in prompts)

    def _keep(self, key: str, prompts: Sequence[int], values: Values) -> None:
        self.known.setdefault(key, {}).update(zip(prompts, values, strict=True))

    def _read(self, path: Path) -> None:
        for number, entry in read_lines(path, {"journal": self.about}):
            self._keep(*_measurement(path, number, entry))


def beside(journal: str | Path | None, name: str) -> Path | None:
    """A file for another part of the work that a journal is of."""
    return None if journal is None else Path(f"{journal}-{name}")


def journal_files(journal: Path) -> list[Path]:
    """A journal and the files beside it, as far as they are there."""
    return [file for file in (journal, *sorted(journal.parent.glob(f"{escape(journal.name)}-*"))) if file.is_file()]


def remove_journal(journal: Path) -> None:
    """Remove a journal and the files beside it, once the work is finished."""
    for file in journal_files(journal):
        file.unlink(missing_ok=True)


def _measurement(path: Path, number: int, entry: dict[str, Any]) -> tuple[str, list[int], Values]:
    """The key, prompts and values of a line, checked for their shapes."""
    key, prompts, values = entry.get("key"), entry.get("prompts"), entry.get("values")
    if not (isinstance(key, str) and isinstance(prompts, list) and isinstance(values, list)):
        raise damaged(path, number)
    if len(prompts) != len(values) or not all(isinstance(prompt, int) for prompt in prompts):
        raise damaged(path, number)
    if not all(isinstance(row, list) and _finite(row) for row in values):
        raise damaged(path, number)
    return key, prompts, values


def _finite(row: list[float]) -> bool:
    return all(isinstance(value, int | float) and abs(value) <= sys.float_info.max for value in row)


def _check_finite(key: str, prompts: Sequence[int], values: Values) -> None:
    for prompt, row in zip(prompts, values, strict=True):
        if not _finite(row):
            raise InputError(
                f"the metric of prompt {prompt + 1} is NaN or infinite ({key[:80]}): check the model and the metric"
            )
