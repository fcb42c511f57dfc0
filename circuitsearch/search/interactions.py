"""Edges that a union of minimal circuits lacks: they oppose the behaviour, or change what the edges of several circuits do together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.reachability import prune, touched
from circuitsearch.scores import ranking
from circuitsearch.search.effects import effects_in
from circuitsearch.search.minimal import Elimination, Place
from circuitsearch.target import reaches

ESTIMATED = 0.2  # of the change that counts must the estimate be, for an edge to be ablated in the model


@dataclass(frozen=True, eq=False)
class Interactions:
    """Finds edges that change the faithfulness, up or down.

    Parameters
    ----------
    elimination : Elimination
        On the prompts of the search, with the target that the union is to reach.
    least : float
        The change of faithfulness from which an edge counts.
    most : int
        Edges, at most, that are run.
    """

    elimination: Elimination
    least: float
    most: int

    @property
    def graph(self) -> Graph:
        """Writers, readers and edges."""
        return self.elimination.graph

    @property
    def measure(self) -> Faithfulness:
        """On the prompts of the search."""
        return self.elimination.measure

    def added_to(self, union: Tensor, effects: Tensor) -> tuple[Tensor, Tensor]:
        """A union (U, V) of circuits with the edges outside it that count, and those that count only in the model: (U, V) each.

        Edges between its nodes are added to it one by one (denoising), and those with the largest ``effects`` (U, V) in the model are
        ablated there one by one (noising). Of all that count alone, the ones are kept with which the target is reached, and which count
        together.
        """
        in_model = self._counting_in_the_model(union, effects)
        added = self._counting_in_the_union(union) | in_model
        whole = self._needed(self._faithful(prune(self.graph, union | added), union), union)
        return whole, in_model & ~whole

    def _counting_in_the_union(self, union: Tensor) -> Tensor:
        candidates = self._between(union) & ~union
        if int(candidates.sum()) > self.most:
            candidates = self._strongest(effects_in(self.measure.experiment, union | candidates), candidates)
        return self._counting(union, candidates)

    def _counting_in_the_model(self, union: Tensor, effects: Tensor) -> Tensor:
        fall = float((self.measure.clean - self.measure.ablated).mean())
        candidates = ~union & (effects.abs() >= ESTIMATED * self.least * fall)
        return self._counting(self.graph.mask, self._strongest(effects, candidates))

    def _between(self, union: Tensor) -> Tensor:
        """Edges (U, V) between the nodes of a circuit."""
        nodes, readers = touched(self.graph, union), torch.zeros(union.shape[1], dtype=torch.bool)
        readers[-1] = True
        for part in self.graph.parts:
            readers[part.columns] = (self.graph.feeds(part) & nodes[part.rows]).any(1)
        return self.graph.mask & nodes[:, None] & readers

    def _strongest(self, effects: Tensor, among: Tensor) -> Tensor:
        """The edges (U, V) with the largest effects, at most as many as are run."""
        return self.graph.mask_at(ranking(self.graph, effects.masked_fill(~among, torch.nan))[: self.most])

    def _counting(self, base: Tensor, candidates: Tensor) -> Tensor:
        """The candidates (U, V) that change the faithfulness of a circuit (U, V) when one of them is added to it, or ablated in it."""
        own, values = self._switched(base, candidates)
        chosen = torch.zeros_like(candidates)
        for edge, value in values.items():
            chosen[edge] = abs(value - own) >= self.least
        return chosen

    def _switched(self, base: Tensor, candidates: Tensor) -> tuple[float, dict[Place, float]]:
        """The faithfulness of a circuit (U, V), and that with each of these edges (U, V) added to it, or ablated in it."""
        edges = [(row, column) for row, column in candidates.nonzero().tolist()]
        masks = base.repeat(len(edges) + 1, 1, 1)
        for mask, edge in zip(masks[1:], edges, strict=True):
            mask[edge] = ~mask[edge]
        own, *values = self.measure(masks, near=base).tolist()
        return own, dict(zip(edges, values, strict=True))

    def _faithful(self, mask: Tensor, union: Tensor) -> Tensor:
        """The circuit without edges outside the union, the one most in the way first, until it reaches the target."""
        while (mask & ~union).any():
            own, values = self._switched(mask, mask & ~union)
            if reaches(own, self.elimination.target):
                break
            mask = self.elimination.without(mask, [min(values, key=lambda edge: abs(values[edge] - 1))])
        return mask

    def _needed(self, mask: Tensor, union: Tensor) -> Tensor:
        """The circuit without those edges outside the union that do not count in it, the one that changes least first."""
        while (mask & ~union).any():
            own, values = self._switched(mask, mask & ~union)
            edge = min(values, key=lambda edge: abs(values[edge] - own))
            if abs(values[edge] - own) >= self.least:
                break
            mask = self.elimination.without(mask, [edge])
        return mask
