"""Reading a file of any kind into records: its content says which kind it is."""

from __future__ import annotations

from pathlib import Path

from circuitsearch.errors import InputError
from circuitsearch.files import MOST_BYTES, read_bytes

from .encodings import decoded, named, unpacked
from .json_rows import json_records
from .parquet import MAGIC, parquet_records
from .records import Records
from .tables import table_records

_JSON = (".json", ".jsonl", ".ndjson")
SUFFIXES = (*_JSON, ".csv", ".tsv", ".parquet", ".gz")
"""With which names of files usually end; what is read does not depend on it, but for JSON's."""


def with_corrupt_file(records: Records, path: str | Path | None) -> Records:
    """The records with the prompts of a second file as their corrupt prompts, if there is one: see :meth:`Records.with_corrupt`."""
    return records if path is None else records.with_corrupt(read_records(path))


def read_records(path: str | Path, limit: int = MOST_BYTES) -> Records:
    """Read the rows of a file: JSON lines, a JSON array or object, CSV, TSV or Parquet, gzipped or not.

    Parameters
    ----------
    path
        The file.
    limit
        Largest size in bytes, packed and unpacked.

    Raises
    ------
    InputError
        If it cannot be read, is too large, or is of none of these kinds.
    """
    path, name = Path(path), named(path)
    content = unpacked(read_bytes(path, "a task file", limit), name, limit)
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    if content.startswith(MAGIC):
        return Records(name, plain.stem, parquet_records(content, name, limit), table=True)
    text = decoded(content, name)
    if not text.strip():
        raise InputError(f"{name} is empty: write one JSON object per line with clean, corrupt, answer, wrong")
    if plain.suffix in _JSON or text.lstrip()[:1] in ("{", "["):
        return Records(name, plain.stem, json_records(text, name))
    return Records(name, plain.stem, table_records(text, name), table=True)
