"""Random circuits of a given size, the control for any circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.knobs import Knobs
from circuitsearch.reachability import prune
from circuitsearch.search.ranked import strongest
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class Controls(Knobs):
    """Base of checks that compare the circuit with random ones.

    Parameters
    ----------
    count : int
        How many.
    prompts : int
        On how many of the prompts, at most: random circuits are many, and nearly always keep nothing.
    """

    count: int = 20
    prompts: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 0 or self.prompts < 1:
            raise InputError(
                f"there must be 0 controls or more, on 1 prompt or more, not {self.count} on {self.prompts}"
            )


@dataclass(frozen=True)
class RandomCircuits(Controls):
    """Faithfulness of random circuits of the circuit's size, pruned by the same rule.

    Parameters
    ----------
    count : int
        How many.
    prompts : int
        On how many of the prompts, at most: random circuits are many, and nearly always keep nothing.
    """

    def measure(self, trial: Trial) -> Measurement:
        """A row for each circuit; no rows for a circuit without edges."""
        few, n = trial.faithfulness.on_first(self.prompts), len(trial.faithfulness.clean)
        if self.count == 0 or len(trial.circuit) == 0:
            return self.found((), len(few.clean), n)
        masks = random_circuits(few.graph, len(trial.circuit), self.count, trial.experiment.seed)
        values = [each.value for each in few.measured_each(list(masks))]
        return self.found(values, len(few.clean), n)

    def found(self, values: Sequence[float], n: int, of: int) -> Measurement:
        """The measurement of some values on ``n`` of the ``of`` prompts."""
        if not values:
            return Measurement("controls", lines=(("random circuits", "none run"),))
        mean = sum(values) / len(values)
        text = f"{len(values)} of the same size{on_some(n, of)}: faithfulness {in_words(values)}"
        return Measurement(
            "controls",
            mean,
            table=tuple({"faithfulness": value, "n": n} for value in values),
            lines=(("random circuits", text),),
            caption=f"{len(values)} random circuits of its size: {mean:z.3f} on average",
        )


def on_some(n: int, of: int) -> str:
    """That ``n`` of the ``of`` prompts were used; empty if all were."""
    return "" if n == of else f" on {n} prompts"


def in_words(values: Sequence[float]) -> str:
    """The mean and the largest of the faithfulness of random circuits."""
    return f"{sum(values) / len(values):z.3f} on average, {max(values):z.3f} at best"


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
        return strongest(graph, places, length)

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
