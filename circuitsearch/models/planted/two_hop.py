"""Two-hop lookup: the prompt states A B and B C in any order; A is answered with C."""

from __future__ import annotations

from random import Random

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.motif import END, START, WORDS, Motif, Pair

_STATED = END // 2  # pairs in a prompt


def _build(builder: Builder) -> None:
    token, position = builder["token"][1:], builder["position"]
    previous, found = builder["previous"][1:], builder["found"][1:]
    builder.head("previous", query=position[2:END:2], key=position[1 : END - 1 : 2], value=token, output=previous)
    builder.head("first hop", query=token, key=previous, value=token, output=found)
    builder.head("second hop", query=found, key=previous, value=token, output=builder["output"][1:])


def _write(random: Random, _: tuple[int, ...]) -> Pair:
    words = random.sample(WORDS, 12)
    chain, other, rest = words[:3], words[3:6], words[6:]
    order = random.sample(range(_STATED), _STATED)
    # The other chain has other places, or else heads that see only the corrupt prompt would attend to the right ones.
    return Pair(_stated(chain, rest, order), _stated(other, rest, _moved(order)), chain[-1], other[-1])


def _moved(order: list[int]) -> list[int]:
    """Another order, in which neither of the first two pairs is where either of them was."""
    places = [order.index(0), order.index(1)]
    others = [place for place in range(_STATED) if place not in places]
    moved = list(order)
    for place, other in zip(places, others, strict=False):
        moved[place], moved[other] = moved[other], moved[place]
    return moved


def _stated(chain: list[int], rest: list[int], order: list[int]) -> list[int]:
    """A prompt with the two pairs of a chain and three other pairs, which ends with the first word of the chain."""
    first, middle, last = chain
    pairs = [(first, middle), (middle, last), *zip(rest[::2], rest[1::2], strict=True)]
    return [START, *(word for place in order for word in pairs[place]), first]


TWO_HOP = Motif(
    "two-hop",
    edges=(
        ("embed", "previous<v>"),
        ("embed", "first hop<q>"), ("previous", "first hop<k>"), ("embed", "first hop<v>"),
        ("first hop", "second hop<q>"), ("previous", "second hop<k>"), ("embed", "second hop<v>"),
        ("second hop", "logits"),
    ),
    build=_build,
    write=_write,
    subspaces=("previous", "found"),
)  # fmt: skip
"""A head copies the previous token to the second word of each pair; two induction heads look up, one what the other found.

In the corrupt prompt the chain has three other words at other places, so every input of both lookups differs (the task is that of Yang et al.
2402.16837, with facts in the prompt).
"""
