"""Checks: the usual ones, those of users, and what a report makes of their measurements."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.figures import caption_for
from circuitsearch.figures.viewer.data import page_data
from circuitsearch.models.planted import INDUCTION_EDGES, induction_model, induction_task
from circuitsearch.registry import CHECKS
from circuitsearch.setup import Spec
from circuitsearch.validation import Interval, Measurement, Report, Trial
from circuitsearch.validation.checks import KL, USUAL, Check, NewPrompts, RandomCircuits, SizeCurve
from circuitsearch.validation.checks.curve import CurvePoint
from circuitsearch.validation.measurement import number
from tests.setups import made_up_report, measuring, with_setup

SCHEMA = Path(__file__).parents[2] / "docs/report.schema.json"


@dataclass(frozen=True)
class Size:
    """A check of a user: how many edges the circuit has, several times over."""

    times: int = 1

    def measure(self, trial: Trial) -> Measurement:
        size = self.times * len(trial.circuit)
        return Measurement(
            "size", size, table=({"times": self.times},), lines=(("size & more", f"{size} edges_"),), cautions=("it is small",),
            caption=f"{size} edges in all",
        )  # fmt: skip


@pytest.fixture(scope="module")
def trial() -> Trial:
    """The planted circuit on held-out prompts."""
    model, (train, held_out) = induction_model(), induction_task(24).split(0.5)
    scores = cs.score(model, train, "eap")
    circuit = cs.Circuit.from_edges(scores.graph, INDUCTION_EDGES, scores.values)
    return Trial(cs.Experiment(model, held_out), circuit, cs.Experiment(model, train), n_resamples=50)


def validated(trial: Trial, *checks: Check | str) -> Report:
    experiment = trial.experiment
    return cs.validate(experiment, trial.circuit, experiment.task, checks=checks, n_resamples=50, n_controls=2)


@pytest.mark.parametrize("check", USUAL, ids=lambda check: type(check).__name__)
def test_every_usual_check_is_a_value_with_a_name(check: Any, trial: Trial):
    """It is read from its name, measures the same twice, and what it measures survives JSON."""
    (listed,) = [name for name in CHECKS.names() if CHECKS.load(name) is type(check)]
    assert CHECKS.read(listed) == CHECKS.read(repr(check)) == check
    found = check.measure(trial)
    assert str(check.measure(trial)) == str(found)
    report = made_up_report().adding(found)
    assert str(Report.from_dict(report.to_dict())[found.name]) == str(report[found.name])


def test_a_check_of_a_user_is_in_everything(trial: Trial, tmp_path: Path):
    """Text, LaTeX, file, caption and page, with its caution."""
    report = validated(trial, Size(2))
    report.save(tmp_path / "report.json")
    again = Report.load(tmp_path / "report.json")
    assert again["size"] == Measurement(
        "size", 6.0, None, ({"times": 2},), (("size & more", "6 edges_"),), ("it is small",), "6 edges in all"
    )
    assert "size & more      6 edges_\ncaution          it is small" in str(again) and again.cautions == ["it is small"]
    assert r"size \& more & 6 edges\_" in again.to_latex()
    caption = caption_for(trial.circuit, again)
    assert "; 6 edges in all" in caption and caption.endswith(" Caution: it is small.")
    assert ["size & more", "6 edges_"] in page_data(trial.circuit, again)["about"]["others"]


def test_a_check_of_another_package_is_found_by_its_name(trial: Trial, monkeypatch: pytest.MonkeyPatch):
    """By its entry point, with knobs."""
    point = EntryPoint("how-large", f"{__name__}:Size", "circuitsearch.checks")
    monkeypatch.setattr("circuitsearch.registry.entry_points", lambda group: [point] if group == point.group else [])
    monkeypatch.setattr(import_module("circuitsearch.validation.validate"), "CHECKS", replace(CHECKS))
    assert validated(trial, "how-large(times=3)")["size"].value == 9


def test_a_usual_check_with_other_knobs_takes_its_place(trial: Trial):
    """It is measured once."""
    report = validated(trial, "RandomCircuits(count=5, prompts=3)")
    assert len(report.controls) == 5 and "5 of the same size on 3 prompts" in str(report)
    assert [each.name for each in report.measurements].count("controls") == 1


def test_what_is_printed_is_what_was_measured(trial: Trial):
    """The sentence to quote, then rows in the order of the checks; the last one describes the intervals."""
    names = [name for name, _ in validated(trial).rows()]
    assert names[:6] == ["quote", "task", "edges", "ablation", "logit_diff", "faithfulness"] and names[-1] == ""


def test_the_sentence_to_quote_names_the_numbers_and_their_conventions(trial: Trial):
    """It is the first line of the text and on the page; only what was measured is in it."""
    report = made_up_report()
    sentence = (
        "faithfulness 0.912 [0.874, 0.941] as a ratio of means and 0.912 [0.874, 0.941] as a bounded mean per prompt"
        " (edges, resample ablation, logit_diff, 128 held-out prompts, 95% intervals)"
    )
    assert str(report).splitlines()[0].split(maxsplit=1) == ["quote", sentence]
    assert page_data(trial.circuit, report)["about"]["others"][0] == ["quote", sentence]
    nothing = float("nan")
    assert "bounded" not in measuring(report, per_prompt=Interval(nothing, nothing, nothing)).quote
    assert replace(report, measurements=()).quote == "" and replace(report, measurements=()).rows()[0][0] == "task"
    means = with_setup(report, ablation=Spec.of(cs.Mean(over_positions=True)))
    assert "mean ablation (the mean over counterfactual prompts and positions)" in means.quote


def test_areas_under_the_curve_stand_beside_a_bounded_one(trial: Trial):
    """By trapezoids in plain numbers; sizes above 1 are counted; without all sizes there are none."""
    found = SizeCurve().measure(trial)
    columns = [[number(row[name]) for row in found.table] for name in ("share", "faithfulness", "per_prompt")]
    shares, kept, bounded = columns
    assert max(bounded) <= 1 <= max(kept) + 1e-9 and min(bounded) >= 0

    def area(heights: list[float]) -> float:
        return sum((shares[i] - shares[i - 1]) * (heights[i] + heights[i - 1]) / 2 for i in range(1, 10))

    areas = [area(kept), area([abs(1 - each) for each in kept]), area(bounded)]
    (line,) = found.lines
    assert line[0] == "area under curve"
    assert line[1].startswith("CPR {:.3f}, CMD {:.3f} (MIB), bounded per prompt {:.3f}".format(*areas))
    louder = [CurvePoint(3, share, 1.2 if share < 0.01 else 1.0, per_prompt=0.8) for share in shares]
    assert SizeCurve().found(louder).lines[0][1].endswith("; 3 of 10 sizes above 1, which raises CPR")
    assert SizeCurve().found(louder[1:]).lines == ()


def test_a_name_that_was_not_measured_is_refused(trial: Trial):
    """With those that were."""
    with pytest.raises(InputError, match="unknown measurement 'klm': did you mean 'kl'"):
        validated(trial)["klm"]


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: RandomCircuits(count=-1), "0 controls or more"),
        (lambda: RandomCircuits(prompts=0), "1 prompt or more"),
        (lambda: SizeCurve(prompts=0), "1 prompt or more"),
        (lambda: NewPrompts(n=0), "1 new prompt or more"),
        (lambda: CHECKS.read("kll"), "unknown check 'kll': did you mean 'kl'"),
        (lambda: CHECKS.read(KL), r"a value, not a class: write KL\(\)"),
        (lambda: CHECKS.read(3), "is not a check"),
    ],
)
def test_wrong_checks_are_refused(check: Any, sentence: str):
    """In a sentence."""
    with pytest.raises(InputError, match=sentence):
        check()


def test_the_published_schema_is_that_of_the_code():
    """``Report.schema()`` writes it."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == Report.schema()


def test_reports_fit_the_schema(trial: Trial, tmp_path: Path):
    """Also where a number is not defined."""
    jsonschema = pytest.importorskip("jsonschema", reason="it comes with the extra notebooks")
    report = validated(trial)
    nothing = Measurement("accuracy_kept", float("nan"), (float("nan"), float("nan")))
    for each in (report, report.adding(nothing)):
        each.save(tmp_path / "report.json")
        jsonschema.validate(json.loads((tmp_path / "report.json").read_text()), Report.schema())
