"""Every number of a report on a circuit that gets some prompts wrong, against plain runs and formulas written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch import metrics
from circuitsearch.setup import Spec
from circuitsearch.validation.checks.controls import random_circuits
from tests.conftest import random_task, tiny_model
from tests.validation import by_hand
from tests.validation.by_hand import Plain, bca

CONFIDENCE, RESAMPLES, SEED = 0.9, 400, 5
CASES = {
    "gpt2": (cs.Resample(), by_hand.corrupt_writes, metrics.logit_diff, by_hand.logit_diff, 0.4),
    "llama": (cs.Mean(), by_hand.mean_writes, metrics.prob_diff, by_hand.prob_diff, 0.8),
}


def imperfect_task(model: Any, metric: Callable) -> cs.Task:
    """Prompts of two lengths with one or two answers, of which the model does most, and four the wrong way round."""
    parts = [random_task(7, 9, 3, seed=1), random_task(5, 7, 1, seed=2)]
    clean, corrupt = (sum((getattr(part, side) for part in parts), ()) for side in ("clean", "corrupt"))
    answers, wrong = [], []
    for row, (a, b) in enumerate(zip(clean, corrupt, strict=True)):
        order = (model(a[None]).logits - model(b[None]).logits)[0, -1].argsort().tolist()
        sides = [order[-1:] if row % 3 else order[-2:], order[:2]]
        right_side, wrong_side = sides if row % 3 != 2 else sides[::-1]
        answers.append(right_side)
        wrong.append(wrong_side)
    return cs.Task.from_ids(clean, corrupt, answers, wrong, name="imperfect", metric=metric)


class Judged:
    """One circuit's report, and the same by hand."""

    def __init__(self, name: str) -> None:
        ablation, writes, metric, self.metric, share = CASES[name]
        model = tiny_model(name)
        self.task = imperfect_task(model, metric)
        scores = cs.score(model, self.task, cs.EAP(), ablation=ablation)
        self.circuit = cs.top(scores, round(share * scores.graph.n_edges))
        self.model, self.ablation = model, ablation
        self.report = cs.validate(
            model, self.circuit, self.task, ablation=ablation,
            n_resamples=RESAMPLES, confidence=CONFIDENCE, n_controls=3, seed=SEED,
        )  # fmt: skip
        self.plain = Plain(model, self.task, writes(model, self.task))
        self.logits = {
            "clean": self.plain.clean(),
            "ablated": self.plain.circuit(torch.zeros_like(self.circuit.mask)),
            "circuit": self.plain.circuit(self.circuit.mask),
        }
        self.values = {which: self.plain.each(self.metric, rows) for which, rows in self.logits.items()}
        self.right = {which: self.plain.each(by_hand.right, rows) for which, rows in self.logits.items()}

    def ratio_of(self, mask: torch.Tensor) -> tuple[float, float, float]:
        """A circuit's faithfulness and its interval."""
        values = self.plain.each(self.metric, self.plain.circuit(mask))
        return self.interval(by_hand.ratio, values, self.values["clean"], self.values["ablated"])

    def interval(self, statistic: Callable[..., float], *columns: list[float]) -> tuple[float, float, float]:
        """Value and ends by hand."""
        return bca(statistic, *columns, confidence=CONFIDENCE, n_resamples=RESAMPLES, seed=SEED)


@pytest.fixture(scope="module", params=CASES)
def judged(request):
    """Each case in turn."""
    return Judged(request.param)


def same(interval, by_hand: tuple[float, float, float]) -> None:
    """Value and both ends agree, and the interval is one."""
    assert (interval.value, interval.low, interval.high) == pytest.approx(by_hand, abs=1e-9)
    assert interval.low < interval.value < interval.high


def test_the_circuit_is_imperfect(judged):
    """Nothing below is 0, 1 or equal to another by chance: what is swapped or flipped shows."""
    report = judged.report
    assert 0 < report.circuit_accuracy < report.model_accuracy < 1
    assert 0.1 < report.faithfulness.value < 0.95 and report.kl.value > 0.01
    assert 0.1 < report.per_prompt.value < 0.95 and report.per_prompt.value != pytest.approx(report.faithfulness.value)


def test_means_of_the_metric(judged):
    """The model, every edge ablated, and the circuit."""
    report = judged.report
    for which in ("clean", "ablated", "circuit"):
        assert getattr(report, which) == pytest.approx(by_hand.mean(judged.values[which]), abs=1e-9)


def test_faithfulness_is_the_ratio_of_means(judged):
    """With its interval, model and ablated run resampled together with the circuit."""
    same(
        judged.report.faithfulness,
        judged.interval(by_hand.ratio, *map(judged.values.get, ("circuit", "clean", "ablated"))),
    )


def test_per_prompt_faithfulness_is_bounded(judged):
    """The mean of each prompt's own share."""
    columns = map(judged.values.get, ("circuit", "clean", "ablated"))
    same(judged.report.per_prompt, judged.interval(by_hand.mean, list(map(by_hand.bounded, *columns))))


def test_kl_goes_from_the_model_to_the_circuit(judged):
    """In nats, positive, and not the other way round."""
    model, circuit = judged.logits["clean"], judged.logits["circuit"]
    there, back = judged.plain.each(by_hand.kl, model, circuit), judged.plain.each(by_hand.kl, circuit, model)
    same(judged.report.kl, judged.interval(by_hand.mean, there))
    assert judged.report.kl.value != pytest.approx(by_hand.mean(back), rel=1e-3)


def test_accuracies_are_each_its_own(judged):
    """The model's, the circuit's, and the second over the first; the text names them in that order."""
    report, right = judged.report, judged.right
    assert report.model_accuracy == pytest.approx(by_hand.mean(right["clean"]))
    assert report.circuit_accuracy == pytest.approx(by_hand.mean(right["circuit"]))
    same(report.accuracy_kept, judged.interval(by_hand.kept, right["circuit"], right["clean"]))
    assert f"model {report.model_accuracy:.1%}, circuit {report.circuit_accuracy:.1%}" in str(report)


def test_controls_are_random_circuits_of_the_same_size(judged):
    """The faithfulness of each, by plain runs."""
    masks = random_circuits(judged.circuit.graph, len(judged.circuit), 3, SEED)
    assert [int(mask.sum()) for mask in masks] == [len(judged.circuit)] * 3
    expected = [judged.ratio_of(mask)[0] for mask in masks]
    assert judged.report.controls == pytest.approx(expected, abs=1e-9)


def test_the_curve_is_of_the_strongest_edges(judged):
    """At every size that holds an edge: how many are left after pruning, their faithfulness and its interval."""
    graph, curve = judged.circuit.graph, judged.report.curve
    assert [point.share for point in curve] == [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    for point in curve[-4:]:
        mask = by_hand.strongest(graph, judged.circuit.scores, round(point.share * graph.n_edges))
        value, low, high = judged.ratio_of(mask)
        assert point.n_edges == int(mask.sum())
        assert point.faithfulness == pytest.approx(value, abs=1e-9)
        assert (point.low, point.high) == pytest.approx((low, high), abs=1e-9)


def test_the_report_says_what_was_measured(judged):
    """Sizes, prompts and choices."""
    report, circuit = judged.report, judged.circuit
    assert (report.task, report.n, report.metric) == ("imperfect", 12, judged.task.metric.__name__)
    assert (report.n_edges, report.n_edges_total) == (len(circuit), circuit.graph.n_edges)
    assert (report.confidence, report.n_resamples, report.setup.seed) == (CONFIDENCE, RESAMPLES, SEED)
    assert report.ablation == str(Spec.of(judged.ablation))


def test_behaviour_by_hand(judged):
    """The model's own accuracy, its share of best tokens that are right, and both means of the metric."""
    found = cs.behaviour(judged.model, judged.task, ablation=judged.ablation)
    best = judged.plain.each(by_hand.best_is_right, judged.logits["clean"])
    assert 0 < by_hand.mean(best) < 1
    assert found.top1 == pytest.approx(by_hand.mean(best))
    assert found.accuracy == pytest.approx(by_hand.mean(judged.right["clean"]))
    assert found.clean == pytest.approx(by_hand.mean(judged.values["clean"]), abs=1e-9)
    assert found.ablated == pytest.approx(by_hand.mean(judged.values["ablated"]), abs=1e-9)


def test_behaviour_is_refused_where_there_is_none(judged):
    """Right and wrong answers swapped, the model does worse than with every edge ablated, and the check says so."""
    task = judged.task
    swapped = cs.Task.from_ids(task.clean, task.corrupt, task.wrong, task.answers, name="swapped", metric=task.metric)
    with pytest.raises(cs.InputError, match="does not do the task 'swapped'"):
        cs.behaviour(judged.model, swapped, ablation=judged.ablation).check()


def test_the_text_says_every_number(judged):
    """Each line of the printed report, with the numbers worked out here; a notebook's table has the same."""
    report, controls = judged.report, judged.report.controls
    assert len(set(controls)) == 3
    said = " ".join(str(report).split())
    for line in (
        f"edges {report.n_edges} of {report.n_edges_total} ({100 * report.n_edges / report.n_edges_total:.1f}%)",
        f"model {report.clean:.3f}, all",
        f"{report.ablated:.3f}, circuit {report.circuit:.3f}",
        f"faithfulness {report.faithfulness.value:.3f} [{report.faithfulness.low:.3f}, {report.faithfulness.high:.3f}]",
        f"per prompt {report.per_prompt.value:.3f} [",
        f"KL to the model {report.kl.value:.3f} [",
        f"accuracy kept {report.accuracy_kept.value:.3f} [",
        f"3 of the same size: faithfulness {sum(controls) / 3:.3f} on average, {sorted(controls)[-1]:.3f} at best",
        f"{100 * CONFIDENCE:.0f}% t-widened BCa bootstraps over prompts, {RESAMPLES} resamples",
    ):
        assert line in said
    assert str(report.faithfulness) in report._repr_html_()
    assert f"{report.clean:.3f}" in cs.behaviour(judged.model, judged.task, ablation=judged.ablation)._repr_html_()
