"""Attention patterns of heads over the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.errors import InputError, unknown
from circuitsearch.instruments.columns import columns_of
from circuitsearch.instruments.passes import patterns_of, record
from circuitsearch.instruments.result import Result
from circuitsearch.instruments.subject import subject
from circuitsearch.models.describe import Described
from circuitsearch.task import Task


@dataclass(frozen=True, eq=False)
class Attention(Result):
    """Patterns of some heads, averaged over prompts.

    Attributes
    ----------
    heads : tuple of str
        Names, ``a1.h2``.
    patterns : Tensor
        (H, T, T), attention from the token of each row to the token of each column; rows sum to 1 (to less if the model
        has an attention sink).
    tokens : tuple of str
        Labels of positions: the token if it is the same in all prompts, else the position.
    task : str
    n : int
        Number of prompts.
    """

    heads: tuple[str, ...]
    patterns: Tensor
    tokens: tuple[str, ...]
    task: str
    n: int

    def __getitem__(self, head: str) -> Tensor:
        """One head's pattern (T, T)."""
        if head not in self.heads:
            raise unknown("head", head, self.heads)
        return self.patterns[self.heads.index(head)]

    def stripe(self, back: int) -> Tensor:
        """Mean attention from each token to the one ``back`` positions before it: (H,).

        On n random tokens, repeated once, the stripe of an induction head is at n - 1, that of a previous-token head at 1,
        and that of a duplicate-token head at n.
        """
        return self.patterns.diagonal(-back, 1, 2).mean(-1)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        last = self.patterns[:, -1]
        value, at = last.max(-1)
        rows = [
            (head, self.tokens[int(place)], f"{float(most):.3f}")
            for head, place, most in zip(self.heads, at, value, strict=True)
        ]
        return ("head", "the last token attends most to", " attention"), rows


def attention(model: Any, task: Task, heads: Sequence[str] = (), *, tokenizer: Any = None) -> Attention:
    """Record the attention patterns of heads on the clean prompts (Vig 1906.05714 shows them as maps).

    The patterns are those of the model's own "eager" attention; the model's setting is restored afterwards.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Prompts of one length.
    heads : sequence of str
        Names in any tool's spelling; by default all.
    tokenizer
        For the labels.

    Raises
    ------
    InputError
        If the prompts' lengths differ, a head is unknown, or the model has none.
    """
    seen, columns = subject(model, task), columns_of(task, (), tokenizer)
    chosen = _chosen(seen.described, heads)
    total = torch.zeros(len(chosen), len(columns), len(columns), dtype=torch.float64)
    for _, patterns in seen.over(task, partial(_patterns, seen.described, chosen)):
        for of_prompt in patterns.cpu():
            total += of_prompt
    return Attention(tuple(name for name, _, _ in chosen), total / len(task), columns.names, task.name, len(task))


def attention_by_prompt(model: Any, task: Task, heads: Sequence[str] = ()) -> list[dict[str, Tensor]]:
    """Record the attention patterns of heads on each clean prompt, of any length.

    Parameters
    ----------
    model
        A Hugging Face causal language model in evaluation mode, or an :class:`circuitsearch.Experiment` of it.
    task : Task
        Prompts.
    heads : sequence of str
        Names in any tool's spelling; by default all.

    Returns
    -------
    list of dict
        For each prompt the pattern (T, T) of each head by name, T its own number of tokens: attention from the token of each row to
        that of each column.

    Raises
    ------
    InputError
        If a head is unknown, the model has none, or its patterns cannot be read.
    """
    seen = subject(model, task)
    chosen, found = _chosen(seen.described, heads), {}
    for batch, patterns in seen.over(task, partial(_patterns, seen.described, chosen)):
        for row, each in zip(batch.rows.tolist(), patterns.cpu(), strict=True):
            length = len(task.clean[row])
            names = (name for name, _, _ in chosen)
            found[row] = dict(zip(names, each[:, :length, :length], strict=True))
    return [found[row] for row in range(len(task))]


def _patterns(described: Described, chosen: Sequence[tuple[str, int, int]], batch: Batch) -> Tensor:
    """Patterns (B, H, T, T) of the chosen heads; in a padded batch the rows and columns after a prompt's end mean nothing."""
    run = record(described, batch.clean, batch.position, patterns=True)
    patterns = {index: patterns_of(run, index) for _, index, _ in chosen}
    return torch.stack([patterns[index][:, head] for _, index, head in chosen], 1)


def _chosen(described: Described, heads: Sequence[str]) -> list[tuple[str, int, int]]:
    """Each head by name, with its part index and its index in the part."""
    graph = described.graph.base
    there = {
        graph.writers[graph.parts[index].rows.start + head]: (index, head)
        for index, part in described.heads
        for head in range(part.n_heads)
    }
    if not there:
        raise InputError(f"a {described.model.config.model_type!r} model has no heads that can be separated")
    names = [graph.writers[graph.find_writer(head)] for head in heads] or list(there)
    for name in names:
        if name not in there:
            raise unknown("head", name, there)
    return [(name, *there[name]) for name in names]
