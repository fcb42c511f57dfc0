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
from circuitsearch.search.minimal import Edge

ESTIMATED = 0.2  # of the change that counts must the estimate be, for an edge to be ablated in the model


@dataclass(frozen=True, eq=False)
class Interactions:
    """Finds edges that change the faithfulness, up or down.

    Parameters
    ----------
    measure : Faithfulness
        On the prompts of the search.
    least : float
        The change of faithfulness from which an edge counts.
    most : int
        Edges, at most, that are run.
    """

    measure: Faithfulness
    least: float
    most: int

    @property
    def graph(self) -> Graph:
        """Writers, readers and edges."""
        return self.measure.graph

    def added_to(self, union: Tensor, effects: Tensor) -> Tensor:
        """A union (U, V) of circuits with the edges outside it that count.

        Those between its nodes are added to it one by one (denoising), and those with the largest ``effects`` (U, V) in the model
        are ablated there one by one (noising). Of all that count alone, the ones are kept that also count together.
        """
        added = self._counting_in_the_union(union) | self._counting_in_the_model(union, effects)
        return self._needed(prune(self.graph, union | added), union)

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
        places = ranking(self.graph, effects.masked_fill(~among, torch.nan))[: self.most]
        chosen = torch.zeros_like(among)
        chosen[places[:, 0], places[:, 1]] = True
        return chosen

    def _counting(self, base: Tensor, candidates: Tensor) -> Tensor:
        """The candidates (U, V) that change the faithfulness of a circuit (U, V) when one of them is added to it, or ablated in it."""
        changes = self._changes(base, candidates)
        chosen = torch.zeros_like(candidates)
        for edge, change in changes.items():
            chosen[edge] = abs(change) >= self.least
        return chosen

    def _changes(self, base: Tensor, candidates: Tensor) -> dict[Edge, float]:
        """By how much the faithfulness of a circuit (U, V) changes with each of these edges (U, V) switched."""
        edges = [(row, column) for row, column in candidates.nonzero().tolist()]
        if not edges:
            return {}
        masks = base.repeat(len(edges) + 1, 1, 1)
        for mask, edge in zip(masks[1:], edges, strict=True):
            mask[edge] = ~mask[edge]
        own, *values = self.measure(masks, near=base).tolist()
        return {edge: value - own for edge, value in zip(edges, values, strict=True)}

    def _needed(self, mask: Tensor, union: Tensor) -> Tensor:
        """The circuit without those edges outside the union that do not count in it, the one that changes least first."""
        while changes := self._changes(mask, mask & ~union):
            edge = min(changes, key=lambda each: abs(changes[each]))
            if abs(changes[edge]) >= self.least:
                break
            mask = mask.clone()
            mask[edge] = False
            mask = prune(self.graph, mask)
        return mask
