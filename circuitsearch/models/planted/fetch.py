"""What several motifs share: heads that each bring the word at one position to the last one, where an MLP counts them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from random import Random

import torch
from torch import Tensor

from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.motif import END, WORDS, Edge, Pair, filled, replaced

ROLES = ("first", "second", "third")
"""Heads that fetch, and subspaces that they write."""


def fetch(builder: Builder, role: str, place: int, output: Tensor) -> None:
    """Make a head copy the word at a position to ``output`` (SIZE, D) at the last position."""
    position = builder["position"]
    builder.head(
        role, query=position[[END]], key=position[[place]],
        value=builder["token"][1:], output=output[1:],
    )  # fmt: skip


def fetched(builder: Builder, n: int) -> Tensor:
    """Set heads ``"first"``, ``"second"``, ... to fetch from the first sites; return the (M, D) directions that count words.

    Each head writes to a subspace of its own, so that the size of the stream does not depend on whether they agree.
    """
    for role, place in zip(ROLES[:n], builder.layout.sites, strict=False):
        fetch(builder, role, place, builder[role])
    return torch.stack([builder[role][1:] for role in ROLES[:n]]).sum(0)


def agreeing(n: int) -> Callable[[Random, tuple[int, ...]], Pair]:
    """A rule for prompts: one word is at all of the first ``n`` sites, and in the corrupt prompt a different one at each."""

    def write(random: Random, sites: tuple[int, ...]) -> Pair:
        answer, wrong, *others = random.sample(WORDS, 2 + n)
        others_at = dict(zip(sites, others, strict=False))
        prompt = filled(random, others_at, tuple(word for word in WORDS if word not in (answer, wrong)))
        return Pair(replaced(prompt, dict.fromkeys(others_at, answer)), prompt, answer, wrong)

    return write


def path(role: str) -> tuple[Edge, ...]:
    """The edges into a head that fetches, and from it to the MLP."""
    return (("embed", f"{role}<v>"), (role, "mlp<in>"))


def paths(n: int) -> tuple[Edge, ...]:
    """The edges of ``n`` heads that fetch, of the MLP that counts what they fetch, and from that to the logits."""
    return (*(edge for role in ROLES[:n] for edge in path(role)), ("mlp", "logits"))


def any_of(n: int, least: int) -> tuple[frozenset[Edge], ...]:
    """The edges of every choice of ``least`` of ``n`` heads."""
    chosen = combinations(ROLES[:n], least)
    return tuple(frozenset([*(edge for role in roles for edge in path(role)), ("mlp", "logits")]) for roles in chosen)
