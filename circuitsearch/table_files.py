"""Tables as CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from circuitsearch.errors import InputError


def table_text(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def parquet_bytes(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """These columns of rows as a Parquet file.

    Raises
    ------
    InputError
        If pyarrow is not installed.
    """
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("Parquet needs pyarrow: pip install 'circuitsearch[parquet]', or write .csv") from None
    buffer = io.BytesIO()
    parquet.write_table(arrow.table({name: [row[name] for row in rows] for name in columns}), buffer)
    return buffer.getvalue()
