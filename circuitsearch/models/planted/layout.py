"""Layout: where in a model the roles of a motif are, which token stands for which word, and which positions hold what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from circuitsearch.errors import InputError
from circuitsearch.models.planted.design import MOST_LAYERS, Design
from circuitsearch.models.planted.motif import END, Edge, Motif, role_of
from circuitsearch.models.planted.stream import SIZE

Place = tuple[int, int | None]  # layer and head; an MLP has no head


@dataclass(frozen=True)
class Layout:
    """All of a planted model that is drawn at random, except the weights of distractors and noise.

    Attributes
    ----------
    places : mapping
        From each role to its layer and head; distractors have roles ``"distractor 0"`` and so on.
    words : tuple of int
        The token of each word.
    sites : tuple of int
        The positions between the first and the last one, in the motif's order.
    """

    places: Mapping[str, Place]
    words: tuple[int, ...] = tuple(range(SIZE))
    sites: tuple[int, ...] = tuple(range(1, END))

    @classmethod
    def draw(cls, motif: Motif, design: Design, random: Random) -> Layout:
        """Draw a layout at random.

        Raises
        ------
        InputError
            If the model has no room for the motif, or for as many distractors.
        """
        places = _placed(motif, design, random)
        return cls(
            {**places, **_distractors(places, design, random)},
            _shuffled(range(SIZE), random),
            _shuffled(range(1, END), random),
        )

    def named(self, edge: Edge) -> Edge:
        """An edge between roles, with the package's names: ``("a0.h1", "a2.h3<k>")``."""
        writer, reader = edge
        role, opened, port = reader.partition("<")
        return self._name(writer), self._name(role) + opened + port

    def _name(self, role: str) -> str:
        if role not in self.places:
            return role  # embed, logits
        layer, head = self.places[role]
        return f"m{layer}" if head is None else f"a{layer}.h{head}"

    @property
    def distractors(self) -> list[str]:
        """Roles of the distractors."""
        return [role for role in self.places if role.startswith("distractor")]

    def writers_before(self, layer: int, mlp: bool = False) -> int:
        """How many heads and MLPs of the circuit and distractors a layer's heads, or its MLP, can read."""
        return sum(at < layer or (mlp and at == layer and head is not None) for at, head in self.places.values())


def _shuffled(values: range, random: Random) -> tuple[int, ...]:
    return tuple(random.sample(values, len(values)))


def _placed(motif: Motif, design: Design, random: Random) -> dict[str, Place]:
    """A place for each role: any choice of layers in which every edge goes forward is as likely as any other."""
    fitting = _layerings(motif, design.layers, design.heads)
    if not fitting:
        needed = next((n for n in range(1, MOST_LAYERS + 1) if _layerings(motif, n, design.heads)), None)
        wanted = f"takes {needed} layers" if needed else f"does not fit into {MOST_LAYERS} layers"
        raise InputError(
            f"{motif.name!r} with {design.heads} heads in a layer {wanted}, not {design.layers}: ask for more"
        )
    layers = random.choice(fitting)
    free = {layer: random.sample(range(design.heads), design.heads) for layer in range(design.layers)}
    return {role: (layer, None if role in motif.mlps else free[layer].pop()) for role, layer in layers.items()}


def _layerings(motif: Motif, n_layers: int, n_heads: int) -> list[dict[str, int]]:
    """All ways to give each role a layer, so that each edge goes forward and no layer holds too many."""
    roles = (*motif.heads, *motif.mlps)
    choices = (dict(zip(roles, layers, strict=True)) for layers in product(range(n_layers), repeat=len(roles)))
    return [layers for layers in choices if _fits(layers, motif, n_heads)]


def _fits(layers: dict[str, int], motif: Motif, n_heads: int) -> bool:
    forward = all(_is_forward(layers, motif, writer, role_of(reader)) for writer, reader in motif.edges)
    heads, mlps = (Counter(layers[role] for role in roles) for roles in (motif.heads, motif.mlps))
    return forward and max(heads.values(), default=0) <= n_heads and max(mlps.values(), default=0) <= 1


def _is_forward(layers: dict[str, int], motif: Motif, writer: str, reader: str) -> bool:
    """Whether the reader comes after the writer; an MLP comes after the heads of its layer."""
    if writer not in layers or reader not in layers:
        return True
    beside = writer in motif.heads and reader in motif.mlps
    return layers[writer] < layers[reader] or (beside and layers[writer] == layers[reader])


def _distractors(places: dict[str, Place], design: Design, random: Random) -> dict[str, Place]:
    """Random places for the distractors among those that the circuit leaves free."""
    heads = [(layer, head) for layer in range(design.layers) for head in range(design.heads)]
    chosen = [
        *_free("heads", heads, places, design.distractor_heads, random),
        *_free("mlps", [(layer, None) for layer in range(design.layers)], places, design.distractor_mlps, random),
    ]
    return {f"distractor {number}": place for number, place in enumerate(chosen)}


def _free(kind: str, every: Sequence[Place], places: dict[str, Place], n: int, random: Random) -> list[Place]:
    free = [place for place in every if place not in places.values()]
    if n > len(free):
        raise InputError(
            f"a design's distractor_{kind} must be at most {len(free)}, not {n}: the circuit leaves no more {kind} free in"
            " a model of this size"
        )
    return random.sample(free, n)
