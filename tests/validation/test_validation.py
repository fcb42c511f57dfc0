"""Evidence on held-out prompts: definitions, intervals, controls, the report."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.faithfulness import bounded, ratio_of_means
from circuitsearch.figures import caption_for
from circuitsearch.figures.viewer.data import page_data
from circuitsearch.files import to_json
from circuitsearch.graph import Graph
from circuitsearch.methods import EAPIG
from circuitsearch.models.planted import INDUCTION_EDGES, induction_model, induction_task
from circuitsearch.reachability import prune
from circuitsearch.search import top
from circuitsearch.task import Task
from circuitsearch.validation import Generalisation, Interval, Report, behaviour, validate
from circuitsearch.validation.bootstrap import interval
from circuitsearch.validation.checks import controls
from circuitsearch.validation.checks.controls import RandomCircuits, random_circuits
from circuitsearch.validation.checks.curve import CurvePoint, SizeCurve, area_from_model, area_under
from circuitsearch.validation.checks.kept import OVERSHOOTS
from tests.setups import measuring


def tensor(*values: float) -> torch.Tensor:
    """Float64 values."""
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(scope="module")
def planted():
    """The planted model, its circuit and held-out prompts, with the report on them."""
    model, (train, held_out) = induction_model(), induction_task(40).split(0.5)
    scores = score(model, train, EAPIG())
    circuit = Circuit.from_edges(scores.graph, INDUCTION_EDGES, scores.values)
    return model, circuit, held_out, validate(model, circuit, held_out, n_resamples=500, n_controls=8)


def test_ratio_of_means_by_hand():
    """(3 - 1) / (5 - 1) of the means."""
    assert float(ratio_of_means(tensor(2, 4), tensor(4, 6), tensor(0, 2))) == 0.5


def test_bounded_form_by_hand():
    """One prompt at half of the way, one overshooting beyond the whole way, one that cutting does not change."""
    values = bounded(tensor(1, 9, 3), tensor(2, 2, 3), tensor(0, 0, 3))
    assert values.tolist() == [0.5, 0.0, 1.0]


def test_bca_interval_is_scipys():
    """The interval of a mean is the one that SciPy gives, at the level of Student's t with the degrees of freedom of its variance."""
    data = np.random.default_rng(0).normal(1, 2, 40)
    ours = interval(np.mean, torch.from_numpy(data), confidence=0.9, n_resamples=800, seed=3)
    kurtosis = max(5, (1 + 4 / 40**0.5) * stats.kurtosis(data, fisher=False))
    level = float(2 * stats.norm.cdf((40 / 39) ** 0.5 * stats.t.ppf(0.95, 2 * 39 / (kurtosis - 1))) - 1)
    theirs = stats.bootstrap((data,), np.mean, confidence_level=level, n_resamples=800, rng=np.random.default_rng(3))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval))
    assert ours.low < ours.value < ours.high


def test_intervals_of_few_prompts_are_as_wide_as_by_t():
    """On 8 normal values the interval of their mean has nearly the width of Student's with 3.5 degrees of freedom."""
    data = np.random.default_rng(1).normal(0, 1, 8)
    found = interval(np.mean, torch.from_numpy(data), confidence=0.95, n_resamples=4000, seed=0)
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 3.5) * stats.sem(data), rel=0.06)


def test_intervals_of_few_prompts_cover_the_truth_about_as_often_as_they_say():
    """Over 300 samples of 8 prompts, a 90% interval of a skewed mean holds the true mean in 85 to 95% of them; BCa alone in 81%."""
    rng, held = np.random.default_rng(0), []
    for seed in range(300):
        values = torch.from_numpy(rng.exponential(1, 8))
        found = interval(np.mean, values, confidence=0.9, n_resamples=300, seed=seed)
        held.append(found.low <= 1 <= found.high)
    assert 0.85 <= np.mean(held) <= 0.95


def test_interval_of_a_constant_is_the_constant():
    """Where every prompt says the same there is nothing to resample, and no NaN."""
    assert interval(np.mean, tensor(1, 1, 1), confidence=0.95, n_resamples=100, seed=0) == Interval(1, 1, 1)


def test_one_prompt_has_no_interval():
    """The value is known, its ends are not."""
    found = interval(np.mean, tensor(1), confidence=0.95, n_resamples=100, seed=0)
    assert found.value == 1 and np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("n_edges", [3, 12, 40, 200])
def test_random_circuits_have_the_size_and_survive_pruning(n_edges):
    """Controls have exactly the asked size, lie on paths, and differ from each other."""
    graph = Graph(3, 4, 4)
    masks = random_circuits(graph, n_edges, 5, seed=0)
    for mask in masks:
        assert int(mask.sum()) == n_edges
        assert torch.equal(prune(graph, mask), mask)
    assert not torch.equal(masks[0], masks[1])
    assert torch.equal(masks, random_circuits(graph, n_edges, 5, seed=0))


def test_the_planted_circuit_is_faithful_and_random_ones_are_not(planted):
    """On held-out prompts the circuit built by hand keeps the behaviour, and its controls do not."""
    _, circuit, held_out, report = planted
    assert report.n == len(held_out) and report.n_edges == len(circuit)
    assert report.faithfulness.low <= report.faithfulness.value <= report.faithfulness.high
    mean_control = np.mean(report.controls)  # so small a graph holds few circuits of 3 edges, so one may be the circuit
    assert report.faithfulness.value > 0.9 > 2 * mean_control
    assert report.accuracy_kept.value == 1 and len(report.controls) == 8


def test_the_curve_ends_at_the_model(planted):
    """All edges are faithful by definition, and the curve's sizes grow."""
    *_, report = planted
    assert report.curve[-1].faithfulness == pytest.approx(1, abs=1e-9)
    assert [p.n_edges for p in report.curve] == sorted(p.n_edges for p in report.curve)


def test_the_whole_graph_is_the_model_itself(planted):
    """Keeping everything gives faithfulness 1, no divergence and all the accuracy."""
    model, circuit, held_out, _ = planted
    report = validate(model, Circuit(circuit.graph, circuit.graph.mask), held_out, n_resamples=100, n_controls=0)
    assert report.faithfulness.value == pytest.approx(1, abs=1e-9)
    assert report.kl.value == pytest.approx(0, abs=1e-9) and report.accuracy_kept.value == 1
    assert report.controls == () and report.curve == () and report["minimality"].lines == ()


def test_a_report_survives_a_file(planted, tmp_path):
    """Saving and loading gives back the same report, and it prints what it found."""
    *_, report = planted
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == report
    assert str(report.faithfulness) in str(report) and "20 prompts" in str(report)


def test_a_report_without_copies_says_nothing_of_copies(planted):
    """Also where it is made from a file that does not mention them."""
    *_, report = planted
    content = {name: value for name, value in report.to_dict().items() if name != "n_copies"}
    assert Report.from_dict(content).n_copies == 0 and "copies" not in str(report)


def test_what_is_not_defined_is_null_in_the_file_and_said_in_words(planted, tmp_path):
    """A model that is never right has no share of its accuracy to keep."""
    *_, report = planted
    nothing = float("nan")
    never = measuring(report, accuracy_kept=Interval(nothing, nothing, nothing), controls=(nothing,))
    never.save(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    found = {each["name"]: each for each in content["measurements"]}
    assert (found["accuracy_kept"]["value"], found["accuracy_kept"]["interval"]) == (None, [None, None])
    assert [row["faithfulness"] for row in found["controls"]["table"]] == [None]
    again = Report.load(tmp_path / "report.json")
    assert str(again) == str(never) and "not defined: the model is never right" in str(again)


def test_a_value_above_one_is_called_what_it_is(planted):
    """A circuit that does the task more strongly than the model is said to, with a caution where its whole interval is above 1."""
    *_, report = planted
    louder = measuring(report, faithfulness=Interval(1.2, 1.1, 1.3))
    assert "above 1: more strongly than the model" in str(louder)
    assert louder.cautions == [OVERSHOOTS] and "caution          faithfulness above 1: the circuit does" in str(louder)
    perhaps = measuring(report, faithfulness=Interval(1.2, 0.9, 1.3))
    assert "above 1: more strongly than the model" in str(perhaps) and perhaps.cautions == []
    assert "above 1" not in str(measuring(report, faithfulness=Interval(0.9, 0.8, 1.0)))


def test_errors_that_cancel_are_said(planted):
    """Wherever the faithfulness is: a ratio near 1 of prompts that are each far from 1; not where the ratio says it itself."""
    *_, report = planted
    _, circuit, *_ = planted
    hidden = measuring(report, faithfulness=Interval(0.98, 0.9, 1.1), per_prompt=Interval(0.6, 0.5, 0.7))
    sentence = (
        "errors on single prompts cancel in the ratio of means: the circuit misses 40% of a prompt's effect on average"
    )
    assert f"caution          {sentence}" in str(hidden)
    assert sentence in caption_for(circuit, hidden) and "per prompt 0.600" in caption_for(circuit, hidden)
    about = page_data(circuit, hidden)["about"]
    assert (about["cautions"], about["per_prompt"]) == ([sentence], [0.6, 0.5, 0.7])
    open_ = (0.98, 0.81), (0.7, 0.6), (float("nan"), float("nan")), (1.3, 0.5)
    for ratio, mean in open_:
        shown = measuring(report, faithfulness=Interval(ratio, 0, 2), per_prompt=Interval(mean, 0, 1))
        assert shown.cautions == [] and "caution" not in str(shown)


def test_a_report_says_where_the_model_does_not_do_the_task(planted):
    """On the prompts of the report, with the figures of the test."""
    *_, report = planted
    assert report.test.significant and ", chance 50.0%" in str(report)
    weak = measuring(report, accuracies=(1.0, 1.0, replace(report.test, accuracy_p=0.2)))
    assert "not shown at the level 0.01 that the model does the task on these prompts" in str(weak)
    assert "binomial p = 0.2 against chance" in str(weak)


def test_new_names_have_a_line_of_their_own(planted, tmp_path):
    """In the text, in the file, and on the page, which leaves out what is not defined."""
    _, circuit, _, report = planted
    value, nothing = Interval(0.8, 0.7, 0.9), Interval(*3 * [float("nan")])
    found = (Generalisation((), 64, value, value), Generalisation(("names", "words"), 60, nothing, value))
    report = measuring(report, by_factor=found)
    assert report.by_factor[0] == found[0] and report.by_factor[1].label == "new names, words"
    report.save(tmp_path / "report.json")
    assert "new prompts      faithfulness 0.800 [0.700, 0.900], per prompt 0.800 [0.700, 0.900], on 64 prompts" in str(
        report
    )
    assert "new names, words faithfulness not defined, per prompt" in str(Report.load(tmp_path / "report.json"))
    about = page_data(circuit, report)["about"]
    assert about["by_factor"] == [["new prompts", 64, [0.8, 0.7, 0.9], [0.8, 0.7, 0.9]]]
    assert Generalisation(("a\x1b[31m\n`\u202e" + "b" * 900,), 8, value, value).label.startswith("new a\ufffd[31m `bb")
    assert len(Generalisation(("b" * 900,), 8, value, value).label) == 64


def test_a_circuit_of_another_model_is_refused(planted):
    """A circuit whose graph does not fit the model is an error."""
    model, _, held_out, _ = planted
    other = Circuit.from_edges(Graph(3, 4, 4), [("embed", "logits")])
    with pytest.raises(InputError, match="give the model that it was made with"):
        validate(model, other, held_out)


def test_behaviour_says_what_the_model_does(planted):
    """The planted model prefers the right answer on every prompt."""
    model, _, held_out, _ = planted
    found = behaviour(model, held_out)
    assert found.accuracy == 1 and found.clean > found.ablated and found.n == len(held_out)
    found.check()


def test_what_is_done_unless_told_otherwise(planted):
    """Intervals of 95% from 2000 resamples, 20 controls; progress goes forward to its end."""
    model, circuit, held_out, _ = planted
    seen: list[tuple[int, int]] = []
    report = validate(model, circuit, held_out, progress=lambda done, total: seen.append((done, total)))
    assert (report.confidence, report.n_resamples, len(report.controls)) == (0.95, 2000, 20)
    (total,) = {total for _, total in seen}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen}) and seen[0][0] > 0 and seen[-1][0] == total


def test_a_task_that_the_model_does_not_do_is_refused(planted):
    """With right and wrong answers swapped there is nothing to be faithful to."""
    model, circuit, held_out, _ = planted
    swapped = Task.from_ids(held_out.clean, held_out.corrupt, held_out.wrong, held_out.answers, name="swapped")
    with pytest.raises(InputError, match="does not do the task 'swapped'"):
        validate(model, circuit, swapped)


def test_areas_by_hand():
    """A straight line from 0 to 1 has half the unit area on either side."""
    line = [CurvePoint(0, 0.0, 0.0), CurvePoint(50, 0.5, 0.5), CurvePoint(100, 1.0, 1.0)]
    assert area_under(line) == area_from_model(line) == 0.5


def test_curve_sizes_are_prefixes_of_the_ranking(planted):
    """Each point of the curve is the pruned top of the ranking."""
    model, *_, report = planted
    scores = score(model, induction_task(40).split(0.5)[0], EAPIG())
    point = report.curve[-2]
    assert len(top(scores, round(point.share * scores.graph.n_edges))) == point.n_edges


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"confidence": 0.0}, "confidence must be between 0 and 1, not 0"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1, not 1"),
        ({"confidence": 1.5}, "between 0 and 1"),
        ({"confidence": float("nan")}, "between 0 and 1"),
        ({"n_resamples": 0}, "1 resample or more"),
        ({"n_controls": -1}, "0 controls or more"),
    ],
    ids=str,
)
def test_choices_out_of_range_are_refused(planted, choices, words):
    """Before anything is measured."""
    model, circuit, held_out, _ = planted
    with pytest.raises(InputError, match=words):
        validate(model, circuit, held_out, **choices)


def test_an_empty_circuit_has_no_controls(planted):
    """It keeps nothing, and random circuits of no edges are no comparison; the curve ends with the edges that have a score."""
    model, circuit, held_out, _ = planted
    graph = circuit.graph
    values = torch.full(graph.mask.shape, torch.nan, dtype=torch.float64)
    scored = graph.mask.nonzero()[: round(0.5 * graph.n_edges)]
    values[scored[:, 0], scored[:, 1]] = 1.0
    nothing = Circuit(graph, torch.zeros_like(graph.mask), values)
    report = validate(model, nothing, held_out, n_resamples=1, n_controls=2)
    assert report.faithfulness.value == 0 and report.controls == ()
    assert [point.share for point in report.curve] == [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]


def test_random_circuits_that_keep_nothing_keep_zero(planted):
    """Neither report nor caption says -0.000."""
    model, circuit, held_out, _ = planted
    report = measuring(validate(model, circuit, held_out, n_resamples=1, n_controls=2), controls=(-1e-5, -2e-5))
    assert "faithfulness 0.000 on average, 0.000 at best" in str(report)
    assert "2 random circuits of its size: 0.000 on average" in caption_for(circuit, report)


def test_two_prompts_have_an_interval():
    """Between them."""
    found = interval(np.mean, tensor(1, 3), confidence=0.9, n_resamples=200, seed=0)
    assert (found.value, found.low, found.high) == (2, 1, 3)


def test_random_circuits_of_every_size():
    """Exactly so many edges each, from one edge to all, and another seed gives others."""
    graph = Graph(1, 2, 2)
    for n in range(1, graph.n_edges + 1):
        masks = random_circuits(graph, n, 3, seed=n)
        assert masks.sum((1, 2)).tolist() == [n] * 3
        assert all(torch.equal(prune(graph, mask), mask) for mask in masks)
    assert not torch.equal(random_circuits(graph, 9, 1, seed=0), random_circuits(graph, 9, 1, seed=1))


def test_a_random_circuit_costs_few_prunings(monkeypatch):
    """It is cut down to its size many edges at a time, not one by one."""
    calls = []
    monkeypatch.setattr(controls, "prune", lambda graph, mask: calls.append(1) or prune(graph, mask))
    (mask,) = random_circuits(Graph(6, 8, 8), 30, 1, seed=0)
    assert int(mask.sum()) == 30 and len(calls) < 150


def test_behaviour_survives_a_file(planted, tmp_path):
    """All its numbers, and what it was measured with."""
    model, _, held_out, _ = planted
    found = behaviour(model, held_out)
    found.save(tmp_path / "behaviour.json")
    assert type(found).load(tmp_path / "behaviour.json") == found


def test_an_interrupted_validation_goes_on(planted, tmp_path, monkeypatch):
    """What checks found is read back, and the report is that of a run without a stop; of another circuit it is refused."""
    model, circuit, held_out, whole = planted
    again = partial(validate, model, circuit, held_out, n_resamples=500, n_controls=8, checkpoint=tmp_path / "steps")
    with monkeypatch.context() as patch:
        patch.setattr(SizeCurve, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            again()
    before = len((tmp_path / "steps").read_text().splitlines())
    with monkeypatch.context() as patch:
        patch.setattr(RandomCircuits, "measure", interrupted)
        assert to_json(again().to_dict()) == to_json(whole.to_dict())
    assert 2 < before < len((tmp_path / "steps").read_text().splitlines())
    with pytest.raises(InputError, match="other settings"):
        validate(model, Circuit.from_edges(circuit.graph, circuit.edges[:3]), held_out, checkpoint=tmp_path / "steps")


def interrupted(check: object, trial: object) -> None:
    """As by Ctrl-C."""
    raise KeyboardInterrupt
