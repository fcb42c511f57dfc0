"""AND: an MLP fires only if two heads fetch the same word."""

from __future__ import annotations

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.fetch import ROLES, agreeing, fetched, paths
from circuitsearch.models.planted.motif import Motif


def _build(builder: Builder) -> None:
    builder.mlp("mlp", read=fetched(builder, 2), threshold=1.0, write=builder["output"][1:])


BOTH = Motif("and", edges=paths(2), build=_build, write=agreeing(2), subspaces=ROLES[:2])
"""An MLP writes how often each word was fetched, less one, so that each head has the whole effect.

The effects of the two heads add up to twice the behaviour.
"""
