"""A circuit of few nodes: whole heads and MLPs are removed first, and then edges."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any, Unpack

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Settings
from circuitsearch.progress import Progress, part, silent
from circuitsearch.reachability import prune
from circuitsearch.scores import Scores
from circuitsearch.search.minimal import Elimination, Place, elimination_of
from circuitsearch.task import Task


def node_minimal(
    model: Any,
    task: Task,
    scores: Scores,
    faithfulness: float = 0.9,
    *,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Circuit:
    """Find a circuit of the target faithfulness from which no node can be removed, and no edge either.

    Nodes are ranked by the strongest edge from each. The search starts from the smallest prefix of that ranking, with all scored edges
    between its nodes, that reaches the target. Nodes are removed, a head or an MLP with all edges from it and into it, until none can be removed,
    and then edges; both are repeated until nothing can be removed. The embedding always stays.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts to measure on.
    scores : Scores
        The ranking to start from.
    faithfulness : float
        The target, in (0, 1]: the circuit's faithfulness must be within 1 - target of 1, on either side.
    progress : callable
        Called with (edges removed, edges at the start) and, when no more can be removed, with both equal.
    **settings
        As of :class:`circuitsearch.Experiment`; what is not given is as the scores were computed with.

    Returns
    -------
    Circuit
        Its ``certificate`` gives the faithfulness of the circuit without each edge and without each node. It is local-minimal
        (2410.08025) in nodes and in edges; a circuit of fewer other nodes may exist.

    Raises
    ------
    InputError
        As :func:`circuitsearch.minimal`.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> task = cs.tasks.induction(tokenizer, n=8)
    >>> circuit = cs.node_minimal(model, task, cs.score(model, task, cs.EAP()), faithfulness=0.8)
    >>> set(circuit.certificate.without_nodes) == set(circuit.nodes) - {"embed", "logits"}
    True
    """
    edges = elimination_of(model, task, scores, faithfulness, settings)
    nodes = NodeElimination(edges.measure, edges.target)
    mask, without_edges, without_nodes = _shrunk(edges, nodes, nodes.smallest_start(scores), progress)
    certificate = replace(edges.certificate(mask, without_edges), without_nodes=nodes.needed(without_nodes))
    return Circuit(scores.graph, mask, scores.values, certificate, edges.setup(scores))


Without = dict[Place, float]


def _shrunk(
    edges: Elimination, nodes: NodeElimination, mask: Tensor, progress: Progress
) -> tuple[Tensor, Without, Without]:
    """The circuit (U, V) from which no edge and no node can be removed, and its faithfulness without each of them."""
    of_nodes, of_edges = part(progress, 0, 2), part(progress, 1, 2)
    while True:
        mask, _ = nodes.shrunk(mask, of_nodes)
        mask, without_edges = edges.shrunk(mask, of_edges)
        without_nodes = nodes.without_each(mask)
        if not nodes.removable(mask, without_nodes):
            return mask, without_edges, without_nodes
        of_nodes = of_edges = silent  # what is left is little


class NodeElimination(Elimination):
    """Removes nodes, each with all edges from it; pruning removes those into it."""

    def candidates(self, mask: Tensor) -> list[Place]:
        """The nodes with an edge from them, but for the embedding."""
        rows = mask.any(1).nonzero().flatten().tolist()
        return [(row,) for row in rows if row >= self.graph.per_node]

    def name(self, place: Place) -> str:
        """Of a node."""
        return self.graph.writers[place[0]]

    def smallest_start(self, scores: Scores) -> Tensor:
        """Mask (U, V) of all scored edges between the first nodes, ranked by the strongest edge from each, that reach the target together.

        Raises
        ------
        InputError
            If all scored edges together do not reach it.
        """
        scored, embeddings = scores.scored, self.graph.per_node
        strength = scores.values.abs().masked_fill(~scored, -1.0).amax(1)  # (U,)
        strength[:embeddings] = inf
        order = strength.argsort(descending=True, stable=True)

        def between(size: int) -> Tensor:
            kept = torch.zeros(len(order), dtype=torch.bool)
            kept[order[: embeddings - 1 + size]] = True
            return prune(self.graph, scored & kept[:, None])

        found = self.smallest(between, len(order) - embeddings + 1)
        if found is None:
            raise InputError(
                f"the {int(scored.sum())} scored edges together do not reach a faithfulness of {self.target:g}: score more edges or lower the target"
            )
        return found
