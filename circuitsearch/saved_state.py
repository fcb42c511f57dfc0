"""State of work under way in a file, from which work that was killed goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.files import write_whole

SECONDS = 10.0  # between two files of work in small steps


class SavedState:
    """Tensors by name, and what else is needed as JSON, in a safetensors file with a checksum; without a path nothing is kept.

    The file is written whole, in place of the one before.

    Parameters
    ----------
    path : path, optional
        The file.
    about : callable
        Gives all settings that the work depends on, as JSON; called when a file is read or written.

    Examples
    --------
    >>> SavedState(None, dict).load() is None
    True
    """

    def __init__(self, path: str | Path | None, about: Callable[[], Mapping[str, Any]]) -> None:
        self.path = None if path is None else Path(path)
        self._about, self._written = about, time.monotonic()

    @cached_property
    def _work(self) -> str:
        """The settings' digest; of an instrument's it takes that of all weights, which short work need not wait for."""
        return hashlib.sha256(json.dumps(self._about(), sort_keys=True).encode()).hexdigest()

    def load(self) -> tuple[dict[str, Tensor], Any] | None:
        """The tensors and the rest, or None if there is no file.

        Raises
        ------
        InputError
            If the file is damaged, or of other work.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            rest = metadata.get("rest", "")
            if metadata.get("checksum") != _checksum(tensors, rest):
                raise ValueError("it was changed since it was written")
            content = json.loads(rest)
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            raise self.damaged() from error
        if metadata.get("work") != self._work:
            raise InputError(f"{self.path} is of work with other settings: name another file, or remove it")
        return tensors, content

    def save(self, tensors: Mapping[str, Tensor], rest: Any = None) -> None:
        """Replace the file by one with this state; its folder is made if need be."""
        if self.path is None:
            return
        own = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        text = json.dumps(rest, allow_nan=True)
        metadata = {"work": self._work, "rest": text, "checksum": _checksum(own, text)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, lambda part: save_file(own, part, metadata))
        self._written = time.monotonic()

    def keep(self, state: Callable[[], Mapping[str, Tensor]]) -> None:
        """Save this state, unless one was saved a moment ago: results do not depend on which states are."""
        if self.path is not None and time.monotonic() - self._written >= SECONDS:
            self.save(state())

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def damaged(self) -> InputError:
        """The error of a file that cannot be used."""
        return InputError(f"{self.path} is damaged, or not a state of unfinished work: remove it to begin anew")


NOTHING_KEPT = SavedState(None, dict)


class Finished:
    """Tensors of finished steps, by name: each is made once, and kept with the others now and then.

    Examples
    --------
    >>> Finished(NOTHING_KEPT).once("a", lambda: Tensor([1.0]))
    tensor([1.])
    """

    def __init__(self, state: SavedState) -> None:
        read = state.load()
        self._state, self._known = state, {} if read is None else read[0]

    def once(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """The tensor of this step, on the CPU; made unless it is known."""
        if name not in self._known:
            self._known[name] = make().cpu()
            self._state.keep(lambda: self._known)
        return self._known[name]


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """Over the numbers and the rest, as they are in the file."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
