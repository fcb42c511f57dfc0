"""Faithfulness against size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.faithfulness import Faithfulness, bounded, ratio_of_means
from circuitsearch.files import Number
from circuitsearch.knobs import Knobs
from circuitsearch.scores import ranking
from circuitsearch.search.ranked import strongest
from circuitsearch.validation.bootstrap import ratio
from circuitsearch.validation.checks.kept import ABOVE
from circuitsearch.validation.measurement import Interval, Line, Measurement, number
from circuitsearch.validation.trial import Trial

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # those of the MIB benchmark (2504.13151)


@dataclass(frozen=True)
class CurvePoint:
    """Faithfulness of the strongest edges, pruned, at one size.

    ``low`` and ``high`` are its interval over prompts, and ``per_prompt`` is the mean over prompts of the bounded faithfulness;
    None if they were not computed.
    """

    n_edges: int
    share: float
    faithfulness: Number
    low: float | None = None
    high: float | None = None
    per_prompt: float | None = None


@dataclass(frozen=True)
class SizeCurve(Knobs):
    """Faithfulness of the strongest edges by the circuit's scores, at ten sizes, and the areas under it.

    CPR and CMD are those of the MIB benchmark (2504.13151). A circuit that does the task more strongly than the model adds to CPR, so that the
    area under the bounded faithfulness of each prompt stands beside it.

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
        return Measurement("curve", table=tuple(map(asdict, points)), lines=_lines(points))


def _lines(points: Sequence[CurvePoint]) -> tuple[Line, ...]:
    """The areas, if all sizes were measured."""
    if [point.share for point in points] != list(SHARES) or any(point.per_prompt is None for point in points):
        return ()
    above = sum(point.faithfulness > ABOVE for point in points)
    louder = f"; {above} of {len(points)} sizes above 1, which raises CPR" if above else ""
    areas = f"CPR {area_under(points):.3f}, CMD {area_from_model(points):.3f} (MIB)"
    return (("area under curve", f"{areas}, bounded per prompt {area_per_prompt(points):.3f}{louder}"),)


def curve_of(measurement: Measurement) -> tuple[CurvePoint, ...]:
    """The points of a measurement."""
    return tuple(map(_point, measurement.table))


def _point(row: Mapping[str, Any]) -> CurvePoint:
    place = row["n_edges"], row["share"], number(row["faithfulness"])
    return CurvePoint(*place, row["low"], row["high"], row.get("per_prompt"))


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
    per_prompt = bounded(metrics, faithfulness.clean, faithfulness.ablated).mean(-1).tolist()
    ends: list[tuple[float | None, float | None]] = [(None, None)] * len(masks)
    if interval_of is not None:
        ends = [(found.low, found.high) for found in map(interval_of, metrics)]
    return tuple(
        CurvePoint(int(mask.sum()), share, value, *band, each)
        for (share, _), mask, value, band, each in zip(sizes, masks, values, ends, per_prompt, strict=True)
    )


def area_under(points: Sequence[CurvePoint]) -> float:
    """CPR of the MIB benchmark (2504.13151): area under faithfulness against the share of edges kept."""
    return _area([point.share for point in points], [point.faithfulness for point in points])


def area_from_model(points: Sequence[CurvePoint]) -> float:
    """CMD of the MIB benchmark (2504.13151): area between that curve and 1, the model's own behaviour."""
    return _area([point.share for point in points], [abs(1 - point.faithfulness) for point in points])


def area_per_prompt(points: Sequence[CurvePoint]) -> float:
    """Area under the bounded per-prompt faithfulness against the share of edges kept: at most that between the first share and the last."""
    return _area([point.share for point in points], [number(point.per_prompt) for point in points])


def _area(shares: Sequence[float], heights: Sequence[float]) -> float:
    return float(np.trapezoid(heights, shares))
