"""Files spoiled at random, given to their readers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from circuitsearch.errors import LONGEST, InputError

from .mutations import spoiled
from .readers import READERS, Reader
from .watch import Outcome, Wrong, watched


def spoiled_files(n: int, seed: int, only: str | None = None) -> Iterator[tuple[str, int, Outcome]]:
    """The outcome of n spoiled files, as (reader, seed, outcome)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, reader in READERS.items():
            if only in (None, name):
                cases = range(seed, seed + max(1, round(n * reader.share if only is None else n)))
                outcomes = watched(cases, _doing(reader, Path(folder) / name))
                yield from ((name, case, outcome) for case, outcome in zip(cases, outcomes, strict=True))


def _doing(reader: Reader, folder: Path) -> Callable[[int], Outcome]:
    folder.mkdir()
    whole = folder / "whole"
    whole.mkdir()
    files = reader.write(whole)
    for file in files:
        reader.read(file)

    def do(seed: int) -> Outcome:
        random = Random(f"{reader.name} {seed}")
        chosen = random.choice(files)
        there = folder / "there"
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(whole, there)
        spoiled_file = there / chosen.name
        spoiled_file.write_bytes(spoiled(chosen.read_bytes(), reader.form, random))
        before = sorted(there.rglob("*"))
        outcome = _read(reader, spoiled_file)
        left = set(there.rglob("*")) - set(before)
        if left:
            raise Wrong("left behind", ", ".join(path.name for path in left))
        return outcome

    return do


def _read(reader: Reader, file: Path) -> Outcome:
    try:
        reader.read(file)
    except InputError as error:
        return sentence(str(error))
    return Outcome("value", "")


def sentence(said: str) -> Outcome:
    """Whether a refusal is one sentence that a person can read."""
    if not said.strip() or len(said.splitlines()) != 1:
        raise Wrong("not one line", said)
    if len(said) > LONGEST:
        raise Wrong("too long", said)
    return Outcome("refused", said)
