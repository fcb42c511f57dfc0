"""The state of a search in a file, from which a search that was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.files import write_whole
from circuitsearch.history import Pass
from circuitsearch.search.passes import State

TENSORS = ("inside", "gain", "variance", "circuits")


class Checkpoint:
    """A safetensors file with the state after the last pass, and a checksum of it; without a path nothing is kept.

    Parameters
    ----------
    path : path, optional
        The file.
    identity : dict
        All settings that the search depends on.
    """

    def __init__(self, path: str | Path | None, identity: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self.identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def save(self, state: State) -> None:
        """Replace the file by one with this state."""
        if self.path is None:
            return
        tensors = {name: getattr(state, name).contiguous().clone() for name in TENSORS}
        others = {name: value for name, value in asdict(state).items() if name not in TENSORS}
        text = json.dumps(others, allow_nan=True)
        metadata = {"search": self.identity, "state": text, "checksum": _checksum(tensors, text)}
        write_whole(self.path, lambda part: save_file(tensors, part, metadata))

    def load(self) -> State | None:
        """The state in the file, or None if there is no file.

        Raises
        ------
        InputError
            If the file is damaged, or of another search.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in TENSORS}
            if metadata.get("checksum") != _checksum(tensors, metadata.get("state", "")):
                raise ValueError("it was changed since it was written")
            state = _state(metadata.get("state", ""), tensors)
        except (OSError, SafetensorError, ValueError, ValidationError) as error:
            raise InputError(f"{self.path} is not the checkpoint of a search: remove it to search anew") from error
        if metadata.get("search") != self.identity:
            raise InputError(f"{self.path} is of a search with other settings: name another file, or remove it")
        return state

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _checksum(tensors: dict[str, Tensor], text: str) -> str:
    """Over the state's numbers and the rest of it, as they are in the file."""
    digest = hashlib.sha256(text.encode())
    for name in TENSORS:
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _state(text: str, tensors: dict[str, Tensor]) -> State:
    content = json.loads(text)
    expected = {field.name for field in fields(State)} - set(TENSORS)
    if not isinstance(content, dict) or set(content) != expected:
        raise ValueError("the fields are not those of a state")
    passes = TypeAdapter(tuple[Pass, ...]).validate_json(json.dumps(content.pop("passes")))
    if len(tensors["circuits"]) != len(passes):
        raise ValueError("there is not one circuit for each pass")
    return State(**tensors, **content, passes=passes)
