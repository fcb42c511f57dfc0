"""XOR: an MLP says whether two heads fetch different bits."""

from __future__ import annotations

from random import Random

import torch

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.fetch import ROLES, fetched, paths
from circuitsearch.models.planted.motif import WORDS, Motif, Pair, filled, replaced

_BITS, _SAME, _DIFFERENT = WORDS[:2], WORDS[2], WORDS[3]


def _build(builder: Builder) -> None:
    fetched(builder, 2)
    difference = builder["first"][_BITS[1]] - builder["second"][_BITS[1]]  # (D,) reads -1, 0 or 1
    answers = builder["output"][_DIFFERENT] - builder["output"][_SAME]
    builder.mlp(
        "mlp", read=torch.stack([difference, -difference]), threshold=0.0, write=torch.stack([answers, answers])
    )
    builder.constant("mlp", builder["output"][_SAME])


def _write(random: Random, sites: tuple[int, ...]) -> Pair:
    bits = random.choices((0, 1), k=2)
    flipped = random.randrange(2)
    prompt = filled(random, {site: _BITS[bit] for site, bit in zip(sites, bits, strict=False)}, WORDS[4:])
    corrupt = replaced(prompt, {sites[flipped]: _BITS[1 - bits[flipped]]})
    wrong, answer = (_SAME, _DIFFERENT) if bits[0] != bits[1] else (_DIFFERENT, _SAME)
    return Pair(prompt, corrupt, answer, wrong)


EXCLUSIVE = Motif("xor", edges=paths(2), build=_build, write=_write, subspaces=ROLES[:2])
"""An MLP writes the magnitude of the difference of two bits, which no linear function of them is.

In the corrupt prompt one of the two bits, at random, is the other one.
"""
