"""Steps of long work, each done once: their results in a file, from which work that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from circuitsearch.checked_lines import append_line, damaged, read_lines

Result = TypeVar("Result")


def steps_beside(out: Path | None) -> Path | None:
    """The file of finished steps of a command that writes ``out``; None if it writes nothing."""
    return None if out is None else out.with_name(f"{out.name}.steps")


class Steps(Generic[Result]):
    """Results of one kind, by name; without a path nothing is kept.

    Parameters
    ----------
    path : path, optional
        The file; created with the first result. Each line has a checksum.
    kind : type
        Of the results, as pydantic knows it.
    about : callable
        Gives all settings that the results depend on, and which steps come before them; called if there is a path.

    Raises
    ------
    InputError
        If the file is damaged, or of other settings.

    Examples
    --------
    >>> Steps(None, int, dict).once("a", lambda: 3)
    3
    """

    def __init__(self, path: str | Path | None, kind: Any, about: Callable[[], Mapping[str, Any]]) -> None:
        self.path = None if path is None else Path(path)
        self._kind: TypeAdapter[Result] = TypeAdapter(kind)
        self._known: dict[str, Result] = {}
        if self.path is None:
            return
        self.first = {"steps": json.loads(json.dumps(about()))}
        if self.path.exists():
            for number, entry in read_lines(self.path, self.first):
                self._keep(self.path, number, entry)

    def once(self, name: str, make: Callable[[], Result]) -> Result:
        """The result of this step, made unless it is known."""
        if name in self._known:
            return self._known[name]
        result = make()
        if self.path is not None:
            content = json.loads(self._kind.dump_json(result))
            append_line(self.path, self.first, {"step": name, "result": content})
        return result

    def _keep(self, path: Path, number: int, entry: dict[str, Any]) -> None:
        try:
            self._known[str(entry["step"])] = self._kind.validate_json(json.dumps(entry["result"]))
        except (KeyError, ValidationError):
            raise damaged(path, number) from None
