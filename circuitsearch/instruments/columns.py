"""Columns of a map over a prompt: its positions, or named spans, whose positions may differ from prompt to prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.errors import InputError
from circuitsearch.task import Task


@dataclass(frozen=True)
class Columns:
    """The column of each token of each prompt.

    Attributes
    ----------
    names : tuple of str
        Labels of the columns.
    places : tuple of Tensor
        For each of the task's N prompts, (T,) the columns of its tokens; -1 for tokens in no column.
    """

    names: tuple[str, ...]
    places: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.names)

    def of(self, batch: Batch) -> Tensor:
        """(B, T) for a batch's prompts; padding is in no column."""
        places = torch.full_like(batch.clean, -1)
        for row, (place, length) in enumerate(zip(batch.rows.tolist(), batch.lengths.tolist(), strict=True)):
            places[row, :length] = self.places[place]
        return places

    def shares(self, batch: Batch, like: Tensor) -> Tensor:
        """The share of each token in its column's mean: (B, C, T), 0 in other columns."""
        inside = self.of(batch)[:, None] == torch.arange(len(self), device=like.device)[:, None]
        return inside.to(like.dtype) / inside.sum(-1, keepdim=True).clamp(min=1)

    def average(self, values: Tensor, batch: Batch) -> Tensor:
        """Mean of values (B, T, ...) over each column's tokens: (B, C, ...)."""
        return torch.einsum("bct,bt...->bc...", self.shares(batch, values), values)


def columns_of(task: Task, spans: Sequence[str] = (), tokenizer: Any = None) -> Columns:
    """Columns for the named ``spans`` or, if none are named, for every position, if all prompts have the same length.

    Raises
    ------
    InputError
        If the prompts' lengths differ and no spans are named, or the task does not have a span.
    """
    if spans:
        task.check_spans(spans)
        return Columns(tuple(spans), tuple(_marked(task, row, spans) for row in range(len(task))))
    lengths = sorted({len(ids) for ids in task.clean})
    if len(lengths) > 1:
        named = f"name spans ({', '.join(task.span_names)})" if task.span_names else "name spans in the task"
        raise InputError(
            f"the prompts of task {task.name!r} have {', '.join(map(str, lengths))} tokens, so their positions do not"
            f" correspond: {named}, or use those of one length with task.of_length({lengths[0]})"
        )
    places = torch.arange(lengths[0])
    return Columns(position_names(task, tokenizer), (places,) * len(task))


def _marked(task: Task, row: int, spans: Sequence[str]) -> Tensor:
    places = torch.full((len(task.clean[row]),), -1)
    for column, name in enumerate(spans):
        places[list(task.spans[row][name])] = column
    return places


def position_names(task: Task, tokenizer: Any = None) -> tuple[str, ...]:
    """A label for each position: its token if it is the same in all prompts, else the position."""
    ids = torch.stack(task.clean)
    same = (ids == ids[:1]).all(0).tolist()
    return tuple(token_name(int(ids[0, at]), tokenizer) if same[at] else str(at) for at in range(ids.shape[1]))


def token_name(token: int, tokenizer: Any = None) -> str:
    """A token as text, or its id if there is no tokenizer."""
    return f"[{token}]" if tokenizer is None else tokenizer.decode([token])


def in_order(kept: list[tuple[Tensor, Tensor]], count: int) -> Tensor:
    """Sort the values of batches into the task's order: from (rows (B,), values (B, ...)) to (N, ...), float64, on the CPU."""
    out = torch.empty(count, *kept[0][1].shape[1:], dtype=torch.float64)
    for rows, values in kept:
        out[rows.cpu()] = values.cpu().double()
    return out
