"""The effect of an edge measured, not estimated: ablate it alone and run the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from circuitsearch.engine.pair import Pair
from circuitsearch.engine.reference import ReferenceRun, ReplayContext, run_reference
from circuitsearch.engine.replay import measure
from circuitsearch.knobs import Knobs
from circuitsearch.scores import Work


@dataclass(frozen=True)
class Exact(Knobs):
    """Ablate each edge alone, everything else clean, and measure the metric (edge-level activation patching).

    Parameters
    ----------
    edges : tuple of (writer, reader), optional
        The edges to measure; all by default. Others are scored NaN.

    Notes
    -----
    Cost: three forwards per prompt, and for each edge the part of a forward from its reader on, at the positions that
    differ: on the shape of GPT-2 small, with prompts of 16 tokens that differ at position 10, a tenth of a forward per edge.

    With a journal (:func:`circuitsearch.score`) an interrupted run continues from the last measurement.
    """

    edges: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        if self.edges is not None:
            object.__setattr__(self, "edges", tuple((writer, reader) for writer, reader in self.edges))

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        graph = pair.described.graph
        chosen = graph.mask if self.edges is None else graph.edge_mask(self.edges)
        values = torch.zeros(graph.mask.shape, dtype=torch.float64)
        values[graph.mask & ~chosen] = torch.nan
        effects = _Effects(pair)
        prompts, done = pair.batch.rows.tolist(), 0
        for column in chosen.any(0).nonzero().flatten().tolist():
            rows = chosen[:, column].nonzero().flatten()
            key = f"{rows.tolist()} -> {graph.readers[column]}"
            found = work.journal.once(key, prompts, lambda rows=rows, column=column: effects.of(rows, column))
            values[rows, column] = torch.tensor(found, dtype=torch.float64).sum(0)
            done += len(rows)
            work.tick(done / int(chosen.sum()))
        return values


@dataclass(frozen=True)
class _Effects:
    """Measures edges into one reader together, starting from the clean run, which is run once, when it is first needed."""

    pair: Pair

    @cached_property
    def clean(self) -> tuple[ReferenceRun, Tensor]:
        """The clean run and its metric (B,)."""
        reference = run_reference(ReplayContext(self.pair), self.pair.described.graph.mask)
        return reference, self.pair.metric(reference.logits, self.pair.known).double().cpu()

    def of(self, rows: Tensor, column: int) -> list[list[float]]:
        """For each prompt the effect of each edge from these writers into one reader."""
        reference, clean = self.clean
        kept = self.pair.described.graph.mask.repeat(len(rows), 1, 1)
        kept[torch.arange(len(rows)), rows, column] = False
        (patched,) = measure(reference, kept)  # (len(rows), B)
        return (clean - patched).T.tolist()
