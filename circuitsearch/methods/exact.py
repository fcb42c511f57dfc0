"""The effect of an edge measured, not estimated: ablate it alone and run the model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from circuitsearch.engine.interventions import Interventions
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.reference import ReferenceRun, ReplayContext, run_reference
from circuitsearch.engine.replay import measure
from circuitsearch.errors import InputError, shortened
from circuitsearch.journal import Values
from circuitsearch.knobs import Knobs
from circuitsearch.scores import Work

EDGES_AT_ONCE = 64  # what each process of a run that is killed loses at most


@dataclass(frozen=True)
class Exact(Knobs):
    """Ablate each edge alone, everything else clean, and measure the metric (edge-level activation patching).

    Parameters
    ----------
    edges : tuple of (writer, reader), optional
        The edges to measure; all by default. Others are scored NaN.

    Raises
    ------
    InputError
        If the edges are not pairs of names, or there are none.

    Notes
    -----
    Cost: three forwards per prompt, and for each edge the part of a forward from its reader on, at the positions that
    differ: on the shape of GPT-2 small, with prompts of 16 tokens that differ at position 10, a tenth of a forward per edge.

    With a journal (:func:`circuitsearch.score`) an interrupted run continues from the last measurement.
    """

    shares_edges: ClassVar[bool] = True
    edges: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        if self.edges is not None:
            object.__setattr__(self, "edges", _pairs(self.edges))

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
        effects, at_once = _Effects(pair, work), work.world.size  # a group for each process
        groups = chosen.T.nonzero().flip(1).split(EDGES_AT_ONCE)  # (E, 2) each, reader by reader
        for first in range(0, len(groups), at_once):
            some = groups[first : first + at_once]
            for edges, found in zip(some, effects.of(some), strict=True):
                values[tuple(edges.T)] = torch.tensor(found, dtype=torch.float64).sum(0)
            work.tick(min(1.0, (first + at_once) / len(groups)))
        return values


def _pairs(edges: Any) -> tuple[tuple[str, str], ...]:
    try:
        pairs = tuple(tuple(edge) for edge in edges)
    except TypeError:
        pairs = ()
    if not pairs or any(tuple(map(type, pair)) != (str, str) for pair in pairs):
        raise InputError(
            f"Exact's edges must be pairs of names, as in [('a0.h1', 'logits')], not {shortened(repr(edges))}; of scores.top(20) give"
            " the first two of each entry"
        )
    return pairs


@dataclass(frozen=True)
class _Effects:
    """Measures edges together, starting from the clean run, which is run once, when it is first needed."""

    pair: Pair
    work: Work

    @cached_property
    def clean(self) -> tuple[ReferenceRun, Tensor]:
        """The clean run and its metric (B,)."""
        reference = run_reference(ReplayContext(self.pair), self.pair.described.graph.mask)
        return reference, self.pair.metric(reference.logits, self.pair.known).cpu().double()

    def of(self, groups: Sequence[Tensor]) -> list[Values]:
        """Of each group of edges (E, 2): for each prompt the effect of each edge.

        What the journal does not have is measured, each group as a whole by one process, and so to the same bits by any number of
        processes.
        """
        keys, prompts = [self._key(edges) for edges in groups], self.pair.batch.rows.tolist()
        journal = self.work.journal
        new = [group for group, key in enumerate(keys) if not journal.has(key, prompts)]
        measured = torch.zeros(len(groups), len(prompts), max(map(len, groups)), dtype=torch.float64)
        for group in self.work.world.share(new):
            measured[group, :, : len(groups[group])] = self._measured(groups[group])
        measured = self.work.world.filled(measured)
        return [
            journal.once(key, prompts, each[:, : len(edges)].tolist)
            for key, each, edges in zip(keys, measured, groups, strict=True)
        ]

    def _measured(self, edges: Tensor) -> Tensor:
        """The effects of edges (E, 2): (B, E)."""
        reference, clean = self.clean
        (patched,) = measure(reference, Interventions.ablating_each(edges))  # (E, B)
        return (clean - patched).T

    def _key(self, edges: Tensor) -> str:
        """What tells these edges (E, 2) from others."""
        ends = " ".join(self.pair.described.graph.edge_name(*edge) for edge in edges[[0, -1]].tolist())
        return f"{ends} {hashlib.sha256(edges.numpy().tobytes()).hexdigest()[:16]}"
