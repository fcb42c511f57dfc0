"""A library as other files: JSON, a table in CSV or Parquet, or the folders of its runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import plain, to_json, write_bytes
from circuitsearch.library.entry import Entry
from circuitsearch.table_files import parquet_bytes, table_text

if TYPE_CHECKING:
    from circuitsearch.library.library import Library

TABLES = (".csv", ".parquet")
COLUMNS = tuple(each.name for each in fields(Entry))


def check_out(out: Path) -> None:
    """Raise an InputError before the work if nothing can be written there."""
    if not out.absolute().parent.is_dir():
        raise InputError(f"the folder {shortened(out.parent)} does not exist: make it, or choose another place")
    if out.suffix in (".json", *TABLES):
        if out.is_dir():
            raise InputError(f"{shortened(out)} is a folder: give the name of a file")
    elif out.suffix:
        raise InputError(
            f"a library is not written as {out.suffix}: take .json, .csv or .parquet, or a folder's name without a suffix"
        )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{shortened(out, 100)} exists and is not an empty folder: choose another")


def export(library: Library, entries: Sequence[Entry], out: Path) -> None:
    """Write entries in the format that the suffix says, or without one as run folders.

    Raises
    ------
    InputError
        If the suffix is unknown, the place is taken, or Parquet is asked for without pyarrow.
    """
    check_out(out)
    if out.suffix == ".json":
        write_bytes(out, (to_json([_whole(library, each) for each in entries]) + "\n").encode())
    elif out.suffix == ".csv":
        write_bytes(out, table_text([COLUMNS, *(list(row.values()) for row in _rows(entries))]).encode())
    elif out.suffix == ".parquet":
        write_bytes(out, parquet_bytes(_rows(entries), COLUMNS))
    else:
        for each in entries:
            _write_folder(library.files(each.id), out / folder_name(each))


def _whole(library: Library, entry: Entry) -> dict[str, Any]:
    """An entry with its edges and the roles of its nodes."""
    edges = {edge.name: edge.strength for edge in library.edges([entry.id])[entry.id]}
    roles = {node: role for _, node, role, _ in library.nodes([entry.id]) if role}
    return asdict(entry) | {"edges": edges, "roles": roles}


def _rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [plain(asdict(each)) for each in entries]


def folder_name(entry: Entry) -> str:
    """A run's folder: its number, task and model.

    A name that a library's file gives cannot lead elsewhere: all but letters, digits, ``_`` and ``-`` are hyphens.
    """
    words = re.sub(r"[^A-Za-z0-9_]+", "-", f"{entry.task or entry.form}-{entry.of_model}").strip("-")
    return f"{entry.id:03d}-{words[:80]}"


def _write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        write_bytes(folder / name, content)
