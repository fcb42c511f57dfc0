"""The effect of an edge measured, not estimated: ablate it alone and run the model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from circuitsearch.engine.interventions import Interventions
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.reference import ReferenceRun, ReplayContext, run_reference
from circuitsearch.engine.replay import measure
from circuitsearch.knobs import Knobs
from circuitsearch.scores import Work

EDGES_AT_ONCE = 64  # what a run that is killed loses at most


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

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return "exact effects, each edge ablated alone"

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        graph = pair.described.graph
        chosen = graph.mask if self.edges is None else graph.edge_mask(self.edges)
        values = torch.zeros(graph.mask.shape, dtype=torch.float64)
        values[graph.mask & ~chosen] = torch.nan
        effects, prompts = _Effects(pair), pair.batch.rows.tolist()
        places = chosen.T.nonzero().flip(1)  # (E, 2), reader by reader
        for done, edges in zip(range(0, len(places), EDGES_AT_ONCE), places.split(EDGES_AT_ONCE), strict=True):
            key = " ".join(graph.edge_name(*edge) for edge in edges[[0, -1]].tolist())
            found = work.journal.once(f"{key} {_digest(edges)}", prompts, lambda edges=edges: effects.of(edges))
            values[tuple(edges.T)] = torch.tensor(found, dtype=torch.float64).sum(0)
            work.tick((done + len(edges)) / len(places))
        return values


def _digest(edges: Tensor) -> str:
    """What tells these edges (E, 2) from others."""
    return hashlib.sha256(edges.numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class _Effects:
    """Measures edges together, starting from the clean run, which is run once, when it is first needed."""

    pair: Pair

    @cached_property
    def clean(self) -> tuple[ReferenceRun, Tensor]:
        """The clean run and its metric (B,)."""
        reference = run_reference(ReplayContext(self.pair), self.pair.described.graph.mask)
        return reference, self.pair.metric(reference.logits, self.pair.known).double().cpu()

    def of(self, edges: Tensor) -> list[list[float]]:
        """For each prompt the effect of each of the edges (E, 2)."""
        reference, clean = self.clean
        (patched,) = measure(reference, Interventions.ablating_each(edges))  # (E, B)
        return (clean - patched).T.tolist()
