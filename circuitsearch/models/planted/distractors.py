"""Heads and MLPs outside the circuit, with large writes that do not change the answer."""

from __future__ import annotations

import torch
from torch import Tensor

from circuitsearch.models.planted.builder import NEURONS, Builder
from circuitsearch.models.planted.motif import WORDS
from circuitsearch.models.planted.stream import SIZE, random_rotation


def distract(builder: Builder, generator: torch.Generator) -> None:
    """Set all distractors: every second head writes a constant that the unembedding reads, all others write what nobody reads."""
    for number, role in enumerate(builder.layout.distractors):
        _, head = builder.layout.places[role]
        if head is None:
            _unread_mlp(builder, role, generator)
        elif number % 2:
            _constant_head(builder, role, generator)
        else:
            _unread_head(builder, role, generator)


def _constant_head(builder: Builder, role: str, generator: torch.Generator) -> None:
    """Adds the same to every word's logit, or subtracts it: it attends to the first position, and reads that position."""
    sign = float(torch.randint(2, (), generator=generator)) * 2 - 1
    first, every = builder["position"][:1], builder.stream.shift[None]
    builder.head(role, query=first, key=first, value=first, output=every, strength=sign)


def _unread_head(builder: Builder, role: str, generator: torch.Generator) -> None:
    """Moves words and what the circuit may have written, between random pairs of positions, to a subspace for noise."""
    written = builder.stream.names[1:]
    read = builder["token"] + builder[written[int(torch.randint(len(written), (), generator=generator))]]
    moved = builder["position"][torch.randperm(SIZE, generator=generator)]
    builder.head(
        role, query=moved, key=builder["position"], value=read,
        output=random_rotation(SIZE, generator) @ builder["noise"], strength=0.5**0.5,
    )  # fmt: skip


def _unread_mlp(builder: Builder, role: str, generator: torch.Generator) -> None:
    """Random features of the words and of the noise, written to the subspace for noise."""
    read = torch.cat([builder["token"][list(WORDS)], builder["noise"]])  # (2 SIZE - 1, D)
    write = _mixed(builder["noise"], NEURONS, generator)
    builder.mlp(role, read=_mixed(read, NEURONS, generator), threshold=0.0, write=write)


def _mixed(directions: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Random combinations (n, D) of directions, each of size about 1."""
    mixture = torch.randn(n, len(directions), generator=generator, dtype=directions.dtype)
    return mixture / len(directions) ** 0.5 @ directions
