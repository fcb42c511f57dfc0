"""Where heads look: attention patterns over the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from circuitsearch.errors import InputError, unknown
from circuitsearch.instruments.columns import columns_of
from circuitsearch.instruments.passes import batches, patterns_of, record, subject
from circuitsearch.instruments.result import Result
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
        (H, T, T), how much the token of each row looks at the token of each column; rows add up to 1 (to less where the
        model has an attention sink).
    tokens : tuple of str
        Labels: a token where all prompts have the same there, else its position.
    task : str
    n : int
        How many prompts were averaged.
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
        """Mean attention from each token to the one ``back`` places before it: (H,).

        In prompts that say n random tokens twice an induction head's stripe lies n - 1 places back, a previous-token head's
        1, a duplicate-token head's n.
        """
        return self.patterns.diagonal(-back, 1, 2).mean(-1)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        last = self.patterns[:, -1]
        value, at = last.max(-1)
        rows = [
            (head, self.tokens[int(place)], f"{float(most):.3f}")
            for head, place, most in zip(self.heads, at, value, strict=True)
        ]
        return ("head", "looks most, from the last token, to", " attention"), rows


def attention(model: Any, task: Task, heads: Sequence[str] = (), *, tokenizer: Any = None) -> Attention:
    """Record the attention patterns of heads on the clean prompts (Vig 1906.05714 shows them as maps).

    The patterns are those of the model's own plain code; its setting is restored afterwards.

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
    described, columns = subject(model, task), columns_of(task, (), tokenizer)
    chosen = _chosen(described, heads)
    total = torch.zeros(len(chosen), len(columns), len(columns), dtype=torch.float64)
    for batch in batches(described, task):
        run = record(described, batch.clean, batch.position, patterns=True)
        patterns = {index: patterns_of(run, index) for _, index, _ in chosen}
        for place, (_, index, head) in enumerate(chosen):
            total[place] += patterns[index][:, head].double().sum(0).cpu()
    return Attention(tuple(name for name, _, _ in chosen), total / len(task), columns.names, task.name, len(task))


def _chosen(described: Described, heads: Sequence[str]) -> list[tuple[str, int, int]]:
    """Each head by name, with its part's place and its number in it."""
    graph = described.graph.base
    there = {
        graph.writers[graph.parts[index].rows.start + head]: (index, head)
        for index, part in described.heads
        for head in range(part.n_heads)
    }
    if not there:
        raise InputError(f"a {described.model.config.model_type!r} model has no heads that can be told apart")
    names = [graph.writers[graph.find_writer(head)] for head in heads] or list(there)
    for name in names:
        if name not in there:
            raise unknown("head", name, there)
    return [(name, *there[name]) for name in names]
