"""Steps of long work, each done once: their results in a file, from which work that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from circuitsearch.checked_lines import append_line, damaged, read_lines

Result = TypeVar("Result")


class Steps(Generic[Result]):
    """Results of one kind, by name; without a path nothing is kept.

    Parameters
    ----------
    path : path, optional
        The file; created with the first result. Each line has a checksum.
    kind : type
        Of the results, as pydantic knows it.
    about : mapping
        All settings that the results depend on, and which steps come before them.

    Raises
    ------
    InputError
        If the file is damaged, or of other settings.

    Examples
    --------
    >>> Steps(None, int, {}).once("a", lambda: 3)
    3
    """

    def __init__(self, path: str | Path | None, kind: Any, about: Mapping[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self.first = {"steps": json.loads(json.dumps(about))}
        self._kind: TypeAdapter[Result] = TypeAdapter(kind)
        self._known: dict[str, Result] = {}
        if self.path is not None and self.path.exists():
            for number, entry in read_lines(self.path, self.first):
                self._keep(number, entry)

    def once(self, name: str, make: Callable[[], Result]) -> Result:
        """The result of this step, made unless it is known."""
        if name in self._known:
            return self._known[name]
        result = make()
        if self.path is not None:
            content = json.loads(self._kind.dump_json(result))
            append_line(self.path, self.first, {"step": name, "result": content})
        return result

    def _keep(self, number: int, entry: dict[str, Any]) -> None:
        assert self.path is not None
        try:
            self._known[str(entry["step"])] = self._kind.validate_json(json.dumps(entry["result"]))
        except (KeyError, ValidationError):
            raise damaged(self.path, number) from None
