"""Circuits that reach the target without some edges: what else can do the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from circuitsearch.experiment import Experiment
from circuitsearch.graph import Graph
from circuitsearch.reachability import prune
from circuitsearch.scores import ranking
from circuitsearch.search.effects import EFFECT_PROMPTS, effects_in
from circuitsearch.search.minimal import Elimination
from circuitsearch.target import reaches


@dataclass(frozen=True, eq=False)
class Alternatives:
    """Searches circuits that reach a target without some edges.

    Parameters
    ----------
    elimination : Elimination
        On the prompts of the search, with the target to reach.
    minimal : Tensor
        Mask (U, V) of a circuit that reaches it.
    most : int
        Edges, at most, that are added to what is left of that circuit, and that are then tried one by one.
    """

    elimination: Elimination
    minimal: Tensor
    most: int

    @property
    def graph(self) -> Graph:
        """Writers, readers and edges."""
        return self.elimination.graph

    @cached_property
    def few(self) -> Experiment:
        """On some of the prompts."""
        return self.elimination.measure.on_first(EFFECT_PROMPTS).experiment

    def without(self, forbidden: Tensor) -> Tensor | None:
        """A circuit (U, V) that reaches the target without the edges ``forbidden`` (U, V), or None.

        Added to what is left of the minimal circuit are the edges that support the behaviour most in the model without the forbidden
        ones, where what was redundant no longer is; then edges are removed as long as the target is reached.
        """
        left = prune(self.graph, self.minimal & ~forbidden)
        for larger in self._larger(left, self._supporting(forbidden)):
            if reaches(float(self.elimination.measure(larger[None])), self.elimination.target):
                return self._smaller(larger, left)
        return None

    def _supporting(self, forbidden: Tensor) -> Tensor:
        """Rows and columns (E, 2) of the edges that support the behaviour in the model without some, the strongest first."""
        allowed = prune(self.graph, self.graph.mask & ~forbidden)
        effects = effects_in(self.few, allowed)
        return ranking(self.graph, effects.masked_fill(~(effects > 0), torch.nan))

    def _larger(self, left: Tensor, places: Tensor) -> Iterator[Tensor]:
        """The circuit with 1, 2, 4, 8 ... of the edges at ``places`` (E, 2) added."""
        new = places[~left[places[:, 0], places[:, 1]]][: self.most]
        size = 1
        while size < 2 * len(new):
            mask = left.clone()
            mask[new[:size, 0], new[:size, 1]] = True
            yield prune(self.graph, mask)
            size *= 2

    def _smaller(self, mask: Tensor, left: Tensor) -> Tensor:
        """The circuit without the edges that can be removed: of all, or if these are many of those that were added."""
        among = mask if int(mask.sum()) <= self.most else mask & ~left
        smaller, _ = self.elimination.shrunk(mask, among=among)
        return smaller
