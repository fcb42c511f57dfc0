"""The effect of an edge measured, not estimated: cut it alone and run the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from circuitsearch.engine.circuits import AblatedRun, run_circuits
from circuitsearch.engine.pair import Pair


@dataclass(frozen=True)
class Exact:
    """Cut each edge alone, everything else clean, and measure (edge-level activation patching).

    Parameters
    ----------
    edges : tuple of (writer, reader), optional
        The edges to measure; all by default. Others are scored NaN.

    Notes
    -----
    Cost: two forwards a prompt, and one forward an edge.
    """

    edges: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        if self.edges is not None:
            object.__setattr__(self, "edges", tuple((writer, reader) for writer, reader in self.edges))

    def effects(self, pair: Pair) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        graph = pair.described.graph
        chosen = graph.mask if self.edges is None else graph.edge_mask(self.edges)
        places = chosen.nonzero()  # (E, 2)
        clean = pair.metric(pair.clean[1], pair.known)  # (B,)
        values = torch.zeros(graph.mask.shape, dtype=torch.float64)
        values[graph.mask & ~chosen] = torch.nan
        with torch.no_grad():
            ablated = AblatedRun(pair.described, pair.ablated)
            for part in places.split(pair.circuits_at_once):
                kept = graph.mask.repeat(len(part), 1, 1)
                kept[torch.arange(len(part)), part[:, 0], part[:, 1]] = False
                logits = run_circuits(pair, ablated, kept.to(pair.described.device))
                cut = pair.metric(logits, pair.known.repeat(len(part))).view(len(part), -1)
                values[part[:, 0], part[:, 1]] = (clean - cut).sum(-1).double().cpu()
        return values
