"""Random circuits of a given size, the control for any circuit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from circuitsearch.graph import Graph
from circuitsearch.reachability import prune


def random_circuits(graph: Graph, n_edges: int, count: int, seed: int) -> Tensor:
    """Draw circuits of random edges, pruned as every circuit is: boolean (count, U, V).

    Edges are added in random order until the pruned circuit has ``n_edges``, then random edges are removed while at least
    that many remain. If pruning would remove too many edges with any of them, another order is tried; after ten orders the
    circuit of the nearest size is returned.
    """
    rng = np.random.default_rng(seed)
    return torch.stack([_drawn(graph, n_edges, rng) for _ in range(count)])


def _drawn(graph: Graph, n_edges: int, rng: np.random.Generator) -> Tensor:
    nearest = graph.mask
    for _ in range(10):
        mask = _shrunk(graph, _grown(graph, n_edges, rng), n_edges, rng)
        nearest = min(nearest, mask, key=lambda m: abs(int(m.sum()) - n_edges))
        if int(nearest.sum()) == n_edges:
            break
    return nearest


def _grown(graph: Graph, n_edges: int, rng: np.random.Generator) -> Tensor:
    """Prune the shortest prefix of a random order of all edges that has at least ``n_edges`` after pruning."""
    places = graph.mask.nonzero()
    places = places[torch.from_numpy(rng.permutation(len(places)))]

    def prefix(length: int) -> Tensor:
        mask = torch.zeros_like(graph.mask)
        mask[places[:length, 0], places[:length, 1]] = True
        return prune(graph, mask)

    low, high = n_edges - 1, len(places)  # the pruned size grows with the prefix, so bisect
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if int(prefix(middle).sum()) >= n_edges else (middle, high)
    return prefix(high)


def _shrunk(graph: Graph, mask: Tensor, n_edges: int, rng: np.random.Generator) -> Tensor:
    """Remove random edges, many at once while the circuit is much too large, never below ``n_edges``."""
    failures = 0
    while (excess := int(mask.sum()) - n_edges) > 0 and failures < 50:
        places = mask.nonzero()
        at_once = max(1, excess >> (2 + failures))
        gone = places[torch.from_numpy(rng.choice(len(places), at_once, replace=False))]
        fewer = mask.clone()
        fewer[gone[:, 0], gone[:, 1]] = False
        fewer = prune(graph, fewer)
        if int(fewer.sum()) >= n_edges:
            mask, failures = fewer, 0
        else:
            failures += 1
    return mask
