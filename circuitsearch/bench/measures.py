"""What is measured of a ranking, and of the circuit of a search: on held-out prompts, with intervals over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.faithfulness import Faithfulness, bounded
from circuitsearch.scores import Scores, ranking
from circuitsearch.search.ranked import strongest
from circuitsearch.validation.bootstrap import interval, ratio
from circuitsearch.validation.measurement import Interval

CONFIDENCE, RESAMPLES = 0.95, 2000

FAITHFULNESS, PER_PROMPT = "faithfulness", "per prompt"  # at a share of the edges, or of a search's circuit
CPR, CMD, BOUNDED, LOG_SIZE = "CPR", "CMD", "bounded", "log-size"
EDGES, FORWARDS, SECONDS, MEMORY = "edges", "forwards", "seconds", "peak MiB"
OF_MACHINE = (SECONDS, MEMORY)  # what differs from run to run
ACCURACY = "model accuracy"


@dataclass(frozen=True)
class Measure:
    """One number of a cell.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
        NaN if it is not defined.
    low, high : float, optional
        Its interval over prompts, at 95%.
    share : float, optional
        The share of the edges, where it depends on one.
    n_edges : int, optional
        Edges of that circuit, pruned.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    share: float | None = None
    n_edges: int | None = None

    @classmethod
    def of(cls, name: str, found: Interval, share: float | None = None, n_edges: int | None = None) -> Measure:
        """From an estimate with its interval."""
        return cls(name, found.value, found.low, found.high, share, n_edges)


def of_ranking(scores: Scores, held_out: Faithfulness, shares: Sequence[float]) -> Iterator[Measure]:
    """Faithfulness of the strongest edges at each size, pruned, and areas over the sizes."""
    graph, places = scores.graph, ranking(scores.graph, scores.values)
    masks = [strongest(graph, places, round(share * graph.n_edges)) for share in shares]
    metrics = held_out.experiment.evaluator.metric_of_each(masks)  # (C, N)
    interval_of = _interval_of(held_out)
    ends = held_out.clean, held_out.ablated
    kept = bounded(metrics, *ends)  # (C, N)
    for share, mask, values, each in zip(shares, masks, metrics, kept, strict=True):
        size = int(mask.sum())
        yield Measure.of(FAITHFULNESS, interval_of(ratio, values, *ends), share, size)
        yield Measure.of(PER_PROMPT, interval_of(np.mean, each), share, size)
    for name, statistic in areas_under_ratio(shares).items():
        yield Measure.of(name, interval_of(statistic, *metrics, *ends))
    for name, statistic in areas_per_prompt(shares).items():
        yield Measure.of(name, interval_of(statistic, *kept))


def of_circuit(circuit: Circuit, held_out: Faithfulness) -> Iterator[Measure]:
    """Size and faithfulness of a search's circuit."""
    size, ends = len(circuit), (held_out.clean, held_out.ablated)
    values = held_out.experiment.evaluator.metric_of_each([circuit.mask])[0]
    interval_of = _interval_of(held_out)
    yield Measure(EDGES, size, n_edges=size)
    yield Measure.of(FAITHFULNESS, interval_of(ratio, values, *ends), n_edges=size)
    yield Measure.of(PER_PROMPT, interval_of(np.mean, bounded(values, *ends)), n_edges=size)


def strongest_share(scores: Scores, share: float) -> Tensor:
    """Mask (U, V) of the strongest edges up to a share of all, at least one, not pruned: what is compared over seeds."""
    graph = scores.graph
    return graph.mask_at(ranking(graph, scores.values)[: max(1, round(share * graph.n_edges))])


def _interval_of(held_out: Faithfulness) -> Callable[..., Interval]:
    return partial(interval, confidence=CONFIDENCE, n_resamples=RESAMPLES, seed=held_out.experiment.seed)


# ---- areas over sizes, as statistics of columns of prompts

Statistic = Callable[..., np.ndarray]


def areas_under_ratio(shares: Sequence[float]) -> dict[str, Statistic]:
    """CPR and CMD of MIB (2504.13151), from the metric at each size, of the model, and with every edge ablated."""
    return {CPR: _area(shares, lambda kept: kept), CMD: _area(shares, lambda kept: np.abs(1 - kept))}


def _area(shares: Sequence[float], height: Callable[[np.ndarray], np.ndarray]) -> Statistic:
    def statistic(*columns: np.ndarray, axis: int) -> np.ndarray:
        *circuits, clean, ablated = columns
        kept = np.stack([ratio(circuit, clean, ablated, axis) for circuit in circuits], -1)
        return np.trapezoid(height(kept), shares, axis=-1)

    return statistic


def areas_per_prompt(shares: Sequence[float]) -> dict[str, Statistic]:
    """From the bounded faithfulness of each prompt at each size: its mean over sizes, and over their logarithms.

    Both are in 0 ... 1. In the first, circuits of more than a tenth of the edges count nine tenths; in the second, every doubling of the size counts alike.
    """
    return {BOUNDED: _mean_over(np.asarray(shares)), LOG_SIZE: _mean_over(np.log(shares))}


def _mean_over(at: np.ndarray) -> Statistic:
    def statistic(*columns: np.ndarray, axis: int) -> np.ndarray:
        means = np.stack([each.mean(axis) for each in columns], -1)
        return np.trapezoid(means, at, axis=-1) / (at[-1] - at[0])

    return statistic


def packed(mask: Tensor) -> bytes:
    """A boolean mask as bits."""
    return np.packbits(mask.numpy()).tobytes()


def unpacked(bits: bytes) -> Tensor:
    """The mask of :func:`packed`, flat, with up to seven more places, all False."""
    return torch.from_numpy(np.unpackbits(np.frombuffer(bits, np.uint8)).astype(bool))
