"""Backup: a second head writes the answer only if the first one does not."""

from __future__ import annotations

import torch

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.fetch import agreeing, fetch
from circuitsearch.models.planted.motif import END, Motif


def _build(builder: Builder) -> None:
    place, token, output = builder.layout.sites[0], builder["token"][1:], builder["output"][1:]
    fetch(builder, "mover", place, builder["output"])
    position = builder["position"]
    builder.head(
        "backup", query=torch.cat([position[[END]], -output]), key=torch.cat([position[[place]], token]),
        value=token, output=output,
    )  # fmt: skip


_OF_MOVER = (("embed", "mover<v>"), ("mover", "logits"))
_OF_BACKUP = (("embed", "backup<k>"), ("embed", "backup<v>"), ("backup", "logits"))
_SILENCING = ("mover", "backup<q>")
# The backup answers where its query and its key disagree on the word, whichever of them is the corrupt prompt's.
_OF_DISAGREEMENT = (("embed", "mover<v>"), _SILENCING, ("embed", "backup<v>"), ("backup", "logits"))

BACKUP = Motif(
    "backup",
    edges=(*_OF_MOVER, _SILENCING, *_OF_BACKUP),
    build=_build,
    write=agreeing(1),
    sufficient=(frozenset(_OF_MOVER), frozenset(_OF_BACKUP), frozenset(_OF_DISAGREEMENT)),
    opposing=frozenset([_SILENCING, ("embed", "backup<k>")]),
)
"""A head fetches the answer; a later one would fetch it too, but for the word that is the answer so far.

If the first head is given the corrupt prompt's word, the second answers instead, so that the edge into the first has no effect
alone. Without the edge between them both write the answer (backup name movers, Wang et al. 2211.00593; McGrath et al. 2307.15771).
"""
