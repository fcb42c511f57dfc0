"""Faithfulness by other conventions: every row of the table, by plain runs and formulas written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.metrics import prob_diff
from circuitsearch.models.planted import INDUCTION_EDGES, induction_model, induction_task
from circuitsearch.registry import CHECKS
from circuitsearch.validation import Measurement, Report, Trial
from circuitsearch.validation.checks import Conventions
from circuitsearch.validation.checks.conventions import PAPERS, in_every_span, runs
from tests.conftest import random_task, tiny_model
from tests.engine.plain import plain_writes
from tests.search.test_search import doable_task
from tests.setups import made_up_report
from tests.validation import by_hand
from tests.validation.by_hand import Plain

METRICS: dict[str, Callable[..., float]] = {"logit_diff": by_hand.logit_diff, "prob_diff": by_hand.prob_diff}


def mean_over_positions(model: Any, task: cs.Task) -> Callable[[int], Tensor]:
    """One vector a writer: (U, T, D)."""
    writes = [plain_writes(model, ids) for ids in task.corrupt]
    mean = torch.cat(writes, 1).mean(1, keepdim=True)
    return lambda row: mean.expand_as(writes[row])


def zero(model: Any, task: cs.Task) -> Callable[[int], Tensor]:
    """Nothing: (U, T, D)."""
    return lambda row: torch.zeros_like(plain_writes(model, task.corrupt[row]))


ABLATIONS = {
    "Resample()": by_hand.corrupt_writes, "Mean()": by_hand.mean_writes,
    "Mean(over_positions=True)": mean_over_positions, "Zero()": zero,
}  # fmt: skip


class ByHand:
    """A circuit of a tiny model, and the metric (N numbers) of each run that a convention needs."""

    def __init__(self) -> None:
        self.model = tiny_model("gpt2")
        self.task = doable_task(self.model, random_task(n=4))
        self.circuit = cs.top(cs.score(self.model, self.task, "eap"), 20)
        self.found = cs.comparable(self.model, self.circuit, self.task, n_resamples=20)
        self.logits = {name: self._run(writes) for name, writes in ABLATIONS.items()}

    def _run(self, writes: Callable[..., Callable[[int], Tensor]]) -> dict[str, Any]:
        plain, graph, nodes = (
            Plain(self.model, self.task, writes(self.model, self.task)),
            self.circuit.graph,
            self.circuit.nodes,
        )
        kept = {
            "edges": lambda edge: edge in self.circuit,
            "nodes": lambda edge: edge[0] in nodes or edge[0] == "embed",
            "no edges": lambda edge: edge not in self.circuit,
            "no nodes": lambda edge: edge[0] not in nodes or edge[0] == "embed",
            "nothing": lambda edge: False,
        }
        every = list(graph.edges(graph.mask))
        logits = {name: plain.circuit(graph.edge_mask(filter(keeps, every))) for name, keeps in kept.items()}
        return {**logits, "model": plain.clean(), "plain": plain}

    def metric(self, row: Any, run: str) -> list[float]:
        """The row's metric of a run on every prompt."""
        of = self.logits[row["ablation"]]
        if row["metric"] == "neg_kl":
            return [-each for each in of["plain"].each(by_hand.kl, of["model"], of[run])]
        return of["plain"].each(METRICS[row["metric"]], of[run])

    def value(self, row: Any) -> float | None:
        """The row's number; None if the model does not do the task by that metric and ablation."""
        noising = row["direction"] == "noising"
        run, model, nothing = (
            self.metric(row, name) for name in (f"{'no ' * noising}{row['granularity']}", "model", "nothing")
        )
        if row["average"] == "share of the model":
            share = by_hand.mean(run) / by_hand.mean(model) if by_hand.mean(model) > 0 else None
            return 1 - share if share is not None and noising else share
        if by_hand.mean(model) <= by_hand.mean(nothing):
            return None
        if row["average"] == "ratio of means":
            return 1 - by_hand.ratio(run, model, nothing) if noising else by_hand.ratio(run, model, nothing)
        ends = (nothing, model) if noising else (model, nothing)
        each = (
            by_hand.bounded if row["average"] == "bounded mean" else lambda c, one, least: (c - least) / (one - least)
        )
        return by_hand.mean([each(*columns) for columns in zip(run, *ends, strict=True)])


@pytest.fixture(scope="module")
def hand() -> ByHand:
    """All runs of one circuit."""
    return ByHand()


def test_every_number_is_that_of_plain_runs(hand: ByHand):
    """Four ablations, both directions and granularities, three metrics and four averages; what is not defined is None."""
    assert len(hand.found.table) == 4 * 2 * 2 * 3 * 4
    expected = [hand.value(row) for row in hand.found.table]
    found = [row["value"] for row in hand.found.table]
    assert [value is None for value in found] == [value is None for value in expected]
    known = [value for value in expected if value is not None]
    assert [value for value in found if value is not None] == pytest.approx(known, rel=1e-9, abs=1e-9)
    assert len({round(value, 6) for value in known}) > 60  # of few combinations is the number the same by chance


def test_the_first_row_is_the_reports_number(hand: ByHand):
    """With its interval, on the same prompts; the check is read by its name, and its table survives JSON."""
    report = cs.validate(hand.model, hand.circuit, hand.task, n_resamples=20, n_controls=0, checks=["conventions"])
    ours, theirs, first = hand.found.estimate, report.faithfulness, hand.found.table[0]
    assert report["conventions"].estimate.value == pytest.approx(theirs.value, abs=1e-9)
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=1e-6)
    assert (first["value"], first["low"], first["high"]) == (ours.value, ours.low, ours.high)
    assert first["used_by"] == ("default", "2403.17806", "2504.13151")
    assert Report.from_dict(made_up_report().adding(hand.found).to_dict())["conventions"] == hand.found


def test_every_paper_has_a_row_and_a_line(hand: ByHand):
    """And no row is said to be a paper's whose choices are others."""
    for paper, choices in PAPERS.items():
        (row,) = [row for row in hand.found.table if paper in row["used_by"]]  # pyright: ignore[reportOperatorIssue, reportGeneralTypeIssues]
        assert all(row[name] == choice for name, choice in choices.items()) and row["metric"] == choices.get(
            "metric", "logit_diff"
        )
        assert dict(hand.found.lines)[f"as in {paper}"].endswith(f"{row['metric']}, {row['average']})")


@pytest.fixture(scope="module")
def planted() -> tuple[Any, cs.Task]:
    """The smallest planted model."""
    return induction_model(), induction_task(8)


def measured(planted: tuple[Any, cs.Task], mask_of: Callable[[Graph], Tensor], **settings: Any) -> Measurement:
    experiment = cs.Experiment(*planted, **settings)
    return Conventions().measure(
        Trial(experiment, cs.Circuit(experiment.graph, mask_of(experiment.graph)), n_resamples=20)
    )


def test_the_whole_graph_is_1_and_no_edge_0(planted: tuple[Any, cs.Task]):
    """By edges, in both directions, whatever is ablated and however it is averaged."""
    ends = {1: lambda graph: graph.mask, 0: lambda graph: torch.zeros_like(graph.mask)}
    for value, mask_of in ends.items():
        for average in ("ratio of means", "mean of ratios", "bounded mean"):
            rows = measured(planted, mask_of).where(granularity="edges", average=average)
            assert len(rows) == 4 * 2 * 3
            defined = [row["value"] for row in rows if row["value"] is not None]
            assert len(defined) >= 16 and defined == pytest.approx([value] * len(defined), abs=1e-9)


def test_a_complete_circuit_is_necessary_and_sufficient(planted: tuple[Any, cs.Task]):
    """The planted edges alone keep the behaviour, and without them it is gone."""
    found = measured(planted, lambda graph: graph.edge_mask(INDUCTION_EDGES))
    both = found.where(ablation="Resample()", granularity="edges", metric="logit_diff", average="ratio of means")
    assert [row["value"] for row in both] == pytest.approx([1, 1], abs=0.1)


def test_other_metrics_and_ablations_of_ones_own_come_first(planted: tuple[Any, cs.Task]):
    """And are not measured twice."""
    model, task = planted
    found = measured((model, replace(task, metric=prob_diff)), lambda graph: graph.mask, ablation="zero")
    assert (found.table[0]["ablation"], found.table[0]["metric"]) == ("Zero()", "prob_diff")
    assert len(found.table) == 4 * 2 * 2 * 3 * 4 and "default" in found.table[0]["used_by"]  # pyright: ignore[reportOperatorIssue]


def test_nodes_of_spans_have_rows_for_their_own_spans_and_for_all(planted: tuple[Any, cs.Task]):
    """An edge of one span is kept in every span, which by names is the edge whatever comes after '@'."""
    graph = Graph(2, 2, 2, granularity=Granularity(spans=("S", "END")))
    circuit = cs.Circuit.from_edges(
        graph, [("embed@S", "a0.h0<v>@S"), ("a0.h0@END", "a1.h1<q>@END"), ("a1.h1@END", "logits")]
    )
    wider = in_every_span(graph, circuit.mask)
    bare = {tuple(end.partition("@")[0] for end in edge) for edge in circuit.edges}
    expected = [edge for edge in graph.edges(graph.mask) if tuple(end.partition("@")[0] for end in edge) in bare]
    assert list(graph.edges(wider)) == expected
    assert list(runs(circuit)) == [("edges", "spans"), ("edges", "all"), ("nodes", "spans"), ("nodes", "all")]


def test_only_so_many_prompts_are_run(planted: tuple[Any, cs.Task]):
    """Which the rows and the first line say; at least one."""
    experiment = cs.Experiment(*planted)
    trial = Trial(experiment, cs.Circuit(experiment.graph, experiment.graph.mask), n_resamples=20)
    found = CHECKS.read("conventions(prompts=3)").measure(trial)
    assert {row["n"] for row in found.table} == {3} and "on 3 prompts" in found.lines[0][1]
    with pytest.raises(InputError, match="1 prompt or more, not 0"):
        Conventions(prompts=0)


def test_a_column_that_is_not_there_is_refused(hand: ByHand):
    """With the nearest name."""
    with pytest.raises(InputError, match="unknown column 'metrics': did you mean 'metric'"):
        hand.found.where(metrics="prob_diff")
