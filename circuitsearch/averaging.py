"""Average a method's effects over prompts, with what is finished kept in files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from circuitsearch.distributed import World
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.pair import Pair
from circuitsearch.journal import Journal, beside
from circuitsearch.progress import Progress
from circuitsearch.saved_state import SavedState
from circuitsearch.scores import Method, SharingEdges, Work
from circuitsearch.setup import Spec

OnPairs = Callable[[Callable[[Pair], Tensor | None]], Iterable[tuple[Pair, Tensor | None]]]
"""Does some work on every pair; yields each pair with its result."""


@dataclass(frozen=True)
class Averaging:
    """Averages methods' effects over an evaluator's prompts.

    Attributes
    ----------
    evaluator : Evaluator
        Of N prompts.
    world : World
        The processes that share them.
    journal : Journal
        Exact effects measured so far. A single process also keeps the sum over the prompts so far of other effects, in a file beside it.
    """

    evaluator: Evaluator
    world: World
    journal: Journal

    def __call__(self, method: Method, progress: Progress) -> Tensor:
        """Mean over prompts of each edge's effect: (U, V), float64, on the CPU."""
        n, sharing = len(self.evaluator.task), self.evaluator.sharing_prompts
        summing = _Summing(self, method, progress)
        if isinstance(method, SharingEdges):
            return summing(self.evaluator.on_all_pairs, n, None) / n
        kept = None if self.world.size > 1 else beside(self.journal.path, type(method).__name__.lower())
        return sharing.total(summing(self.evaluator.on_pairs, n // sharing.size, kept)) / n


class _Summing:
    """Sums one method's effects over pairs."""

    def __init__(self, averaging: Averaging, method: Method, progress: Progress) -> None:
        self.averaging, self.method, self.progress = averaging, method, progress
        evaluator = averaging.evaluator
        self.total = torch.zeros(evaluator.described.graph.mask.shape, dtype=torch.float64)
        self.summed = torch.zeros(len(evaluator.task), dtype=torch.bool)  # (N,)
        self.chunk = evaluator.memory.chunk

    def __call__(self, on_pairs: OnPairs, n: int, kept: Path | None) -> Tensor:
        """Sum over the prompts of some pairs, ``n`` in all; with a file, from the sum that it has."""
        file = SavedState(kept, self._about)
        known = file.load()
        if known is not None:
            self.total, self.summed = known[0]["total"], known[0]["summed"]

        def effects(pair: Pair) -> Tensor | None:
            if bool(self.summed[pair.batch.rows].all()):
                return None
            done, rows = int(self.summed.sum()), len(pair)
            work = Work(self.averaging.journal, lambda share: self._tell(done + share * rows, n), self.averaging.world)
            return self.method.effects(pair, work).cpu().double()

        for pair, found in on_pairs(effects):
            if found is not None:
                self.total += found
                self.summed[pair.batch.rows] = True
            self._tell(int(self.summed.sum()), n)
            if self.averaging.evaluator.memory.chunk == self.chunk:  # another process makes the same batches
                file.keep(lambda: {"total": self.total, "summed": self.summed})
        return self.total

    def _about(self) -> dict[str, Any]:
        """All that the sum depends on, the batches in which it is made included."""
        return {"setup": self.averaging.journal.about, "method": str(Spec.of(self.method)), "chunk": self.chunk}

    def _tell(self, done: float, n: int) -> None:
        self.progress(round(100 * min(n, done)), 100 * n)
