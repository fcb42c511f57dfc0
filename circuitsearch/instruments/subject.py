"""What every instrument looks at: a verified model, the working memory that it may take, and prompts in batches that fit it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from circuitsearch.batch import Batch
from circuitsearch.engine.verify import check_fit, verified
from circuitsearch.engine.working_memory import WorkingMemory
from circuitsearch.experiment import Experiment
from circuitsearch.granularity import MERGED
from circuitsearch.models.describe import Described, describe
from circuitsearch.models.parts import AnyPart, Heads
from circuitsearch.progress import Progress, forward, part
from circuitsearch.task import Task

# Of one prompt, tensors (T, D) that are there together:
PART_RECORDED = 2  # of a recorded part: the stream it reads, and what it writes
BLOCK_RUNS = 24  # of the block that runs, whose MLP is wider than the stream
STATES_RUN = 8  # and (T, D, state), in float32, of a mixer: four tensors, twice as wide as the stream
WRITES_AT_END = 8  # and (D,) of each writer, at the position that is read
LOGITS_AT_END = 12  # and (vocabulary,), in float32: logits at that position, their weights, and what is made of them
STATE_SIZES = ("state_size", "ssm_state_size", "mamba_d_state", "linear_key_head_dim")  # in configurations

Result = TypeVar("Result")


@dataclass(frozen=True)
class Copies:
    """Copies of a batch that run together, each patched where ``inside`` (C, ...) is true."""

    inside: Tensor

    def __len__(self) -> int:
        return len(self.inside)

    def halves(self) -> tuple[Copies, Copies]:
        """The first and the last half of the copies."""
        half = len(self) // 2
        return Copies(self.inside[:half]), Copies(self.inside[half:])


@dataclass(frozen=True)
class Subject:
    """A verified model, and the working memory that an instrument may take beside it.

    Its methods divide one chunk, a quarter, as the engine does: one is for what is recorded, another for passes that patch what is
    recorded, and the rest for results.
    """

    described: Described
    memory: WorkingMemory

    def prompts_at_once(self, length: int, runs: int = 1) -> int:
        """How many prompts of a length one batch may have, if this many of its runs are recorded together."""
        return max(1, self.memory.chunk // (runs * self._recorded(length) + self._passing(length)))

    def copies_at_once(self, batch: Batch) -> int:
        """How many copies of a batch one pass may have that records nothing."""
        return max(1, self.memory.chunk // (len(batch) * self._passing(batch.clean.shape[1])))

    def rows_at_once(self, tensors: int) -> int:
        """How many rows over the whole vocabulary may be there at once, with this many float32 tensors of each."""
        return max(1, self.memory.chunk // (4 * tensors * self.described.vocabulary_size))

    def batches(self, task: Task, runs: int = 1) -> Iterator[Batch]:
        """The task's prompts in batches, from position 0; of one length each unless padding changes nothing."""
        at_once = self.prompts_at_once(task.max_length, runs)
        for batch in task.batches(at_once, share_prefix=False, pad=self.described.causal):
            yield batch.to(self.described.device)

    def over(self, task: Task, work: Callable[[Batch], Result]) -> Iterator[tuple[Batch, Result]]:
        """Each batch with what ``work`` gives of it; where memory runs out all the same, its halves."""
        return self.memory.each(self.batches(task), work)

    def over_pairs(
        self, task: Task, work: Callable[[Batch, Progress], Result], progress: Progress
    ) -> Iterator[tuple[Batch, Result]]:
        """The same where two runs of each prompt are recorded, and with each batch's part of the progress."""
        found, shown = list(self.batches(task, runs=2)), forward(progress)
        number_of = {int(row): number for number, batch in enumerate(found) for row in batch.rows}

        def with_progress(batch: Batch) -> Result:
            return work(batch, part(shown, number_of[int(batch.rows[0])], len(found)))

        return self.memory.each(found, with_progress)

    def over_copies(self, batch: Batch, inside: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``work`` gives (C, B) of all copies of a batch; ``inside`` (C, ...) is where each is patched."""
        copies = [Copies(some) for some in inside.split(self.copies_at_once(batch))]
        return torch.cat([found for _, found in self.memory.each(copies, lambda some: work(some.inside))])

    def _recorded(self, length: int) -> int:
        """Bytes of what is recorded of one prompt."""
        described = self.described
        streams = sum(PART_RECORDED * described.d_model + _heads_recorded(part) for part in described.parts)
        patterns = 2 * length * sum(part.n_heads for _, part in described.heads)
        at_end = WRITES_AT_END * len(described.graph.base.writers) * described.d_model
        return (length * (streams + patterns) + at_end) * described.dtype.itemsize

    def _passing(self, length: int) -> int:
        """Bytes that one prompt takes while the model runs."""
        described = self.described
        patterns = 4 * length * described.graph.n_heads
        block = length * (BLOCK_RUNS * described.d_model + patterns) * described.dtype.itemsize
        if any(part.kind == "mixer" for part in described.parts):
            block += 4 * length * STATES_RUN * described.d_model * _state_size(described.model.config)
        return block + LOGITS_AT_END * described.vocabulary_size * max(4, described.dtype.itemsize)


def _heads_recorded(part: AnyPart) -> int:
    """How many numbers are recorded of an attention's heads at each token: values before and after scaling, queries, keys, values."""
    if not isinstance(part, Heads):
        return 0
    return 3 * part.q.features.numel() + part.k.features.numel() + part.v.features.numel()


def _state_size(config: Any) -> int:
    """The size of a mixer's state, by its names in different families; 1 if it has none."""
    return max(getattr(config, name, None) or 1 for name in STATE_SIZES)


def subject(model: Any, task: Task) -> Subject:
    """The described model, verified with its task; an experiment's model is verified already, and its memory is taken.

    Attention whose heads cannot be separated is read as a mixer.
    """
    if not isinstance(model, Experiment):
        return Subject(verified(model, task, MERGED), WorkingMemory())
    described = describe(model.described.model, MERGED)
    check_fit(described, task)
    return Subject(replace(described, causal=model.described.causal), model.working_memory)
