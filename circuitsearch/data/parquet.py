"""Parquet files, read with pyarrow where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from typing import Any

from circuitsearch.errors import InputError, shortened

from .records import MOST_RECORDS, Record, checked_count

MAGIC = b"PAR1"
_AT_ONCE = 16  # rows: a small file can hold one large text many times


def parquet_records(content: bytes, name: str, limit: int) -> tuple[Record, ...]:
    """The rows of a Parquet file; a null is no value.

    Raises
    ------
    InputError
        If pyarrow is not installed, the file is broken, or its rows take more than ``limit`` bytes.
    """
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(
            f"{name} is a Parquet file, which needs pyarrow: pip install 'circuitsearch[parquet]', or save it as CSV"
        ) from None
    try:
        rows = list(_rows(parquet, content, name, limit))
    except InputError:
        raise
    except Exception as error:  # the library's exceptions differ by kind of damage, and include Python's own
        raise InputError(f"{name} is a broken Parquet file ({shortened(error, 100)}): give the whole file") from None
    return tuple(Record(f"row {number}", row) for number, row in enumerate(rows, 1))


def _rows(parquet: Any, content: bytes, name: str, limit: int) -> Iterator[dict[str, Any]]:
    file = parquet.ParquetFile(BytesIO(content))
    checked_count(file.metadata.num_rows, name)
    groups = range(file.metadata.num_row_groups)
    _check_size(sum(file.metadata.row_group(group).total_byte_size for group in groups), name, limit)
    size = count = 0
    for batch in file.iter_batches(batch_size=_AT_ONCE):
        size, count = size + batch.nbytes, count + len(batch)
        _check_size(size, name, limit)
        checked_count(min(count, MOST_RECORDS + 1), name)
        yield from ({key: value for key, value in row.items() if value is not None} for row in batch.to_pylist())


def _check_size(size: int, name: str, limit: int) -> None:
    if size > limit:
        raise InputError(f"{name} has rows of more than {limit >> 20} MiB, which is too large: give a part of it")
