"""Induction: ... A B ... A is continued with B."""

from __future__ import annotations

from random import Random

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.motif import END, WORDS, Motif, Pair, filled, replaced
from circuitsearch.models.planted.stream import SIZE


def _build(builder: Builder) -> None:
    token, position, previous = builder["token"][1:], builder["position"], builder["previous"][1:]
    builder.head("previous", query=position[1:], key=position[: SIZE - 1], value=token, output=previous)
    builder.head("induction", query=token, key=previous, value=token, output=builder["output"][1:])


def _write(random: Random, _: tuple[int, ...]) -> Pair:
    first, answer, wrong, other = random.sample(WORDS, 4)
    place = random.randrange(1, END - 1)
    words = tuple(word for word in WORDS if word != other)
    distractor = random.choice([at for at in range(1, END) if at not in (place, place + 1)])
    prompt = filled(random, {place: first, place + 1: answer, distractor: wrong, END: first}, words)
    return Pair(prompt, replaced(prompt, {place: other}), answer, wrong)


INDUCTION = Motif(
    "induction",
    edges=(("embed", "previous<v>"), ("previous", "induction<k>"), ("induction", "logits")),
    build=_build,
    write=_write,
    subspaces=("previous",),
)
"""A head copies the previous token, another attends to where that is the current one, and copies the token there.

In the corrupt prompt another word replaces the first A, so that nothing follows A (Olsson et al. 2209.11895).
"""
