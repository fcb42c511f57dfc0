"""The residual stream as the sum of what its parts write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from circuitsearch.instruments.columns import columns_of, in_order
from circuitsearch.instruments.passes import batches, record, subject
from circuitsearch.instruments.result import Result, strongest
from circuitsearch.models.describe import Described
from circuitsearch.names import EMBED
from circuitsearch.task import Task


@dataclass(frozen=True, eq=False)
class Decomposition(Result):
    """The stream's end, x0 + what every attention, MLP and mixer adds, by part and column.

    Attributes
    ----------
    parts : tuple of str
        ``embed``, then the P parts in the stream's order: ``a0`` (a block's whole attention, bias and all), ``m0``, ``s0``.
    columns : tuple of str
        Positions or spans.
    norms : Tensor
        (P + 1, C), the length of what each part adds, averaged over a column's tokens and the prompts.
    streams : Tensor
        (P + 1, C), the length of the stream once the part has written.
    shares : Tensor
        (P + 1, C), how much of the stream's end lies in what the part adds: its projection on the end, over the end's
        length; the parts' shares add up to 1.
    error : float
        The largest entry by which the sum misses the stream's end, over the end's largest entry.
    task : str
    n : int
        How many prompts were averaged.
    """

    parts: tuple[str, ...]
    columns: tuple[str, ...]
    norms: Tensor
    streams: Tensor
    shares: Tensor
    error: float
    task: str
    n: int

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        return ("part", "column", " share of the end"), strongest(self.shares, self.parts, self.columns)


def decompose(model: Any, task: Task, *, spans: Sequence[str] = (), tokenizer: Any = None) -> Decomposition:
    """Take the clean runs' residual stream apart (Elhage et al., A Mathematical Framework for Transformer Circuits, 2021).

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Prompts.
    spans : sequence of str
        Token spans of the task to average over; by default every position, which needs prompts of one length.
    tokenizer
        For the columns' labels.

    Raises
    ------
    InputError
        If model, task and spans do not fit.
    """
    described, columns = subject(model, task), columns_of(task, spans, tokenizer)
    kept: list[tuple[Tensor, Tensor]] = []
    missed = largest = 0.0
    for batch in batches(described, task):
        run = record(described, batch.clean, batch.position)
        embed, writes, end = run.start, [run.write(at) for at in range(len(described.parts))], run.streams[-1]
        numbers, reached = _numbers(embed, writes, end)
        kept.append((batch.rows, columns.average(numbers, batch)))
        missed = max(missed, float((reached - end).abs().max()))
        largest = max(largest, float(end.abs().max()))
    norms, streams, shares = in_order(kept, len(task)).mean(0).unbind(-1)  # (C, P + 1) each
    return Decomposition(
        parts=(EMBED, *part_names(described)),
        columns=columns.names,
        norms=norms.T.contiguous(),
        streams=streams.T.contiguous(),
        shares=shares.T.contiguous(),
        error=missed / max(largest, 1e-30),
        task=task.name,
        n=len(task),
    )


def _numbers(embed: Tensor, writes: list[Tensor], end: Tensor) -> tuple[Tensor, Tensor]:
    """Length, stream's length and share of each part at each token (B, T, P + 1, 3), and the sum (B, T, D)."""
    stream, rows = torch.zeros_like(embed), []
    length = end.square().sum(-1).clamp(min=1e-30)  # (B, T)
    for write in (embed, *writes):
        stream = stream + write
        rows.append(torch.stack([write.norm(dim=-1), stream.norm(dim=-1), (write * end).sum(-1) / length], -1))
    return torch.stack(rows, 2), stream


def part_names(described: Described) -> tuple[str, ...]:
    """The parts as people call them: ``a0``, ``m0``, ``s0``."""
    graph = described.graph.base
    return tuple(graph.writers[place.rows.start].partition(".")[0] for place in graph.parts)
