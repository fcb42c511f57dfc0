"""The residual stream as the sum of what its parts write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.instruments.columns import columns_of, in_order
from circuitsearch.instruments.passes import Recording, record
from circuitsearch.instruments.result import Result, strongest
from circuitsearch.instruments.subject import subject
from circuitsearch.models.describe import Described
from circuitsearch.names import EMBED
from circuitsearch.task import Task


@dataclass(frozen=True, eq=False)
class Decomposition(Result):
    """The final residual stream, the embedding plus what every attention, MLP and mixer adds, by part and column.

    Attributes
    ----------
    parts : tuple of str
        ``embed``, then the P parts in the stream's order: ``a0`` (a block's whole attention, with its bias), ``m0``, ``s0``.
    columns : tuple of str
        Positions or spans.
    norms : Tensor
        (P + 1, C), the norm of what each part adds, averaged over a column's tokens and the prompts.
    streams : Tensor
        (P + 1, C), the norm of the stream after the part has written.
    shares : Tensor
        (P + 1, C), the share of the final stream that the part adds: its projection on the final stream, over the norm of
        the final stream; the parts' shares sum to 1.
    error : float
        The largest difference, over entries, between the sum of the parts and the final stream, over the largest entry of
        the final stream.
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
    """Decompose the clean runs' residual stream (Elhage et al., A Mathematical Framework for Transformer Circuits, 2021).

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
    seen, columns = subject(model, task), columns_of(task, spans, tokenizer)

    def decomposed(batch: Batch) -> tuple[Tensor, float, float]:
        run = record(seen.described, batch.clean, batch.position)
        numbers, missed = _numbers(run)
        return columns.average(numbers, batch), missed, float(run.streams[-1].abs().max())

    kept: list[tuple[Tensor, Tensor]] = []
    missed = largest = 0.0
    for batch, (numbers, by, length) in seen.over(task, decomposed):
        kept.append((batch.rows, numbers))
        missed, largest = max(missed, by), max(largest, length)
    norms, streams, shares = in_order(kept, len(task)).mean(0).unbind(-1)  # (C, P + 1) each
    return Decomposition(
        parts=(EMBED, *part_names(seen.described)),
        columns=columns.names,
        norms=norms.T.contiguous(),
        streams=streams.T.contiguous(),
        shares=shares.T.contiguous(),
        error=missed / max(largest, 1e-30),
        task=task.name,
        n=len(task),
    )


def _numbers(run: Recording) -> tuple[Tensor, float]:
    """Norm, stream's norm and share of each part at each token (B, T, P + 1, 3), and how far their sum is from the final stream."""
    end = run.streams[-1]
    stream, rows = torch.zeros_like(end), []
    length = end.square().sum(-1).clamp(min=1e-30)  # (B, T)
    writes = (run.write(part) for part in range(len(run.described.parts)))
    for write in chain([run.start], writes):
        stream = stream + write
        rows.append(torch.stack([write.norm(dim=-1), stream.norm(dim=-1), (write * end).sum(-1) / length], -1))
    return torch.stack(rows, 2), float((stream - end).abs().max())


def part_names(described: Described) -> tuple[str, ...]:
    """Names of the parts: ``a0``, ``m0``, ``s0``."""
    graph = described.graph.base
    return tuple(graph.writers[place.rows.start].partition(".")[0] for place in graph.parts)
