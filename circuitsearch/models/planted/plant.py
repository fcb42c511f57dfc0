"""Plant: makes a model with a known circuit, and the prompts for it, from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from circuitsearch.errors import unknown
from circuitsearch.models.planted.backup import BACKUP
from circuitsearch.models.planted.both import BOTH
from circuitsearch.models.planted.builder import Builder
from circuitsearch.models.planted.design import Design
from circuitsearch.models.planted.distractors import distract
from circuitsearch.models.planted.either import EITHER
from circuitsearch.models.planted.exclusive import EXCLUSIVE
from circuitsearch.models.planted.induction import INDUCTION
from circuitsearch.models.planted.ioi import IOI
from circuitsearch.models.planted.known import KnownCircuit
from circuitsearch.models.planted.layout import Layout
from circuitsearch.models.planted.motif import Edge, Motif
from circuitsearch.models.planted.negative import NEGATIVE
from circuitsearch.models.planted.noise import add_noise
from circuitsearch.models.planted.prompts import PlantedWriter, write_prompts
from circuitsearch.models.planted.step import STEP
from circuitsearch.models.planted.two_hop import TWO_HOP
from circuitsearch.models.planted.vote import VOTE
from circuitsearch.task import Task

MOTIFS = {each.name: each for each in (INDUCTION, TWO_HOP, IOI, EITHER, BACKUP, BOTH, VOTE, NEGATIVE, EXCLUSIVE, STEP)}
"""All motifs by name."""


@dataclass(frozen=True, eq=False)
class Planted(KnownCircuit):
    """A model with a circuit that was planted.

    An edge is *true* if it carries a difference between clean and corrupt prompts on which the logit difference depends, where
    cut edges carry the corrupt prompt's values: with some of the other true edges cut, or none, the metric changes if it is cut
    as well. All true edges together have faithfulness 1, and no other edge changes the metric, whichever edges are cut. With noise,
    soft attention or norms that are not nearly linear, this holds approximately.

    Attributes
    ----------
    model : GPT2LMHeadModel
        The model.
    task : Task
        Its prompts, and their writer, with which a search has new ones in every pass.
    edges : tuple of Edge
        The true edges, in the package's names.
    sufficient : tuple of frozenset
        Sets of edges each of which has faithfulness 1, while none of its edges can be left out: one set of all true edges,
        unless the circuit is redundant or true edges cancel.
    motif : Motif
        What the circuit computes.
    opposing : frozenset
        The true edges that work against the answer: cut alone, each raises the metric.
    design : Design
        The size of the model, and what surrounds its circuit.
    layout : Layout
        Where the circuit is.
    """

    motif: Motif
    opposing: frozenset[Edge]
    design: Design
    layout: Layout

    def prompts(self, n: int, seed: int) -> Task:
        """Write other prompts for the same model; with the seed of the model they are the first ones of its task."""
        return write_prompts(self.motif, self.layout, n, seed)


def plant(motif: str = "induction", seed: int = 0, *, n: int = 32, design: Design | None = None) -> Planted:
    """Make a model with a known circuit, and prompts for it.

    Parameters
    ----------
    motif : str
        What the circuit computes: one of ``MOTIFS``.
    seed : int
        Seed of all that is random: the layers and heads of the circuit, the tokens of the words, the positions that matter,
        the weights of distractors and noise, the basis of the stream, the prompts.
    n : int
        Number of prompts.
    design : Design, optional
        The size of the model, and what surrounds its circuit.

    Raises
    ------
    InputError
        If the motif is unknown, the model has no room for it or for the distractors, or ``n`` is less than 1.

    Examples
    --------
    >>> planted = plant("induction", seed=1)
    >>> planted.edges
    (('embed', 'a0.h2<v>'), ('a0.h2', 'a1.h0<k>'), ('a1.h0', 'logits'))
    >>> planted.task
    Task('planted-induction', 32 examples, metric=logit_diff)
    """
    if motif not in MOTIFS:
        raise unknown("motif", motif, MOTIFS)
    chosen, design = MOTIFS[motif], design or Design()
    layout = Layout.draw(chosen, design, Random(seed))
    edges = tuple(layout.named(edge) for edge in chosen.edges)
    return Planted(
        model_of(chosen, layout, design, seed),
        PlantedWriter(f"planted-{chosen.name}", chosen, layout).draw(n, seed),
        edges,
        tuple(frozenset(map(layout.named, some)) for some in chosen.sufficient) or (frozenset(edges),),
        chosen,
        frozenset(map(layout.named, chosen.opposing)),
        design,
        layout,
    )


def model_of(motif: Motif, layout: Layout, design: Design, seed: int = 0) -> Any:
    """The model of a motif with a given layout."""
    generator = torch.Generator().manual_seed(seed)
    builder = Builder.of(design, layout, motif.subspaces, generator)
    motif.build(builder)
    distract(builder, generator)
    if design.noise:
        add_noise(builder.model, design.noise, generator)
    # The constant comes last: relative to it, noise on the embedding would be larger than all else in the stream.
    builder.model.transformer.wpe.weight.add_(design.constant * builder.stream.constant)
    return builder.model.to(design.dtype)
