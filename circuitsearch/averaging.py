"""Average a method's effects over prompts, with what is finished kept in files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from circuitsearch.distributed import ALONE, World
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.pair import Pair
from circuitsearch.journal import Journal, beside
from circuitsearch.progress import Progress
from circuitsearch.saved_state import SavedState
from circuitsearch.scores import Method, SharingEdges, Work
from circuitsearch.setup import Spec

SUMS = 8  # times that processes add up what they have, and from the last of which they go on

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
        Exact effects measured so far. A file beside it keeps the sum over the prompts so far of other effects.
    """

    evaluator: Evaluator
    world: World
    journal: Journal

    def __call__(self, method: Method, progress: Progress) -> Tensor:
        """Mean over prompts of each edge's effect: (U, V), float64, on the CPU."""
        n, sharing = len(self.evaluator.task), self.evaluator.sharing_prompts
        if isinstance(method, SharingEdges):
            total = _Summing(self, method, ALONE, progress)(self.evaluator.on_all_pairs, None)
        else:
            kept = beside(self.journal.path, type(method).__name__.lower()) if sharing == self.world else None
            total = _Summing(self, method, sharing, progress)(self.evaluator.on_pairs, kept)
        return total / n


class _Summing:
    """Sums one method's effects over pairs, each of one of the processes that share the prompts."""

    def __init__(self, averaging: Averaging, method: Method, sharing: World, progress: Progress) -> None:
        self.averaging, self.method, self.sharing, self.progress = averaging, method, sharing, progress
        evaluator = averaging.evaluator
        n = len(evaluator.task)
        self.total = torch.zeros(evaluator.described.graph.mask.shape, dtype=torch.float64)  # of all processes
        self.summed = torch.zeros(n, dtype=torch.long)  # (N,), 1 for each prompt in it
        self.part, self.in_part = torch.zeros_like(self.total), torch.zeros_like(self.summed)  # of this one, since then
        self.n_own, self.passed, self.sums = len(sharing.share(range(n))), 0, 0

    def __call__(self, on_pairs: OnPairs, kept: Path | None) -> Tensor:
        """Sum over all prompts; with a file, from the sum that it has."""
        file = SavedState(kept if self.sharing.first else None, self._about)
        self._go_on(file)

        for pair, found in on_pairs(self._effects):
            if found is not None:
                self.part += found
                self.in_part[pair.batch.rows] = 1 - self.summed[pair.batch.rows]
            self.passed += len(pair)
            self._tell(self.passed)
            self._add(file)
        return self.total

    def _effects(self, pair: Pair) -> Tensor | None:
        """Of those prompts of a pair that are not in the sum; other batches, or other processes, may have made that."""
        new = (self.summed[pair.batch.rows] == 0).nonzero().flatten().tolist()
        if not new:
            return None
        averaging, left = self.averaging, pair if len(new) == len(pair) else pair.take(new)
        work = Work(averaging.journal, lambda share: self._tell(self.passed + share * len(pair)), averaging.world)
        return self.method.effects(left, work).cpu().double()

    def _go_on(self, file: SavedState) -> None:
        """From what the first process has in its file, if it has one."""
        known = file.load()
        if self.sharing.agreed(known is not None):
            total, summed = (self.total, self.summed) if known is None else (known[0]["total"], known[0]["summed"])
            self.total, self.summed = self.sharing.filled(total), self.sharing.filled(summed)

    def _add(self, file: SavedState) -> None:
        """Add the processes' parts to the sum: after every pair if there is one process, else equally often in all of them."""
        alone = self.sharing.size == 1
        due = self.sums + 1 if alone else SUMS * self.passed // self.n_own
        for _ in range(self.sums, due):
            self.total += self.sharing.total(self.part)
            self.summed += self.sharing.filled(self.in_part)
            self.part.zero_()
            self.in_part.zero_()
            file.keep(lambda: {"total": self.total, "summed": self.summed})
        self.sums = due

    def _about(self) -> dict[str, Any]:
        return {"setup": self.averaging.journal.about, "method": str(Spec.of(self.method))}

    def _tell(self, done: float) -> None:
        self.progress(round(100 * min(self.n_own, done)), 100 * self.n_own)
