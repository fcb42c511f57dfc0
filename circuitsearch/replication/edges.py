"""Every edge that a search found: how often, its class and its effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from circuitsearch.experiment import Experiment
from circuitsearch.methods.recheck import affordable_edges
from circuitsearch.replication.classes import Classes, inclusion
from circuitsearch.replication.effects import NOT_MEASURED, adjusted, effects_of
from circuitsearch.replication.result import EdgeStability
from circuitsearch.replication.searches import Found


def edges_of(
    held_out: Experiment, found: Sequence[Found], classes: Classes, most: int | None, confidence: float
) -> tuple[EdgeStability, ...]:
    """Every edge of some circuit, the most often found first; effects of the first ``most``, or of as many as a few forwards allow."""
    masks = torch.stack([each.circuit.mask for each in found])  # (C, U, V)
    places = _most_often_found(masks)
    most = affordable_edges(held_out) if most is None else most
    measured = effects_of(held_out, list(masks), places[:most], confidence)
    measured += [NOT_MEASURED] * (len(places) - len(measured))
    ps = adjusted([each.p for each in measured])
    return tuple(
        _edge(held_out, found, place, classes, confidence, effect=each.value, p=each.p, adjusted=p)
        for place, each, p in zip(places.tolist(), measured, ps, strict=True)
    )


def _most_often_found(masks: Tensor) -> Tensor:
    """Row and column (E, 2) of the edges of circuits (C, U, V), the most often found first, then in the stream's order."""
    counts = masks.sum(0)
    columns, rows = counts.T.nonzero().unbind(1)
    order = counts[rows, columns].argsort(descending=True, stable=True)
    return torch.stack([rows, columns], 1)[order]


def _edge(
    experiment: Experiment, found: Sequence[Found], place: list[int], classes: Classes, confidence: float, **effect: Any
) -> EdgeStability:
    graph, (row, column) = experiment.graph, place
    has = [(each.variation, bool(each.circuit.mask[row, column])) for each in found]
    names = dict.fromkeys(name for name, _ in has)
    by_variation = {name: [there for own, there in has if own == name] for name in names}
    shares = {name: inclusion(sum(there), len(there), confidence) for name, there in by_variation.items()}
    share = inclusion(sum(there for _, there in has), len(has), confidence)
    status = classes.named(tuple(each.value for each in shares.values()), share.value)
    return EdgeStability(graph.edge_name(row, column), status, share, shares, **effect)
