"""Pairs: batches of clean and corrupt prompts with their shared prefix, clean activations and ablated activations."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import torch
from torch import Tensor
from transformers import Cache

from circuitsearch.ablation import Ablation, Fitted
from circuitsearch.batch import Batch
from circuitsearch.details import details
from circuitsearch.distributed import ALONE, World
from circuitsearch.engine.gradients import GradientRun, PortGradients, port_gradients
from circuitsearch.engine.prefix import Prefix, run_whole
from circuitsearch.engine.rules import PLAIN, Rules
from circuitsearch.engine.trace import Activations, Record, run
from circuitsearch.engine.working_memory import DEFAULT_MEMORY, chunk_of
from circuitsearch.errors import InputError
from circuitsearch.granularity import REST
from circuitsearch.graph import Graph
from circuitsearch.memory import in_words
from circuitsearch.metrics import Metric
from circuitsearch.models.describe import Described
from circuitsearch.task import Task

DEFAULT_CHUNK = chunk_of(DEFAULT_MEMORY)


@dataclass(frozen=True)
class Pair:
    """One batch of clean and corrupt prompts; each of its runs is made when it is first needed, and kept."""

    described: Described
    batch: Batch
    metric: Metric
    fitted: Fitted
    memory: int = DEFAULT_CHUNK  # bytes of one chunk
    shares_prefix: bool = False  # whether nothing differs before a prompt's own first difference

    def __len__(self) -> int:
        return len(self.batch)

    def halves(self) -> tuple[Pair, Pair]:
        """The first and the last half of the prompts, to be run anew."""
        first, last = self.batch.halves()
        return replace(self, batch=first), replace(self, batch=last)

    def take(self, rows: Sequence[int]) -> Pair:
        """The pair of these prompts of the batch, to be run anew."""
        return replace(self, batch=self.batch.take(rows))

    @cached_property
    def _corrupt(self) -> tuple[Activations, Prefix | None]:
        """The corrupt run after the prefix, and the prefix: one pass over the whole prompts computes both."""
        activations, prefix = run_whole(self.described, self.batch.corrupt, self.batch.start)
        return _corresponding(activations, self.batch), prefix

    @property
    def prefix(self) -> Prefix | None:
        """The shared prefix."""
        return self._corrupt[1]

    def cache(self) -> Cache | None:
        """Keys and values of the shared prefix, for a pass of its own."""
        return None if self.prefix is None else self.prefix.cache()

    @property
    def clean_ids(self) -> Tensor:
        """(B, T) after the prefix."""
        return self.batch.clean[:, self.batch.start :]

    @cached_property
    def spans(self) -> Tensor | None:
        """(B, T) which of the graph's spans each position after the prefix is in; None if the graph has none."""
        names = self.described.graph.spans
        if not names:
            return None
        if REST not in names:  # every position is a span of its own
            spans = torch.arange(len(names)).expand(self.batch.clean.shape)
        else:
            spans = torch.full(self.batch.clean.shape, names.index(REST))
            for row, named in enumerate(self.batch.spans):
                for number, name in enumerate(names):
                    spans[row, list(named.get(name, ()))] = number
        return spans[:, self.batch.start :].to(self.described.device)

    def record(self, ids: Tensor) -> tuple[Activations, Tensor]:
        """Run ``ids`` (B, T) after the prefix; return the writers' activations and the logits (B, vocabulary)."""
        taps = Record()
        with torch.no_grad():
            logits = run(self.described, ids, self.batch.position - self.batch.start, taps, self.cache())
        return taps.activations, logits

    @cached_property
    def clean(self) -> tuple[Activations, Tensor]:
        """Activations and logits of the clean run."""
        return self.record(self.clean_ids)

    @cached_property
    def ablated(self) -> Activations:
        """What ablated edges carry."""
        return self.fitted(self._corrupt[0], self.batch.lengths - self.batch.start)

    @cached_property
    def known(self) -> Batch:
        """The batch with its clean logits."""
        return replace(self.batch, clean_logits=self.clean[1])

    def gradients(self, rules: Rules = PLAIN) -> GradientRun:
        """The metric's gradient at every port on the clean run; ``rules`` may propagate something else than the derivative."""
        return port_gradients(
            self.described,
            self.batch,
            self.clean_ids,
            self.metric,
            self.cache(),
            rules=rules,
            spans=self.spans,
            memory=self.memory,
        )

    def gradients_along(self, index: int, values: Sequence[Tensor]) -> PortGradients:
        """The gradients summed over runs, in each of which a part (or EMBED) has one of these outputs (B, ...).

        As many runs go through the model together as the memory holds.
        """
        found = (run.ports.folded(copies) for copies, run in self.runs_along(index, values))
        return reduce(operator.add, found)

    def runs_along(self, index: int, values: Sequence[Tensor]) -> Iterator[tuple[int, GradientRun]]:
        """Runs in each of which a part (or EMBED) has one of these outputs (B, ...).

        As many go through the model together as the memory holds: their number, and one run of as many copies of the batch, whose
        prompts are those of the first run, then those of the second one ...
        """
        each = bytes_per_prompt(self.described, self.clean_ids.shape[1]) * len(self.batch)
        at_once = max(1, self.memory // each)
        for first in range(0, len(values), at_once):
            some = values[first : first + at_once]
            yield len(some), self._run_with(index, some)

    def _run_with(self, index: int, values: Sequence[Tensor]) -> GradientRun:
        copies, joint = len(values), torch.cat(list(values))
        return port_gradients(
            self.described,
            self.known.repeat(copies),
            self.clean_ids.repeat(copies, 1),
            self.metric,
            None if self.prefix is None else self.prefix.repeat(copies).cache(),
            lambda part, _: joint if part == index else None,
            spans=None if self.spans is None else self.spans.repeat(copies, 1),
            memory=self.memory,
        )

    def differences(self, clean: Activations) -> Activations:
        """Clean minus ablated output of every part: what cutting all its edges removes."""
        return clean - self.ablated


def pairs(
    described: Described, task: Task, ablation: Ablation, memory: int = DEFAULT_CHUNK, world: World = ALONE
) -> Iterator[Pair]:
    """Ready the task's batches one after another, each a chunk that takes about ``memory`` bytes.

    The processes of a ``world`` get the prompts in turn, so that none has more than one prompt more than another.
    """
    fitted = ablation.fit(lambda reference: _record_corrupt(described, reference, memory), task)
    shares_prefix = ablation.shares_prefix and described.shares_prefix
    for batch in _batches(described, task, memory, shares_prefix, world):
        yield Pair(described, batch, task.metric, fitted, memory, shares_prefix)


def _record_corrupt(described: Described, task: Task, memory: int) -> Iterator[Activations]:
    """The activations of a task's corrupt prompts, those of one length together."""
    for batch in _batches(described, task, memory, share_prefix=False):
        activations = _corresponding(run_whole(described, batch.corrupt, 0)[0], batch)
        for length in batch.lengths.unique().tolist():
            yield activations.map(lambda values, at=batch.lengths == length, t=length: values[at, :t])


def _corresponding(corrupt: Activations, batch: Batch) -> Activations:
    """Of a corrupt run's activations (B, T', ...) after the prefix those that correspond to the clean prompts' positions: (B, T, ...)."""
    if batch.aligned is None:
        return corrupt
    places = batch.aligned[:, batch.start :] - batch.start  # (B, T)
    rows = torch.arange(len(batch), device=places.device)[:, None]
    return corrupt.map(lambda values: values[rows, places])


def _batches(
    described: Described, task: Task, memory: int, share_prefix: bool, world: World = ALONE
) -> Iterator[Batch]:
    if task.aligned and not described.causal:
        raise InputError(
            "prompts of unequal lengths cannot be aligned in a model that reads later tokens: use align='drop' (--align)"
        )
    each = bytes_per_prompt(described, task.max_length)
    at_once = max(1, memory // each)
    details.debug(
        f"up to {at_once} prompts of at most {task.max_length} tokens at once, {in_words(each)} each, chunks of {in_words(memory)}"
    )
    rows, before = world.size * at_once, 0
    for batch in task.batches(rows, share_prefix=share_prefix, pad=described.causal):
        own = world.share(range(len(batch)), begin=before)
        before += len(batch)
        if own:
            yield (batch if world.size == 1 else batch.take(own)).to(described.device)


def bytes_per_prompt(described: Described, length: int) -> int:
    """About what scoring one prompt of ``length`` tokens holds in memory at once, beside the model."""
    return bytes_needed(described.graph, length, described.d_model, described.dtype.itemsize)


def bytes_needed(graph: Graph, length: int, d_model: int, itemsize: int) -> int:
    """The same of a graph and a width alone.

    Every writer's difference and one block's port gradients are as wide as the stream, in float32 beside where weights
    have half of that; autograd keeps some twenty such tensors a block, four of them four times as wide.
    """
    base = graph.base
    ports = max(part.columns.stop - part.columns.start for part in base.parts)
    contracted = (len(base.writers) + 2 * ports) * (itemsize if itemsize > 2 else 6)
    return (contracted + 40 * base.n_layers * itemsize) * length * d_model
