"""Faithfulness under every combination of conventions that papers use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuitsearch.ablation import MEAN_OVER_POSITIONS, Mean, Resample, Zero
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import bounded
from circuitsearch.graph import Graph
from circuitsearch.knobs import Knobs
from circuitsearch.metrics import Metric, logit_diff, metric_name, neg_kl, prob_diff
from circuitsearch.progress import Progress, silent
from circuitsearch.reachability import touched
from circuitsearch.setup import Spec
from circuitsearch.validation.bootstrap import ratio
from circuitsearch.validation.measurement import Cell, Interval, Line, Measurement, number
from circuitsearch.validation.trial import Trial

Row = Mapping[str, Cell]

CONVENTIONS = ("ablation", "direction", "granularity", "positions", "metric", "average")
"""Columns of the table that tell its rows apart."""

DEFAULT = "default"
"""In ``used_by``: the combination of a report's faithfulness."""

_EDGES = {"ablation": "Resample()", "direction": "denoising", "granularity": "edges", "positions": "all"}
_NODES = {"ablation": "Mean()", "direction": "denoising", "granularity": "nodes", "metric": "logit_diff"}
PAPERS: Mapping[str, Mapping[str, str]] = {
    "2211.00593": {**_NODES, "average": "share of the model"},
    "2304.14997": {**_EDGES, "average": "ratio of means", "metric": "neg_kl"},
    "2305.00586": {**_EDGES, "average": "share of the model", "metric": "prob_diff"},
    "2403.17806": {**_EDGES, "average": "ratio of means"},
    "2403.19647": {**_NODES, "average": "ratio of means"},
    "2504.13151": {**_EDGES, "average": "ratio of means"},
}
"""What papers use, by arXiv id; where no metric is given, it is the task's own."""


@dataclass(frozen=True)
class Conventions(Knobs):
    """Faithfulness under every combination of ablation, direction, granularity, positions, metric and average.

    Numbers of different papers are different measurements, which may be far apart for one circuit (Miller et al. 2407.08734).
    Each row of the table is one of them, with its interval and the papers that use it (``used_by``, arXiv ids); the first
    row, ``"default"``, is the faithfulness of a report. What is not defined is None.

    - *ablation*: what ablated edges carry; the experiment's own, resample, mean, mean over positions, zero.
    - *direction*: *denoising* ablates all but the circuit; *noising* ablates the circuit alone, and 1 is then the metric with every
      edge ablated, 0 that of the model: the share of the behaviour that is lost.
    - *granularity*: the circuit's *edges*, or its *nodes*: all other heads and MLPs are ablated in denoising, those of the circuit in noising,
      with all edges that they write; the embedding never is.
    - *positions*: *all*, or *spans* if the circuit has nodes of its own for each token span; *all* then keeps an edge of any span in
      every span.
    - *metric*: the task's own, logit_diff, prob_diff, and neg_kl, whose share is 1 minus the divergence over that with every edge ablated.
    - *average*: *ratio of means*; *mean of ratios*, of each prompt, which are not bounded; *bounded mean*, of 1 minus each prompt's error,
      at most 1; *share of the model*, a ratio of means in which the metric 0 counts as 0.

    Parameters
    ----------
    prompts : int
        On how many of the prompts, at most.

    Notes
    -----
    Wang et al. (2211.00593) ablate heads, and keep all MLPs; Marks et al. (2403.19647) ablate features of sparse autoencoders; Conmy
    et al. (2304.14997) give the divergence itself. Rows name the combination, not the parts that these papers have.
    """

    prompts: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts < 1:
            raise InputError(f"the conventions need 1 prompt or more, not {self.prompts}")

    def measure(self, trial: Trial, progress: Progress = silent) -> Measurement:
        """A row for each combination; the value is that of the first.

        Raises
        ------
        InputError
            If the model does not do the task with the experiment's own ablation and metric.
        """
        experiment = trial.faithfulness.on_first(self.prompts).experiment
        rows: list[Row] = []
        ablations = _tried(experiment.ablation, Spec.of, Resample(), Mean(), MEAN_OVER_POSITIONS, Zero())
        for done, ablation in enumerate(ablations, 1):
            rows += _rows(trial, experiment if ablation is experiment.ablation else experiment.ablating(ablation))
            progress(done, len(ablations))
        table = tuple({**row, "used_by": _users(row, rows[0])} for row in rows)
        value, low, high = (number(rows[0][name]) for name in ("value", "low", "high"))
        return Measurement("conventions", value, (low, high), table, _lines(table))


def _tried(own: Any, key: Callable[[Any], Any], *others: Any) -> list[Any]:
    """The experiment's own choice first, and the others that are different."""
    return [own, *(each for each in others if key(each) != key(own))]


# ---- the rows of one ablation


def _rows(trial: Trial, experiment: Experiment) -> Iterator[Row]:
    """Run the circuit, and the model without it, at each granularity, and measure each metric."""
    kept, evaluator = runs(trial.circuit), experiment.evaluator
    others = (neg_kl,) if experiment.task.teacher_forced else (logit_diff, prob_diff, neg_kl)
    metrics: list[Metric] = _tried(experiment.task.metric, metric_name, *others)
    ends = evaluator.ends(*metrics)
    values = evaluator.metrics_of_each([mask for pair in kept.values() for mask in pair], *metrics)
    values = values.view(len(metrics), len(kept), 2, -1)  # (M, granularities and positions, directions, N)
    for metric, of_metric, (clean, ablated) in zip(metrics, values, ends, strict=True):
        for (granularity, positions), (alone, without) in zip(kept, of_metric, strict=True):
            row = {"ablation": str(Spec.of(experiment.ablation)), "granularity": granularity, "positions": positions}
            row |= {"metric": metric_name(metric), "n": len(clean)}
            yield from ({**row, **each} for each in _averaged(trial, alone, without, clean, ablated))


def _averaged(trial: Trial, alone: Tensor, without: Tensor, clean: Tensor, ablated: Tensor) -> Iterator[Row]:
    """Each average in each direction, of a metric (N,) of the circuit, of the model without it, of the model, and with every edge ablated."""
    for name, average in AVERAGES.items():
        least = average.least(ablated)
        directions = {"denoising": (alone, clean, least), "noising": (without, least, clean)}
        for direction, columns in directions.items():
            found = average.of(trial, *columns) if clean.mean() > least.mean() else NOT_DEFINED
            yield {"average": name, "direction": direction, "value": found.value, "low": found.low, "high": found.high}


def runs(circuit: Circuit) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """For each granularity and positions, the edges (U, V) that denoising keeps, and those that noising keeps; the circuit's own first."""
    graph, mask = circuit.graph, circuit.mask
    at = {"spans": mask, "all": in_every_span(graph, mask)} if graph.spans else {"all": mask}
    edges = {("edges", name): (each, graph.mask & ~each) for name, each in at.items()}
    return edges | {("nodes", name): _of_nodes(graph, touched(graph, each)) for name, each in at.items()}


def _of_nodes(graph: Graph, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """The edges that nodes (U,) or the embedding write, and those that all other nodes or the embedding write."""
    embed = torch.zeros_like(nodes)
    embed[: graph.per_node] = True
    return graph.mask & (nodes | embed)[:, None], graph.mask & (~nodes | embed)[:, None]


def in_every_span(graph: Graph, mask: Tensor) -> Tensor:
    """The edges of a mask (U, V) of a graph with spans, and the same ones in all other spans."""
    n = graph.per_node
    inner = mask[:, :-1].view(len(graph.writers) // n, n, -1, n).any(3).any(1)  # (nodes, ports)
    to_logits = mask[:, -1:].view(-1, n).any(1, keepdim=True)  # (nodes, 1)
    return graph.mask & torch.cat([inner.repeat_interleave(n, 1), to_logits], 1).repeat_interleave(n, 0)


# ---- averages over prompts


@dataclass(frozen=True)
class Averaged:
    """A faithfulness over prompts from a metric (N,) of a circuit, of what counts as 1 and of what counts as 0.

    ``least`` gives the last from the metric with every edge ablated.
    """

    of: Callable[[Trial, Tensor, Tensor, Tensor], Interval]
    least: Callable[[Tensor], Tensor] = lambda ablated: ablated


NOT_DEFINED = Interval(nan, nan, nan)


def _ratio_of_means(trial: Trial, *columns: Tensor) -> Interval:
    return trial.interval(ratio, *columns)


def _mean_of_ratios(trial: Trial, circuit: Tensor, one: Tensor, zero: Tensor) -> Interval:
    if (one == zero).any():
        return NOT_DEFINED
    return trial.interval(np.mean, (circuit - zero) / (one - zero))


def _bounded_mean(trial: Trial, *columns: Tensor) -> Interval:
    return trial.interval(np.mean, bounded(*columns))


AVERAGES: Mapping[str, Averaged] = {
    "ratio of means": Averaged(_ratio_of_means),
    "mean of ratios": Averaged(_mean_of_ratios),
    "bounded mean": Averaged(_bounded_mean),
    "share of the model": Averaged(_ratio_of_means, torch.zeros_like),
}


# ---- who uses which, and the lines for people


def _users(row: Row, own: Row) -> tuple[str, ...]:
    """``"default"`` for the first row, and the papers that use a row's combination."""
    papers = (paper for paper, choices in PAPERS.items() if _suits(row, {"metric": own["metric"], **choices}))
    return (*((DEFAULT,) if row is own else ()), *papers)


def _suits(row: Row, choices: Row) -> bool:
    return all(row[name] == choice for name, choice in choices.items())


def _lines(table: tuple[Row, ...]) -> tuple[Line, ...]:
    """How far ratios of means are apart, and the number of each paper's combination."""
    own = table[0]
    alike = [row for row in table if _suits(row, {"metric": own["metric"], "average": own["average"]})]
    values = [number(row["value"]) for row in alike if not isnan(number(row["value"]))]
    spread = (
        f"{own['average']} of {own['metric']} from {min(values):.3f} to {max(values):.3f} in {len(values)} combinations"
    )
    papers = {paper: row for row in reversed(table) for paper in row["used_by"]}  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
    named = [
        (paper if paper == DEFAULT else f"as in {paper}", _said(papers[paper]))
        for paper in (DEFAULT, *PAPERS)
        if paper in papers
    ]
    return (
        ("conventions", f"{spread} of ablation, direction, granularity and positions, on {own['n']} prompts"),
        *named,
    )


def _said(row: Row) -> str:
    found = Interval(*(number(row[name]) for name in ("value", "low", "high")))
    return f"{found} ({', '.join(str(row[name]) for name in CONVENTIONS)})"
