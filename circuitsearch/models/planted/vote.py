"""Vote: an MLP fires if at least two of three heads fetch the same word."""

from __future__ import annotations

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.fetch import ROLES, agreeing, any_of, fetched, paths
from circuitsearch.models.planted.motif import Motif


def _build(builder: Builder) -> None:
    counts = fetched(builder, 3)
    builder.step("mlp", read=counts, write=builder["output"][1:], low=1.25, high=1.75)


VOTE = Motif("vote", edges=paths(3), build=_build, write=agreeing(3), subspaces=ROLES[:3], sufficient=any_of(3, 2))
"""An MLP writes each word that at least two of three heads have fetched, always with size 1.

So no edge of one head has an effect alone, while those of any two heads together have the whole.
"""
