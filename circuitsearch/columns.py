"""Columns of a task as the user gives them: lists, arrays or a tokenizer's output, checked and made tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuitsearch.batch import Spans
from circuitsearch.dividing import numbered
from circuitsearch.errors import InputError, shortened
from circuitsearch.example import Factors

Ids = Sequence[int] | Tensor
Prompts = Sequence[Ids] | Tensor | Mapping[str, Any]  # a mapping is what a tokenizer returns


def prompts_of(name: str, column: Prompts) -> tuple[Tensor, ...]:
    """Rows of ids; of a tokenizer's output, the ids that its mask keeps."""
    if not isinstance(column, Mapping):
        return vectors(name, column)
    if "input_ids" not in column:
        raise InputError(f"{name} is a mapping without input_ids: give token ids, or the output of a tokenizer")
    rows = vectors(name, column["input_ids"])
    if column.get("attention_mask") is None:
        return rows
    masks = vectors(f"the attention mask of {name}", column["attention_mask"])
    check_counts({f"input_ids of {name}": rows, "attention_mask": masks})
    return tuple(_kept(name, row, *pair) for row, pair in enumerate(zip(rows, masks, strict=True), 1))


def _kept(name: str, row: int, ids: Tensor, mask: Tensor) -> Tensor:
    """The ids (T,) that the mask (T,) keeps, which must be contiguous."""
    kept = mask.nonzero().flatten()
    if len(mask) != len(ids) or (len(kept) and int(kept[-1] - kept[0]) + 1 != len(kept)):
        raise InputError(f"row {row} of {name}: the attention mask must have one run of 1s, and one entry per token")
    return ids[kept]


def _entries(name: str, column: Any) -> list[Any]:
    """The entries of a column, which may be any sequence."""
    try:
        if isinstance(column, Mapping | Set | str):
            raise TypeError
        return list(column)
    except TypeError:
        raise InputError(f"{name} is {_seen(column)}: give a list with one entry per example") from None


def vectors(name: str, column: Any) -> tuple[Tensor, ...]:
    return tuple(vector(f"row {number} of {name}", row) for number, row in enumerate(_entries(name, column), 1))


def vector(place: str, row: Any) -> Tensor:
    """Ids as a tensor (k,); a single id is a vector of one."""
    try:
        ids = torch.as_tensor(row).cpu()
        whole = not (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool)
        if ids.numel() and not (whole and max(ids.shape, default=1) == ids.numel()):
            raise TypeError
        return ids.long().reshape(-1)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{place} is {_seen(row)}: give whole numbers of at most 63 bits, one or a list") from None


def numbers(name: str, column: Any) -> tuple[int, ...]:
    """A column with one whole number per example."""
    values = vectors(name, column)
    wide = next((row for row, value in enumerate(values, 1) if len(value) != 1), None)
    if wide is not None:
        raise InputError(f"row {wide} of {name} has {len(values[wide - 1])} numbers: give one")
    return tuple(map(int, values))


def labels_of(groups: Any) -> tuple[int, ...]:
    """Groups as numbers; names are numbered in the order of their first occurrence."""
    labels: list[Any] = [
        label.item() if isinstance(label, Tensor | np.generic) and label.ndim == 0 else label
        for label in _entries("groups", groups)
    ]
    odd = next((row for row, label in enumerate(labels, 1) if not isinstance(label, int | str)), None)
    if odd is not None:
        raise InputError(f"row {odd} of groups is {_seen(labels[odd - 1])}: give a whole number or a name")
    return tuple(labels) if all(isinstance(label, int) for label in labels) else numbered(labels)


def spans_of_rows(column: Any) -> tuple[Spans, ...]:
    return tuple(_spans_given(f"row {number} of spans", row) for number, row in enumerate(_entries("spans", column), 1))


def _spans_given(place: str, row: Any) -> Spans:
    if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
        raise InputError(f'{place} is {_seen(row)}: give positions by name, as {{"S": 2, "END": [14]}}')
    return {name: tuple(vector(f"{name!r} in {place}", at).tolist()) for name, at in row.items()}


def factors_of(column: Any) -> tuple[Factors, ...]:
    return tuple(
        _factors_given(f"row {number} of factors", row) for number, row in enumerate(_entries("factors", column), 1)
    )


def _factors_given(place: str, row: Any) -> Factors:
    """One prompt's values of each factor; a single value is a tuple of one."""
    if not isinstance(row, Mapping) or not all(isinstance(name, str) and _is_texts(row[name]) for name in row):
        raise InputError(
            f'{place} is {_seen(row)}: give texts by name, as {{"names": ["Mary", "John"], "templates": "3"}}'
        )
    return {name: (values,) if isinstance(values, str) else tuple(values) for name, values in row.items()}


def _is_texts(values: Any) -> bool:
    return isinstance(values, str | list | tuple) and all(isinstance(value, str) for value in values)


def _seen(value: Any) -> str:
    return shortened(" ".join(repr(value).split()), 40)


def check_counts(columns: Mapping[str, Sequence[Any] | Tensor]) -> None:
    """Refuse columns of different lengths."""
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"every column must have one entry per example, but their lengths are: {listed}")


def continued(prompts: Sequence[Tensor], answers: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The prompts with all tokens of their answers but the last."""
    return tuple(torch.cat([ids, answer[:-1]]) for ids, answer in zip(prompts, answers, strict=True))


def unpadded(rows: Sequence[Tensor], pad_id: int | None, lengths: Sequence[int] | None) -> tuple[Tensor, ...]:
    """Rows of ids without the padding after the prompt."""
    if lengths is not None:
        rows = [ids[:length] for ids, length in zip(rows, lengths, strict=True)]
    if pad_id is not None:
        rows = [ids[: len(ids) - int(_run(ids, pad_id))] for ids in rows]
    return tuple(rows)


def check_padding(clean: Sequence[Tensor], corrupt: Sequence[Tensor], end: bool) -> None:
    """Refuse prompts that seem to be padded at the start, or at the ``end``."""
    sides = [("ends", lambda ids: ids, "pad_id={}, lengths= or")] if end else []
    for verb, seen, arguments in (*sides, ("begins", lambda ids: ids.flip(0), "")):
        found = _padding([seen(ids) for ids in clean], [seen(ids) for ids in corrupt])
        if found is not None:
            row, pad, run = found
            raise InputError(
                f"row {row + 1} seems to be padded: it {verb} with {run} times the token {pad}, which the model would read"
                f" as text: remove the padding, or give {arguments.format(pad)} the whole output of the tokenizer, with its"
                " attention_mask"
            )


def _padding(clean: Sequence[Tensor], corrupt: Sequence[Tensor]) -> tuple[int, int, int] | None:
    """A row that ends in padding, the id of the padding, and its length.

    An id counts as padding if all prompts have the same length and end in runs of it, which are the same in clean and
    corrupt prompts and differ in length between rows (or are all of three or more), and it occurs nowhere else.
    """
    if len({len(ids) for ids in (*clean, *corrupt)}) != 1 or not len(clean[0]):
        return None
    ids = torch.stack([*clean, *corrupt])  # (2N, T)
    for pad in ids[:, -1].unique().tolist():
        runs = _run(ids, pad)  # (2N,)
        alike = (
            torch.equal(*runs.chunk(2)) and torch.equal((ids == pad).sum(1), runs) and int(runs.max()) < ids.shape[1]
        )
        if alike and runs.max() >= 2 and (runs.min() >= 3 or len(runs.unique()) > 1):
            return int(runs.argmax()), pad, int(runs.max())
    return None


def _run(ids: Tensor, pad: int) -> Tensor:
    """How many times ``pad`` ends the ids (..., T): (...)."""
    return (ids == pad).flip(-1).long().cumprod(-1).sum(-1)
