"""From the options about nodes to a granularity."""

from __future__ import annotations

import re

from circuitsearch.errors import InputError, shortened
from circuitsearch.granularity import Granularity
from circuitsearch.setup import Spec


def granularity_asked(
    spans: str | None, positions: int, merge_heads: bool, query_heads: bool, neurons: str | None, experts: bool
) -> str:
    """What counts as a node, in words, from the options that say so.

    Raises
    ------
    InputError
        If ``neurons`` are no block numbers, or the options do not go together.
    """
    blocks = [] if neurons is None else [number.strip() for number in neurons.split(",")]
    if not all(re.fullmatch(r"\d{1,5}", number) for number in blocks):
        raise InputError(f"--neurons takes the numbers of blocks, as in 3,4, not {shortened(repr(neurons))}")
    nodes = Granularity(
        merged_heads=merge_heads,
        query_heads=query_heads,
        neurons=tuple(map(int, blocks)),
        experts=experts,
        spans=() if spans is None else tuple(name.strip() for name in spans.split(",")),
        positions=positions,
    )
    return str(Spec.of(nodes))
