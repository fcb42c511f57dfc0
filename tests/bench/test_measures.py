"""The numbers: against the checks of a report, against loops, and on models with known circuits."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.bench import BenchmarkResults, benchmark
from circuitsearch.bench.comparison import Comparison
from circuitsearch.bench.cost import forward_operations, measured
from circuitsearch.bench.leaderboard import over_seeds
from circuitsearch.bench.measures import Measure, of_ranking, packed, unpacked
from circuitsearch.bench.subject import Subject
from circuitsearch.faithfulness import bounded
from circuitsearch.references.compare import average_precision
from circuitsearch.validation import Interval
from circuitsearch.validation.checks import SizeCurve
from circuitsearch.validation.checks.curve import SHARES, area_from_model, area_under, curve_of
from circuitsearch.validation.trial import Trial
from tests.bench.conftest import asked


@pytest.fixture(scope="module")
def compared() -> Comparison:
    """A planted model, with MIB's ten sizes."""
    wanted = asked(sizes=list(SHARES))
    return Comparison.of(Subject.load("planted:or:3", wanted), wanted.cells()[0], wanted)


@pytest.fixture(scope="module")
def of_eap(compared: Comparison) -> tuple[cs.Scores, list[Measure]]:
    """Scores, and what is measured of them."""
    scores = compared.plan.selection.score("eap")
    return scores, list(of_ranking(scores, compared.held_out, SHARES))


def test_sizes_and_areas_are_those_of_a_report(compared: Comparison, of_eap: tuple[cs.Scores, list[Measure]]):
    """Faithfulness with its interval at every size, its mean per prompt, CPR and CMD, as the check of the size curve gives them."""
    scores, found = of_eap
    trial = Trial(
        compared.held_out.experiment, cs.Circuit(scores.graph, scores.graph.mask, scores.values, setup=scores.setup)
    )
    points = curve_of(SizeCurve().measure(trial))
    at = {(each.name, each.share): each for each in found}
    for point in points:
        ours = at["faithfulness", point.share]
        assert (ours.n_edges, ours.value, ours.low, ours.high) == pytest.approx(
            (point.n_edges, point.faithfulness, point.low, point.high)
        )
        assert at["per prompt", point.share].value == pytest.approx(point.per_prompt)
    assert at["CPR", None].value == pytest.approx(area_under(points))
    assert at["CMD", None].value == pytest.approx(area_from_model(points))


def test_areas_per_prompt_by_hand(compared: Comparison, of_eap: tuple[cs.Scores, list[Measure]]):
    """Trapezoids over the sizes, and over their logarithms, of the mean bounded faithfulness, over the width."""
    scores, found = of_eap
    held_out, heights = compared.held_out, []
    for share in SHARES:
        mask = (
            cs.top(scores, round(share * scores.graph.n_edges)).mask
            if round(share * scores.graph.n_edges)
            else torch.zeros_like(scores.graph.mask)
        )
        values = held_out.experiment.evaluator.metric_of(mask)
        heights.append(float(bounded(values, held_out.clean, held_out.ablated).mean()))
    value = {each.name: each for each in found if each.share is None}
    for name, place in (("bounded", lambda share: share), ("log-size", math.log)):
        at = [place(share) for share in SHARES]
        area = sum(
            (right - left) * (low + high) / 2
            for (left, right), (low, high) in zip(pairwise(at), pairwise(heights), strict=True)
        )
        assert value[name].value == pytest.approx(area / (at[-1] - at[0]))
        low, high = value[name].low, value[name].high
        assert low is not None and high is not None and low <= value[name].value <= high


def test_average_precision_by_counting():
    """Against its definition, with ties in which false ones come first."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        strengths = torch.randint(0, 6, (30,), generator=generator).double()
        true = torch.rand(30, generator=generator) < 0.2
        if not true.any():
            continue
        precisions = []
        for one in torch.nonzero(true).flatten().tolist():
            above = [
                each
                for each in range(30)
                if strengths[each] > strengths[one] or (strengths[each] == strengths[one] and not true[each])
            ]
            level = [each for each in range(30) if strengths[each] == strengths[one] and true[each] and each <= one]
            chosen = above + level
            precisions.append(sum(bool(true[each]) for each in chosen) / len(chosen))
        assert average_precision(strengths, true) == pytest.approx(sum(precisions) / len(precisions))


def values(results: BenchmarkResults) -> dict[tuple[str, str, str], list[float]]:
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in results.table:
        if row["share"] is None:
            found[row["model"], row["method"], row["measure"]].append(row["value"])
    return found


def test_known_circuits_are_found(results: BenchmarkResults):
    """The search of find gives the planted edges and no other, and rankings place them first."""
    found = values(results)
    for model in ("planted:induction:1", "planted:two-hop:2"):
        assert found[model, "find(passes=1)", "precision"] == found[model, "find(passes=1)", "recall"] == [1, 1]
        assert min(found[model, "relp", "AUROC"]) > 0.99 and min(found[model, "relp", "average precision"]) > 0.9
        assert min(found[model, "find(passes=1)", "per prompt"]) > 0.9


def test_stability_is_the_jaccard_index_over_seeds(results: BenchmarkResults):
    """Of a search that finds the planted circuit with both seeds it is 1; of rankings it is between 0 and 1."""
    for standing in results.leaderboard:
        index = standing.values["stability", None]
        assert 0 < index.low <= index.value <= index.high <= 1
        assert standing.method != "find(passes=1)" or index.value == 1


def test_costs_do_not_change(results: BenchmarkResults, tmp_path: Path):
    """Forwards are counted operations, the same in every run: EAP takes two forwards, a backward, and the products of all edges."""
    wanted = results.benchmark.model_copy(update={"methods": ["eap"], "seeds": [0]})
    again, first = values(benchmark(wanted, tmp_path)), values(results)
    for (model, _, _), (once,) in ((key, found) for key, found in again.items() if key[2] == "forwards"):
        assert once == first[model, "eap", "forwards"][0] and 3 < once < 8


def test_operations_are_those_of_torch(compared: Comparison):
    """A plain forward has as many as torch's own counter finds, and scores do not depend on the counting."""
    from torch.utils.flop_counter import FlopCounterMode

    model, task = compared.subject.model, compared.plan.selection.task
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for batch in task.batches(32, share_prefix=False):
            model(input_ids=batch.clean)
    assert forward_operations(model, task) == counter.get_total_flops() > 0
    with measured(model.device) as cost:
        scores = compared.plan.selection.score("relp")
    assert (
        (scores.values == compared.plan.selection.score("relp").values).all()
        and cost.operations > 0
        and cost.seconds > 0
    )


def test_masks_are_kept_as_bits():
    """And read back, with up to seven places more."""
    mask = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    back = unpacked(packed(mask))
    assert (back[:35] == mask.flatten()).all() and not back[35:].any() and len(back) == 40


def test_over_seeds_takes_the_wider_interval():
    """Where seeds agree, prompts still vary; where they do not, the range of the seeds counts."""
    agree = over_seeds([Interval(0.5, 0.4, 0.6)] * 4)
    assert (agree.low, agree.high) == pytest.approx((0.45, 0.55))
    apart = over_seeds([Interval(0.1, 0.09, 0.11), Interval(0.9, 0.89, 0.91)])
    assert (apart.value, apart.low, apart.high) == pytest.approx((0.5, 0.1, 0.9))


def test_folders_of_known_circuits_and_files_of_prompts(tmp_path: Path):
    """Models of one's own with known circuits are measured against them."""
    from circuitsearch.models.planted import plant

    plant("induction", 4, n=32).save(tmp_path / "mine")
    grid: list[dict[str, Any]] = [{"models": [str(tmp_path / "mine")]}]
    found = values(benchmark(asked(grid=grid, methods=["eap"]), tmp_path / "out"))
    assert found["mine", "eap", "AUROC"][0] > 0.95
