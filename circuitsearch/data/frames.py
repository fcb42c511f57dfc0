"""Records from what Python holds: a list of rows, a data frame, a Hugging Face dataset. None of their libraries is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from circuitsearch.errors import InputError, shortened

from .records import MOST_RECORDS, Record, Records, checked_count, named


def list_records(rows: Any, name: str = "task") -> Records:
    """The records of a list of mappings, or of (clean, corrupt, answer, wrong).

    Raises
    ------
    InputError
        If it is no list; a row that is neither becomes a record with a problem.
    """
    if isinstance(rows, Mapping | str) or not isinstance(rows, Iterable):
        raise InputError(
            f"the rows are a {type(rows).__name__}: give a list of dicts, or of (clean, corrupt, answer, wrong)"
        )
    return Records("", name, _numbered(rows))


def frame_records(frame: Any, name: str = "task") -> Records:
    """The records of a pandas or polars data frame.

    Raises
    ------
    InputError
        If it is no data frame.
    """
    if callable(getattr(frame, "to_dicts", None)):
        rows = frame.to_dicts()
    elif callable(getattr(frame, "to_dict", None)) and hasattr(frame, "columns"):
        rows = frame.to_dict("records")
    else:
        raise InputError(
            f"a {type(frame).__name__} is not a data frame: give one of pandas or polars, or use from_texts"
        )
    return Records("", name, _numbered(rows), table=True)


def dataset_records(dataset: Any, name: str = "task") -> Records:
    """The records of a split of a Hugging Face dataset.

    Raises
    ------
    InputError
        If it is a whole dataset with several splits, or no dataset.
    """
    if isinstance(dataset, Mapping):
        splits = ", ".join(map(str, islice(dataset, 5)))
        raise InputError(f"the dataset has splits ({shortened(splits, 80)}): give one of them, as in dataset['train']")
    if isinstance(dataset, str) or not isinstance(dataset, Iterable):
        raise InputError(
            f"a {type(dataset).__name__} is not a dataset: give a split of one, as load_dataset returns it"
        )
    return Records("", name, _numbered(dataset), table=True)


def _numbered(rows: Iterable[Any]) -> tuple[Record, ...]:
    kept = list(islice(rows, MOST_RECORDS + 1))
    checked_count(len(kept), "the list")
    return tuple(_record(f"row {number}", row) for number, row in enumerate(kept, 1))


def _record(place: str, row: Any) -> Record:
    row = named(row)
    if not isinstance(row, Mapping):
        return Record(place, {}, f"it is {shortened(repr(row), 40)}: give a dict, or (clean, corrupt, answer, wrong)")
    values = {str(key): _value(value) for key, value in row.items()}
    return Record(place, {key: value for key, value in values.items() if value is not None})


def _value(value: Any) -> Any:
    """A value in JSON types: arrays and tuples as lists, NaN and other marks of a missing value as None."""
    if isinstance(value, str | bool | int):
        return value
    if hasattr(value, "tolist"):
        return _value(value.tolist())
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, Mapping):
        return {str(key): _value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_value(each) for each in value]
    return None if type(value).__name__ in ("NoneType", "NAType", "NaTType") else value
