"""Negative head: what one head answers, a later one suppresses in part."""

from __future__ import annotations

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.fetch import agreeing, fetch
from circuitsearch.models.planted.motif import Motif

SUPPRESSED = 0.5
"""Share of the answer that the negative head takes away."""


def _build(builder: Builder) -> None:
    token, output = builder["token"][1:], builder["output"]
    fetch(builder, "mover", builder.layout.sites[0], output)
    builder.head("negative", query=output[1:], key=token, value=token, output=output[1:], strength=-SUPPRESSED)


_OF_MOVER = (("embed", "mover<v>"), ("mover", "logits"))
_FINDING = (("mover", "negative<q>"), ("embed", "negative<k>"))
_WRITING = (("embed", "negative<v>"), ("negative", "logits"))

NEGATIVE = Motif(
    "negative",
    edges=(*_OF_MOVER, *_FINDING, *_WRITING),
    build=_build,
    write=agreeing(1),
    sufficient=(frozenset([*_OF_MOVER, *_WRITING]),),
    opposing=frozenset([*_FINDING, *_WRITING]),
)
"""A head fetches the answer; a later one attends to the word that is the answer so far, and writes against it.

Without the edges of the negative head the model does the task better. Its query and key both matter, but both from the corrupt prompt
they find the same position (copy suppression, McDougall et al. 2310.04625).
"""
