"""The files of a circuit that a library keeps, unpacked and checked."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.files import parse_json
from circuitsearch.library.source import CIRCUIT, KEPT
from circuitsearch.library.store import damaged

if TYPE_CHECKING:
    from sqlite_utils import Database

MOST_BYTES = 1 << 30  # of a file


def files_of(db: Database, identity: int, path: Path) -> dict[str, bytes]:
    """The files of an entry by name; an InputError if one is not what was added."""
    rows = db.execute("SELECT name, size, content FROM files WHERE circuit = ?", [identity]).fetchall()
    return {name: _unpacked(size, content, path) for name, size, content in rows if name in KEPT}


def _unpacked(size: Any, content: Any, path: Path) -> bytes:
    """A file of a size, of which one byte more than that is unpacked at most."""
    if not isinstance(size, int) or not 0 <= size <= MOST_BYTES or not isinstance(content, bytes):
        raise damaged(path, "a file in it is no file")
    try:
        whole = zlib.decompressobj().decompress(content, size + 1)
    except zlib.error as error:
        raise damaged(path, error) from None
    if len(whole) != size:
        raise damaged(path, "a file in it has another size")
    return whole


def circuit_in(files: Mapping[str, bytes], path: Path) -> Circuit:
    """The circuit among the files of an entry."""
    try:
        return Circuit.from_dict(parse_json(files.get(CIRCUIT, b"").decode(), dict[str, Any]))
    except (InputError, UnicodeDecodeError) as error:
        raise damaged(path, error) from None
