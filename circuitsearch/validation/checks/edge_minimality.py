"""Minimality: whether the circuit's edges matter more than random edges of circuits that are larger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.validation.binomial import POWER, at_least, detectable, exact_interval, needed
from circuitsearch.validation.hypothesis import (
    HypothesisTest,
    Tested,
    check_counts,
    check_share,
    mean_change,
    rounding,
    without_each,
)
from circuitsearch.validation.measurement import Interval
from circuitsearch.validation.significance import holm
from circuitsearch.validation.trial import Trial

_TRIES = 20  # random paths for each that has an edge outside the circuit


@dataclass(frozen=True)
class EdgeMinimality(HypothesisTest):
    """Whether removing an edge of the circuit changes the metric more than removing a random edge of an inflated circuit (2410.13032).

    An inflated circuit is the circuit and a random path from the embedding to the logits; the edge that is removed from it is a random one of
    those that the path adds. For each edge of the circuit, an exact binomial test asks whether its removal changes more than that of a share
    ``quantile`` of random edges, and another one, the paper's, whether it changes more than that of a smaller share: then the edge was not needed. Both
    are corrected over the edges by Holm's method. The p of the circuit is the largest of its edges: that of the test
    that every edge is needed, which needs no correction over the edges, so it may be shown where some single edges are not. The change is the mean over prompts of its magnitude (the paper averages its square).

    Parameters
    ----------
    quantile : float
        .9 in the paper.
    count : int
        Random edges, 100 in the paper.
    edges : int
        Edges of the circuit that are tested, at most; of more, a random choice.
    prompts : int
        On how many of the prompts, at most.
    """

    quantile: float = 0.9
    count: int = 100
    edges: int = 50
    prompts: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("EdgeMinimality's quantile", self.quantile)
        check_counts(random_edges=self.count, edges=self.edges, prompts=self.prompts)

    def test(self, trial: Trial) -> Tested:
        """Left out where so few random edges could not be significant after the correction."""
        mask, few = trial.circuit.mask, trial.faithfulness.on_first(self.prompts)
        rng = np.random.default_rng(trial.experiment.seed)
        places = _some(mask.nonzero(), self.edges, rng)
        needs = needed(self.quantile, self.level / max(1, len(places)))
        if self.count < needs:
            why = f"{self.count} random edges cannot show it for {len(places)} edges: it takes {needs} or more"
            return self.without("edge_minimality", why, self.count, "random edges", needs)
        additions = random_additions(few.graph, mask, self.count, rng) if len(places) else []
        if len(additions) < self.count:
            return self.without("edge_minimality", "there are no edges to compare with", unit="random edges")
        own = edge_changes(few, mask, places)
        random = _random_changes(few, mask, additions, rng)
        names = [few.graph.edge_name(*place) for place in places.tolist()]
        return self.found(names, own, random, rounding(few), len(trial.circuit), trial.confidence)

    def found(
        self, names: Sequence[str], own: Tensor, random: Tensor, tie: float, size: int, confidence: float
    ) -> Tested:
        """The test of the changes (E,) by the circuit's edges and (C,) by random ones."""
        surpassed, n = (random[None] < own[:, None] - tie).sum(1).tolist(), len(random)
        p = [at_least(count, n, self.quantile) for count in surpassed]
        against = [at_least(n - count, n, 1 - self.quantile) for count in surpassed]
        needed_p, unneeded_p = holm(p), holm(against)
        rows = tuple(
            {
                "edge": name, "change": float(change), "surpassed": count / n, "p": one, "p_holm": corrected,
                "unneeded_p": other, "unneeded_p_holm": other_corrected,
            }
            for name, change, count, one, corrected, other, other_corrected in zip(
                names, own, surpassed, p, needed_p, against, unneeded_p, strict=True
            )
        )  # fmt: skip
        needed_edges = sum(each <= self.level for each in needed_p)
        unneeded = [name for name, each in zip(names, unneeded_p, strict=True) if each <= self.level]
        return Tested(
            "edge_minimality",
            max(p),
            self.level,
            f"each of them, tested together, matters more than {self.quantile:.0%} of random ones",
            _share(needed_edges, len(names), size, confidence),
            f"share of {_of_all(len(names), size)} shown one by one, corrected over the edges,",
            n,
            "random edges",
            POWER,
            detectable(n, self.quantile, self.level / len(names)),
            note=_named(unneeded),
            others=(("edges", len(names)), ("needed", needed_edges), ("unneeded", tuple(unneeded))),
            rows=rows,
        )


def edge_changes(faithfulness: Faithfulness, mask: Tensor, places: Tensor) -> Tensor:
    """How much removing each edge (E, 2) changes the metric of the circuit (U, V), on average over prompts: (E,)."""
    masks = torch.cat([mask[None], without_each(mask, places)])
    (values,) = faithfulness.metrics(masks, near=mask)
    return mean_change(values[1:], values[0])


def random_additions(graph: Graph, mask: Tensor, count: int, rng: np.random.Generator) -> list[Tensor]:
    """Edges (E, 2) of random paths that are not in the circuit (U, V); fewer than ``count`` if it has nearly every edge."""
    additions: list[Tensor] = []
    for _ in range(_TRIES * count):
        path = random_path(graph, rng)
        new = path[~mask[path[:, 0], path[:, 1]]]
        additions += [new] if len(new) else []
        if len(additions) == count:
            break
    return additions


def random_path(graph: Graph, rng: np.random.Generator) -> Tensor:
    """A path from the embedding to the logits as edges (E, 2): from each writer on, a random one of its readers."""
    row, column, edges = int(rng.integers(graph.per_node)), -1, []
    while column != len(graph.readers) - 1:
        column = int(rng.choice(graph.mask[row].nonzero().flatten().numpy()))
        edges.append((row, column))
        if column < len(graph.readers) - 1:
            part = graph.part_of_reader[column]
            fed = graph.feeds(part)[column - part.columns.start].nonzero().flatten().numpy()
            row = part.rows.start + int(rng.choice(fed))
    return torch.tensor(edges)


def _random_changes(
    faithfulness: Faithfulness, mask: Tensor, additions: Sequence[Tensor], rng: np.random.Generator
) -> Tensor:
    """How much removing a random new edge from each inflated circuit changes its metric: (C,)."""
    inflated = mask.repeat(len(additions), 1, 1)
    removed = torch.stack([new[int(rng.integers(len(new)))] for new in additions])
    for each, new in zip(inflated, additions, strict=True):
        each[new[:, 0], new[:, 1]] = True
    fewer = inflated.clone()
    fewer[torch.arange(len(fewer)), removed[:, 0], removed[:, 1]] = False
    (values,) = faithfulness.metrics(torch.cat([inflated, fewer]), near=mask)
    return mean_change(*values.chunk(2))


def _some(places: Tensor, most: int, rng: np.random.Generator) -> Tensor:
    if len(places) <= most:
        return places
    return places[torch.from_numpy(np.sort(rng.choice(len(places), most, replace=False)))]


def _share(count: int, n: int, size: int, confidence: float) -> Interval:
    """With an interval only if the edges are a sample."""
    return exact_interval(count, n, confidence) if n < size else Interval(count / n, count / n, count / n)


def _of_all(tested: int, size: int) -> str:
    return f"the {size} edges" if tested == size else f"{tested} of {size} edges"


def _named(unneeded: Sequence[str]) -> str:
    if not unneeded:
        return ""
    more = f" and {len(unneeded) - 3} more" if len(unneeded) > 3 else ""
    return f"shown not to be needed: {', '.join(unneeded[:3])}{more}"
