"""The run folder: what was chosen, what came of it, and the way back to where a run was broken off.

``manifest.json`` holds every choice, the versions, and the SHA-256 of the weights, the task and each finished file.
A file counts as finished once the manifest lists it; files are written beside their place and moved into it, so that
none is ever half there.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from circuitsearch.errors import InputError
from circuitsearch.files import read_json, write_whole

MANIFEST = "manifest.json"


class Choices(BaseModel):
    """All that the result of a run depends on, but for the versions of the software."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(description="name or folder, as given")
    weights_sha256: str
    task: str
    task_file: str | None = Field(default=None, description="absolute path, where the task is a file")
    task_sha256: str
    n: int = Field(ge=1, le=10_000_000)
    seed: int = Field(ge=0)
    train_fraction: float = Field(gt=0, lt=1)
    method: str
    ablation: str
    metric: str
    faithfulness: float
    dtype: str
    device: str
    granularity: str = "heads and MLPs"

    def differences(self, other: Choices) -> list[str]:
        """Say what the two differ in, in a few words each; where a file or folder lies does not count."""
        mine, others = (choices.model_dump(exclude={"model", "task_file"}) for choices in (self, other))
        return [_difference(name, mine[name], others[name]) for name in mine if mine[name] != others[name]]


def _difference(name: str, mine: Any, other: Any) -> str:
    if name.endswith("_sha256"):
        return f"other {'weights' if name.startswith('weights') else 'prompts'}"
    return f"{name.replace('_', ' ')} {other} instead of {mine}"


class Manifest(BaseModel):
    """What ``manifest.json`` holds."""

    model_config = ConfigDict(extra="forbid")

    choices: Choices
    versions: dict[str, str]
    outputs: dict[str, str] = Field(default_factory=dict, description="SHA-256 of each finished file")

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read a manifest; an InputError says why a file is not one."""
        return read_json(path, "the manifest of a run", cls)


class Saved(Protocol):
    """What can be written to a file and read back: scores, circuits, reports."""

    def save(self, path: str | Path) -> None:
        """Write it."""
        ...

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read it back."""
        ...


Kind = TypeVar("Kind", bound=Saved)


@dataclass
class RunFolder:
    """A folder that holds one run; nothing is written before :meth:`open`."""

    path: Path
    manifest: Manifest

    @classmethod
    def at(cls, path: Path, choices: Choices) -> RunFolder:
        """Take the folder for a run of these choices, new or broken off.

        Raises
        ------
        InputError
            If there is something else: another run, other files, or a file in the folder's place.
        """
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file: choose a folder for the run with --out")
        if (path / MANIFEST).exists():
            manifest = Manifest.load(path / MANIFEST)
            _check_writable(path)
            different = choices.differences(manifest.choices)
            if different:
                raise InputError(
                    f"{path} already holds another run ({'; '.join(different)}): choose another folder with --out"
                )
            return cls(path, manifest)
        if path.exists() and any(path.iterdir()):
            raise InputError(f"{path} is not empty and holds no run: choose another folder with --out")
        _check_writable(path)
        return cls(path, Manifest(choices=choices, versions=versions()))

    @property
    def journal(self) -> Path:
        """What the scoring has measured so far, until the scores are finished."""
        return self.path / "scores.journal"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the folder; if nothing was measured or finished in it by the end, take it away again."""
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_manifest()
            yield
        finally:
            if not self.manifest.outputs and not self.journal.exists():
                (self.path / MANIFEST).unlink(missing_ok=True)
                for folder in new:
                    _remove_if_empty(folder)

    def once(self, name: str, kind: type[Kind], make: Callable[[], Kind]) -> Kind:
        """Read a finished file back, or make what belongs in it and write it."""
        if self.has(name):
            return kind.load(self.path / name)
        made = make()
        self.write(name, made.save)
        return made

    def has(self, name: str) -> bool:
        """Whether a file is finished and as it was written."""
        file = self.path / name
        return name in self.manifest.outputs and file.is_file() and sha256_of(file) == self.manifest.outputs[name]

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file of the run, unless it is finished, and list it in the manifest."""
        if self.has(name):
            return
        write_whole(self.path / name, write)
        self.manifest.outputs[name] = sha256_of(self.path / name)
        self._write_manifest()

    def _write_manifest(self) -> None:
        text = self.manifest.model_dump_json(indent=1) + "\n"
        write_whole(self.path / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))


def _check_writable(path: Path) -> None:
    """Say before the work, not after it, that the folder cannot be made or written to."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"{path} cannot be written, for {nearest} is no folder that you may write to: choose another with --out"
        )


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # it was not made, or holds something by now
        return


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on."""
    packages = ("circuitsearch", "torch", "transformers", "tokenizers", "numpy", "scipy", "networkx")
    return {"python": platform.python_version()} | {package: _version(package) for package in packages}


def _version(package: str) -> str:
    from circuitsearch import __version__

    return __version__ if package == "circuitsearch" else version(package)
