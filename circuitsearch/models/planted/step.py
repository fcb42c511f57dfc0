"""Step: the answer passes through a function that is flat at both ends."""

from __future__ import annotations

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.fetch import ROLES, agreeing, fetched, paths
from circuitsearch.models.planted.motif import Motif


def _build(builder: Builder) -> None:
    counts = fetched(builder, 1)
    builder.step("mlp", read=counts, write=builder["output"][1:], low=0.4, high=0.6)


STEP = Motif("step", edges=paths(1), build=_build, write=agreeing(1), subspaces=ROLES[:1])
"""An MLP writes the word that a head has fetched, as a step function of the size of what it reads.

At the clean and at the corrupt prompt its gradient is exactly 0, so gradients there give 0 to edges that have the whole effect
(the saturation of Sundararajan et al. 1703.01365).
"""
