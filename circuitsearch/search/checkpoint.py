"""The state of a search in a file, from which a search that was interrupted goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from circuitsearch.history import Pass
from circuitsearch.saved_state import SavedState
from circuitsearch.search.passes import State

TENSORS = ("inside", "gain", "variance", "circuits")


class Checkpoint:
    """The state after the last pass; without a path nothing is kept.

    Parameters
    ----------
    path : path, optional
        The file.
    identity : dict
        All settings that the search depends on.
    """

    def __init__(self, path: str | Path | None, identity: dict[str, Any]) -> None:
        self.file = SavedState(path, lambda: identity)

    def save(self, state: State) -> None:
        """Replace the file by one with this state."""
        others = {name: value for name, value in asdict(state).items() if name not in TENSORS}
        self.file.save({name: getattr(state, name) for name in TENSORS}, others)

    def load(self) -> State | None:
        """The state in the file, or None if there is no file.

        Raises
        ------
        InputError
            If the file is damaged, or of another search.
        """
        read = self.file.load()
        if read is None:
            return None
        try:
            return _state(*read)
        except (ValueError, ValidationError) as error:
            raise self.file.damaged() from error

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.file.remove()


def _state(tensors: dict[str, Tensor], content: Any) -> State:
    expected = {field.name for field in fields(State)} - set(TENSORS)
    if set(tensors) != set(TENSORS) or not isinstance(content, dict) or set(content) != expected:
        raise ValueError("the fields are not those of a state")
    passes = TypeAdapter(tuple[Pass, ...]).validate_json(json.dumps(content.pop("passes")))
    if len(tensors["circuits"]) != len(passes):
        raise ValueError("there is not one circuit for each pass")
    return State(**tensors, **content, passes=passes)
