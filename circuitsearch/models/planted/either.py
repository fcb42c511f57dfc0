"""OR: two heads fetch the answer, and either suffices."""

from __future__ import annotations

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.fetch import ROLES, agreeing, any_of, fetched, paths
from circuitsearch.models.planted.motif import Motif


def _build(builder: Builder) -> None:
    counts = fetched(builder, 2)
    builder.step("mlp", read=counts, write=builder["output"][1:], low=0.25, high=0.75)


EITHER = Motif(
    "or", edges=paths(2), build=_build, write=agreeing(2), subspaces=ROLES[:2], sufficient=any_of(2, 1)
)  # fmt: skip
"""An MLP writes each word that at least one of two heads has fetched, always with size 1.

So no edge of one head has an effect alone, as with backup heads (Wang et al. 2211.00593).
"""
