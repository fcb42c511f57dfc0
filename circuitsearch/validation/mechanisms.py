"""``mechanisms``: whether a task's prompts are done by one circuit or by several, each with prompts of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from circuitsearch import search
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import bounded
from circuitsearch.knobs import Knobs
from circuitsearch.progress import Progress, silent
from circuitsearch.scores import Scores
from circuitsearch.search import Refine
from circuitsearch.search.effects import effects_by_prompt
from circuitsearch.target import check_target
from circuitsearch.task import Task
from circuitsearch.validation.clusters import clustered
from circuitsearch.validation.mechanism import Mechanism, Mechanisms, only_in
from circuitsearch.validation.significance import signed_rank_p
from circuitsearch.validation.specificity import specificity


@dataclass(frozen=True)
class Clusters(Knobs):
    """How prompts are clustered, and when two clusters count as two mechanisms.

    Parameters
    ----------
    most : int
        Most clusters.
    least : int
        Least prompts of a cluster: half of them find its circuit, and of the others there must be 5 for a test at the level .05.
    share : float
        Share of the squared effects, each prompt's scaled to a sum of 1, of the edges by which prompts are clustered.
    samples : int
        Random samples of the null distribution, for the number of clusters.
    level : float
        Of the test of the number of clusters, and of those of two circuits.
    margin : float
        By how much a circuit must have a larger bounded faithfulness on its own prompts than another circuit, on average.
    """

    most: int = 5
    least: int = 12
    share: float = 0.99
    samples: int = 99
    level: float = 0.05
    margin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("most", 1), ("least", 4), ("samples", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be {least} or more, not {getattr(self, name)}")
        for name in ("share", "level", "margin"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} must be in (0, 1], not {getattr(self, name)}")


def mechanisms(
    model: Any,
    task: Task,
    faithfulness: float = 0.9,
    *,
    clusters: Clusters | None = None,
    refine: Refine | None = None,
    n_resamples: int = 2000,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Mechanisms:
    """Tell whether a task is one mechanism or several, and find the circuit of each.

    Every edge's effect is measured on every prompt, and prompts are clustered by these effects (Rai et al. 2605.09129 cluster them, too). The number of
    clusters is that of the largest silhouette, if it is larger than those of one normal distribution of the same covariance; otherwise there is
    one cluster. Half of each cluster's prompts find a circuit for them. Two clusters are two mechanisms if, on the other half, each circuit is
    better on its own prompts than the other circuit: by a margin on average, and by Wilcoxon's signed-rank test. Clusters that are not
    are joined, those that differ least first, and a circuit is found for both together.

    Prompts that the model does not do, where its metric is not above that with every edge ablated, are left out. With each prompt's effects there is
    also a circuit for every prompt: :meth:`Mechanisms.of_prompt`.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        N prompts; duplicates are left out.
    faithfulness : float
        The target of the circuits, as of :func:`circuitsearch.find`.
    clusters : Clusters, optional
        How prompts are clustered, and when circuits differ.
    refine : Refine, optional
        How circuits are searched for.
    n_resamples : int
        Of the intervals over prompts.
    progress : callable
        Called with (circuits found, circuits to find so far).
    **settings
        As of :class:`circuitsearch.Experiment`.

    Raises
    ------
    InputError
        As :class:`circuitsearch.Experiment`; or if the prompts that the model does are too few for two clusters.

    Notes
    -----
    It costs 5 forward and backward passes of all prompts, and a search for each cluster, and for each pair of clusters that is joined. Prompts of one template
    may be on both sides of a split: what is compared are circuits on the same held-out prompts.

    Examples
    --------
    >>> from circuitsearch.models.planted import plant
    >>> planted = plant("xor", seed=3, n=32)  # one of two heads carries what differs from the corrupt prompt
    >>> found = mechanisms(planted.model, planted.task, refine=Refine(passes=1), n_resamples=50)
    >>> [(len(each.prompts), len(each.circuit)) for each in found.mechanisms]
    [(16, 3), (16, 3)]
    >>> {edge[:2] for edge in found.of_prompt(0, 3)} == {*found.mechanism_of(0).circuit.edges}
    True
    """
    check_target(faithfulness)
    knobs, experiment = clusters or Clusters(), Experiment.of(model, task.distinct(), **settings)
    ((clean, ablated),) = experiment.evaluator.ends()
    done = (clean > ablated).nonzero().flatten().tolist()
    if len(done) < 2 * knobs.least:
        raise InputError(
            f"mechanisms takes {2 * knobs.least} different prompts or more that the model does, for two clusters of {knobs.least}, and"
            f" task {experiment.task.name!r} has {len(done)}"
        )
    effects = effects_by_prompt(experiment, experiment.graph.mask)
    vectors = _vectors(effects[done].numpy(), knobs.share)
    found = clustered(vectors, knobs.most, knobs.least, knobs.samples, knobs.level, experiment.seed)
    experiment.evaluator.release()
    finder = _Finder(experiment, effects, faithfulness, refine, progress)
    rows = [[row for row, label in zip(done, found.labels, strict=True) if label == k] for k in range(found.k)]
    ways = _joined([finder.first(each) for each in rows], finder, knobs)
    ways.sort(key=lambda each: (-len(each.prompts), each.prompts))
    named = tuple(
        replace(
            each,
            name=f"mechanism {number}",
            only=only_in(experiment.task, each.prompts, sorted({*done} - {*each.prompts})),
        )
        for number, each in enumerate(ways, 1)
    )
    return Mechanisms(
        graph=experiment.graph,
        effects=effects,
        clusters=found,
        mechanisms=named,
        cross=specificity(
            experiment,
            {each.name: each.circuit for each in named},
            {each.name: finder.held_out(each).task for each in named},
            n_resamples=n_resamples,
        ),
        left_out=tuple(sorted(set(range(len(effects))) - set(done))),
        n_edges=vectors.shape[1],
        setup=experiment.setup,
    )


def _vectors(effects: np.ndarray, share: float) -> np.ndarray:
    """Each prompt's effects (N, E) at length 1, of the fewest edges with a share of the squares of all: (N, D)."""
    scaled = effects / np.maximum(np.linalg.norm(effects, axis=1, keepdims=True), 1e-300)
    squares = (scaled**2).mean(0)
    order = np.argsort(-squares, kind="stable")
    enough = int(np.searchsorted(np.cumsum(squares[order]), share * squares.sum())) + 1
    return scaled[:, np.sort(order[:enough])]


@dataclass(frozen=True)
class _Finder:
    """Finds the circuits of clusters of an experiment's prompts."""

    experiment: Experiment
    effects: Tensor
    faithfulness: float
    refine: Refine | None
    progress: Progress

    def first(self, rows: Sequence[int]) -> Mechanism:
        """The mechanism of a cluster, half of which finds its circuit."""
        mixed = np.random.default_rng(self.experiment.seed).permutation(rows).tolist()
        return self.found(rows, mixed[: len(rows) // 2])

    def joined(self, one: Mechanism, two: Mechanism) -> Mechanism:
        """The mechanism of two clusters together; the prompts that found their circuits find the circuit of both."""
        return self.found((*one.prompts, *two.prompts), (*one.searched, *two.searched))

    def found(self, prompts: Sequence[int], searched: Sequence[int]) -> Mechanism:
        rows = sorted(searched)
        selection = self._on(rows)
        graph, task = self.experiment.graph, selection.task
        values = torch.zeros(graph.mask.shape, dtype=torch.float64)
        values[graph.mask] = self.effects[rows].mean(0)
        scores = Scores(graph, values, selection.setup)
        circuit = search.refine(selection, task, scores, selection, self.faithfulness, how=self.refine)
        return Mechanism("", tuple(sorted(prompts)), tuple(rows), circuit)

    def held_out(self, mechanism: Mechanism) -> Experiment:
        """On the prompts of a mechanism that did not find its circuit."""
        return self._on(sorted(set(mechanism.prompts) - set(mechanism.searched)))

    def _on(self, rows: Sequence[int]) -> Experiment:
        """On some prompts; new ones cannot be written, for they could be of another cluster."""
        return self.experiment.on(replace(self.experiment.task.subset(rows), writer=None))

    def apart(self, one: Mechanism, two: Mechanism) -> tuple[float, float]:
        """How much better each circuit is on its own prompts than the other one is there, of both the smaller mean and the larger p."""
        found = [self._better(own, other.circuit) for own, other in ((one, two), (two, one))]
        return min(mean for mean, _ in found), max(p for _, p in found)

    def _better(self, own: Mechanism, other: Circuit) -> tuple[float, float]:
        """By how much a mechanism's circuit is more faithful than another on its held-out prompts, on average, and p of that."""
        evaluator = self.held_out(own).evaluator
        ((clean, ablated),) = evaluator.ends()
        mine, others = bounded(evaluator.metric_of_each([own.circuit.mask, other.mask]), clean, ablated)  # (N,) each
        return float((mine - others).mean()), signed_rank_p((mine - others).numpy())


def _joined(ways: list[Mechanism], finder: _Finder, knobs: Clusters) -> list[Mechanism]:
    """The mechanisms, those joined that are not apart."""
    finder.progress(len(ways), len(ways))
    while len(ways) > 1:
        pairs = {(one, two): finder.apart(ways[one], ways[two]) for one, two in combinations(range(len(ways)), 2)}
        together = [pair for pair, (mean, p) in pairs.items() if mean < knobs.margin or p > knobs.level]
        if not together:
            break
        one, two = min(together, key=lambda pair: pairs[pair][0])
        both = finder.joined(ways[one], ways[two])
        ways = [*(way for at, way in enumerate(ways) if at not in (one, two)), both]
    return ways
