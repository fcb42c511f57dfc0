"""Faithfulness against size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness, ratio_of_means
from circuitsearch.files import Number
from circuitsearch.knobs import Knobs
from circuitsearch.scores import ranking
from circuitsearch.search.ranked import strongest
from circuitsearch.validation.bootstrap import ratio
from circuitsearch.validation.measurement import Interval, Measurement, number
from circuitsearch.validation.trial import Trial

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # those of the MIB benchmark (2504.13151)


@dataclass(frozen=True)
class CurvePoint:
    """Faithfulness of the strongest edges, pruned, at one size, and its interval over prompts, if it was computed."""

    n_edges: int
    share: float
    faithfulness: Number
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SizeCurve(Knobs):
    """Faithfulness of the strongest edges by the circuit's scores, at ten sizes.

    Parameters
    ----------
    prompts : int
        On how many of the prompts, at most: large circuits cost as much as the model.
    """

    prompts: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts < 1:
            raise InputError(f"the curve needs 1 prompt or more, not {self.prompts}")

    def measure(self, trial: Trial) -> Measurement:
        """A row for each size, as :class:`CurvePoint`."""
        some = trial.faithfulness.on_first(self.prompts)
        ends = some.clean, some.ablated
        return self.found(
            size_curve(trial.circuit, some, interval_of=lambda values: trial.interval(ratio, values, *ends))
        )

    def found(self, points: Sequence[CurvePoint]) -> Measurement:
        """The measurement of some points."""
        return Measurement("curve", table=tuple(map(asdict, points)))


def curve_of(measurement: Measurement) -> tuple[CurvePoint, ...]:
    """The points of a measurement."""
    return tuple(
        CurvePoint(row["n_edges"], row["share"], number(row["faithfulness"]), row["low"], row["high"])  # pyright: ignore[reportArgumentType]
        for row in measurement.table
    )


def size_curve(
    circuit: Circuit,
    faithfulness: Faithfulness,
    shares: Sequence[float] = SHARES,
    interval_of: Callable[[Tensor], Interval] | None = None,
) -> tuple[CurvePoint, ...]:
    """Measure the strongest 0.1%, 0.2%, 0.5%, 1% ... of the edges by the circuit's scores, each pruned.

    Sizes above the number of scored edges are left out, so a circuit without scores has no curve. ``interval_of`` computes
    the interval of the faithfulness from a circuit's metric (N,).
    """
    if circuit.scores is None:
        return ()
    graph = circuit.graph
    places = ranking(graph, circuit.scores)
    sizes = [(share, round(share * graph.n_edges)) for share in shares]
    sizes = [(share, size) for share, size in sizes if size <= len(places)]
    if not sizes:
        return ()
    masks = [strongest(graph, places, size) for _, size in sizes]
    # One by one: circuits of thousands of edges have nothing to share, and a joint run of ten took three times as long.
    metrics = faithfulness.experiment.evaluator.metric_of_each(masks)  # (C, N)
    values = ratio_of_means(metrics, faithfulness.clean, faithfulness.ablated).tolist()
    ends: list[tuple[float, ...]] = [()] * len(masks)
    if interval_of is not None:
        ends = [(found.low, found.high) for found in map(interval_of, metrics)]
    return tuple(
        CurvePoint(int(mask.sum()), share, value, *band)
        for (share, _), mask, value, band in zip(sizes, masks, values, ends, strict=True)
    )


def area_under(points: Sequence[CurvePoint]) -> float:
    """CPR of the MIB benchmark (2504.13151): area under faithfulness against the share of edges kept."""
    return _area([point.share for point in points], [point.faithfulness for point in points])


def area_from_model(points: Sequence[CurvePoint]) -> float:
    """CMD of the MIB benchmark (2504.13151): area between that curve and 1, the model's own behaviour."""
    return _area([point.share for point in points], [abs(1 - point.faithfulness) for point in points])


def _area(shares: Sequence[float], heights: Sequence[float]) -> float:
    return float(np.trapezoid(heights, shares))
