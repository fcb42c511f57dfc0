"""Motif: what a planted circuit computes, by the roles of its heads and MLPs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from circuitsearch.models.planted.stream import SIZE

if TYPE_CHECKING:
    from circuitsearch.models.planted.builder import Builder

Edge = tuple[str, str]  # writer and reader

LENGTH = 12
"""Tokens of every prompt."""
END = LENGTH - 1
"""Position of the last token, after which the model answers."""
START = 0
"""The word that begins every prompt. Heads that find nothing attend to it, and copy nothing from there."""
WORDS = tuple(range(1, SIZE))
"""All other words."""


@dataclass(frozen=True)
class Pair:
    """A clean and a corrupt prompt, the right and the wrong answer, as words: 0 ... SIZE - 1."""

    clean: list[int]
    corrupt: list[int]
    answer: int
    wrong: int


@dataclass(frozen=True)
class Motif:
    """What a circuit computes. Each head and each MLP has a role, and a place only in a model.

    Attributes
    ----------
    name : str
        Its name.
    edges : tuple of Edge
        The edges, with roles as names: ``("previous", "induction<k>")``. The reader of an MLP is ``"role<in>"``.
    build : callable
        Sets the heads and MLPs: ``(builder) -> None``.
    write : callable
        Writes a pair of prompts: ``(random, sites) -> Pair``. The sites are the positions between the first and the last one
        in an order that is random, but the same for the model and all of its prompts.
    subspaces : tuple of str
        Subspaces of the stream that heads of the circuit write for others.
    sufficient : tuple of frozenset
        Sets of edges each of which suffices, while none of its edges can be left out; empty if only all edges together do.
    opposing : frozenset
        Edges that work against the answer: cut alone, each raises the metric.
    """

    name: str
    edges: tuple[Edge, ...]
    build: Callable[[Builder], None]
    write: Callable[[Random, tuple[int, ...]], Pair]
    subspaces: tuple[str, ...] = ()
    sufficient: tuple[frozenset[Edge], ...] = ()
    opposing: frozenset[Edge] = frozenset()

    @property
    def mlps(self) -> tuple[str, ...]:
        """Roles of the MLPs."""
        return tuple(dict.fromkeys(role_of(reader) for _, reader in self.edges if reader.endswith("<in>")))

    @property
    def heads(self) -> tuple[str, ...]:
        """Roles of the heads."""
        roles = dict.fromkeys(role_of(reader) for _, reader in self.edges)
        return tuple(role for role in roles if role not in (*self.mlps, "logits"))


def role_of(reader: str) -> str:
    """The component of a reader: ``"previous"`` of ``"previous<v>"``."""
    return reader.partition("<")[0]


def filled(random: Random, given: dict[int, int], words: tuple[int, ...] = WORDS) -> list[int]:
    """A prompt with the ``given`` words at their positions, and others of the words, all different, at all other positions."""
    others = [word for word in words if word not in given.values()]
    rest = iter(random.sample(others, LENGTH - 1 - len(given)))
    return [START, *(given[place] if place in given else next(rest) for place in range(1, LENGTH))]


def replaced(prompt: list[int], given: dict[int, int]) -> list[int]:
    """The prompt with the ``given`` words at their positions."""
    return [given.get(place, word) for place, word in enumerate(prompt)]
