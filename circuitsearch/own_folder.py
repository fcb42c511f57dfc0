"""Files that several processes of a run read, and one of them writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from circuitsearch.distributed import World


@contextmanager
def own_folder(folder: Path, world: World, mark: str) -> Iterator[Path]:
    """The folder itself for the first process; for each other one a copy that is thrown away when the block ends.

    So every process goes on from what an earlier run finished, and one of them writes. A folder without a file named ``mark`` is
    none of ours, and nothing is copied.
    """
    with _own(folder, world, folder.rglob("*") if (folder / mark).is_file() else ()) as own:
        yield own


@contextmanager
def own_file(file: str | Path | None, world: World) -> Iterator[Path | None]:
    """One file in the same way; None if there is none."""
    if file is None:
        yield None
        return
    path = Path(file)
    with _own(path.parent, world, [path]) as own:
        yield own / path.name


@contextmanager
def _own(folder: Path, world: World, files: Iterable[Path]) -> Iterator[Path]:
    """The folder, or a copy of some of its files. They come over the network: processes need no common file system."""
    if world.size == 1:
        yield folder
        return
    there = [str(file.relative_to(folder)) for file in files if file.is_file()]
    names = json.loads(world.same(json.dumps(there).encode()))
    if world.first:
        for name in names:
            world.same((folder / name).read_bytes())
        yield folder
        return
    with TemporaryDirectory(prefix="circuitsearch-") as temporary:
        own = Path(temporary, "own")
        own.mkdir()
        for name in names:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_bytes(world.same(b""))
        yield own
