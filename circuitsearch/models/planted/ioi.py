"""Indirect object identification: of two names, of which one is repeated, the other is the answer."""

from __future__ import annotations

from random import Random

import torch

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.motif import END, WORDS, Motif, Pair, filled, replaced

_MOVERS = ("first mover", "second mover")


def _build(builder: Builder) -> None:
    _build_duplicate(builder)
    _build_inhibition(builder)
    for role in _MOVERS:
        _build_mover(builder, role)


def _build_duplicate(builder: Builder) -> None:
    """Attends to the same word earlier, and copies the position there; the third name's own position attracts nobody."""
    *_, repeated = _name_places(builder.layout.sites)
    token, position, found = builder["token"][1:], builder["position"], builder["duplicate"]
    sink = position[0] - 4 * position[repeated]  # times half of a match's score, so less than a match's score and 0
    builder.head("duplicate", query=token, key=token, value=position, output=found, sink=sink)


def _build_inhibition(builder: Builder) -> None:
    """Copies the position of the repeated name to the end of the prompt."""
    *_, repeated = _name_places(builder.layout.sites)
    position, found, inhibited = builder["position"], builder["duplicate"], builder["inhibited"]
    builder.head("inhibition", query=position[[END]], key=position[[repeated]], value=found, output=inhibited)


def _build_mover(builder: Builder, role: str) -> None:
    """Attends from the end to both names but for the inhibited one, and copies what it finds."""
    *names, _ = _name_places(builder.layout.sites)
    position, inhibited = builder["position"], builder["inhibited"][names]
    both = position[names].sum(0, keepdim=True)
    builder.head(
        role, query=torch.cat([position[[END]], -inhibited]), key=torch.cat([both, position[names]]),
        value=builder["token"][1:], output=builder["output"][1:], strength=1 / len(_MOVERS),
    )  # fmt: skip


def _write(random: Random, sites: tuple[int, ...]) -> Pair:
    first, second, repeated = _name_places(sites)
    subject, answer = random.sample(WORDS, 2)
    names = dict(zip(random.sample((first, second), 2), (subject, answer), strict=True))
    prompt = filled(random, {**names, repeated: subject})
    return Pair(prompt, replaced(prompt, {repeated: answer}), answer, subject)


def _name_places(sites: tuple[int, ...]) -> list[int]:
    """Positions of the three names, the repeated one last."""
    return sorted(sites[:3])


IOI = Motif(
    "ioi",
    edges=(
        ("embed", "duplicate<q>"),
        ("duplicate", "inhibition<v>"),
        *(("inhibition", f"{role}<q>") for role in _MOVERS),
        *((role, "logits") for role in _MOVERS),
    ),
    build=_build,
    write=_write,
    subspaces=("duplicate", "inhibited"),
)
"""A duplicate-token head, an S-inhibition head and two name movers, each of which writes half of the answer.

The signal is the position of the repeated name. In the corrupt prompt the other name is repeated (Wang et al. 2211.00593).
"""
