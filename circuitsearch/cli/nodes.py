"""The options about nodes as a granularity."""

from __future__ import annotations

import re

from circuitsearch.errors import InputError, shortened
from circuitsearch.granularity import Granularity
from circuitsearch.setup import Spec


def granularity_asked(
    spans: str | None, positions: int, merge_heads: bool, query_heads: bool, neurons: str | None, experts: bool
) -> str:
    """The granularity of the options, as text.

    Raises
    ------
    InputError
        If ``neurons`` are not block numbers, or the options exclude each other.
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
