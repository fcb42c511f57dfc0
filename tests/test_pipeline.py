"""The whole way from Python: one call, listeners that are told of it, and a folder that gives it back."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.files import plain
from circuitsearch.models.planted import Design, plant
from circuitsearch.pipeline import planned, scored_on
from circuitsearch.tasks.defined import FOLDER
from tests.conftest import random_task
from tests.search.test_search import doable_task

STAGES = ["behaviour", "scores", "circuit", "report"]


class Diary(cs.Listener):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    @contextmanager
    def running(self, plan):
        self.lines.append("running")
        try:
            yield
        finally:
            self.lines.append("stopped")

    def started(self, stage):
        self.lines.append(stage)

    def finished(self, stage, result, seconds):
        self.lines.append((type(result).__name__, seconds is None))

    def ended(self, plan, finding):
        self.lines.append("ended")


@pytest.fixture
def task(gpt2) -> cs.Task:
    """Prompts that the model does, each of a group of its own."""
    return doable_task(gpt2, random_task(n=12))


def test_it_is_the_steps_one_after_another(gpt2, task):
    """The same numbers as from the verbs, the search and the evidence on different prompts."""
    finding = cs.find(gpt2, task, 0.6, method="eap", recheck=0, ablation="mean", seed=1)
    selection, stopping, held_out = task.parts((0.5, 0.25, 0.25), seed=1)
    scores = cs.score(gpt2, selection, cs.EAP(), ablation=cs.Mean(), seed=1)
    circuit = cs.refine(gpt2, selection, scores, stopping, 0.6, seed=1)
    assert finding.circuit.edges == circuit.edges
    assert plain(finding.report.to_dict()) == plain(cs.validate(gpt2, circuit, held_out, seed=1).to_dict())
    whole = cs.behaviour(gpt2, task, ablation=cs.Mean(), seed=1)
    assert finding.behaviour.setup is not None and whole.setup is not None
    assert finding.behaviour == whole and finding.report.n_seen == 0


def test_a_circuit_is_completed_if_that_is_asked_for(tmp_path):
    """The folder has the minimal one too; a second call reads both back and tells the same."""
    planted = plant("or", seed=3, n=24, design=Design(layers=3, heads=3))
    task = planted.prompts(24, 3)  # given ones: searches that write others take longer
    diary = Diary()
    finding = cs.find(planted.model, task, complete=True, out=tmp_path / "run", listeners=[diary])
    assert [line for line in diary.lines if isinstance(line, str)][1:-2] == [
        "behaviour",
        "scores",
        "minimal",
        "circuit",
        "report",
    ]
    assert set(finding.circuit.edges) == set(planted.edges)
    minimal = cs.Circuit.load(tmp_path / "run" / "minimal.json")
    assert set(minimal.edges) in planted.sufficient and minimal.certificate is not None
    assert finding.report["redundancy"].value == 2 and "OR at m" in str(finding.report)
    again = Diary()
    recalled = cs.find(planted.model, task, complete=True, out=tmp_path / "run", listeners=[again])
    assert recalled.circuit.redundancy == finding.circuit.redundancy and ("Circuit", True) in again.lines
    with pytest.raises(InputError, match=r"completed Complete\(.*, not none"):
        cs.find(planted.model, task, out=tmp_path / "run", listeners=[])


def test_a_circuit_whose_search_goes_on_is_not_completed_yet():
    """The time was over; the same call goes on with the search."""
    planted = plant("or", seed=3, n=24, design=Design(layers=3, heads=3))
    finding = cs.find(planted.model, planted.prompts(24, 3), complete=True, minutes=0, listeners=[])
    assert finding.circuit.history is not None and not finding.circuit.history.complete
    assert finding.circuit.redundancy is None


def test_edges_are_scored_on_some_prompts_of_every_group(gpt2):
    """Groups may stand together in a file: the first prompts would all be of one."""
    rows = [row for row in range(30) for _ in range(4)]
    task = replace(random_task(n=30).subset(rows), groups=tuple(row // 10 for row in rows))
    some = scored_on(cs.Experiment(gpt2, task)).task
    assert len(some) == 48 and set(some.groups) == set(task.groups)
    few = cs.Experiment(gpt2, task.subset(range(7)))
    assert scored_on(few).task.prompt_digests() == few.task.prompt_digests()


def test_listeners_are_told_of_every_stage(gpt2, task, tmp_path):
    """In order; where a folder recalls a stage, that is said."""
    for known in (False, True):
        diary = Diary()
        cs.find(gpt2, task, 0.6, method="eap", recheck=0, out=tmp_path / "run", listeners=[diary])
        results = ["Behaviour", "Scores", "Circuit", "Report"]
        told = [line for stage, name in zip(STAGES, results, strict=True) for line in (stage, (name, known))]
        assert diary.lines == ["running", *told, "ended", "stopped"]


def test_listeners_are_told_when_a_run_fails(gpt2, task, monkeypatch):
    """What they opened they can close."""
    monkeypatch.setattr("circuitsearch.search.refine", lambda *a, **k: 1 / 0)
    diary = Diary()
    with pytest.raises(ZeroDivisionError):
        cs.find(gpt2, task, 0.6, method="eap", recheck=0, listeners=[diary])
    assert diary.lines[-2:] == ["circuit", "stopped"]


def test_nothing_is_kept_for_the_figures(gpt2, task):
    """Activations of the search and the report are let go before the page is measured, which has a working memory of its own."""

    class Look(cs.Listener):
        def ended(self, plan: Any, finding: cs.Finding) -> None:
            parts = (plan.whole, plan.selection, plan.stopping, plan.held_out)
            self.kept = [
                part.evaluator for part in parts if {"_kept_pairs", "_cached_contexts"} & set(vars(part.evaluator))
            ]

    look = Look()
    cs.find(gpt2, task, 0.6, method="eap", recheck=0, listeners=[look])
    assert look.kept == []


def test_a_folder_gives_the_finding_back(gpt2, task, tmp_path):
    """Number for number, and the whole folder is there."""
    finding = cs.find(gpt2, task, 0.6, method="eap", recheck=0, out=tmp_path / "run")
    again = cs.open_run(tmp_path / "run")
    assert plain(again.report.to_dict()) == plain(finding.report.to_dict())
    assert (again.behaviour, again.folder) == (finding.behaviour, finding.folder)
    assert again.circuit.edges == finding.circuit.edges and repr(again) == repr(finding)
    assert (again.circuit.scores == finding.circuit.scores).all()
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert {"circuit.svg", "circuit.html", "report.md", "manifest.json"} <= files


@pytest.mark.rounded
def test_names_are_enough():
    """A bundled model and a task of the package, by their names."""
    model, tokenizer = cs.load("pico")
    named = planned("pico", "induction", 0.9, "eap-ig", 0, None, {"seed": 1})
    given = planned(model, cs.tasks.induction(tokenizer, n=256, seed=1), 0.9, cs.EAPIG(), 0, tokenizer, {"seed": 1})
    assert named.setup == given.setup and named.held_out.setup == given.held_out.setup
    with pytest.raises(InputError, match="needs the model's tokenizer"):
        cs.find(model, "induction")


@pytest.mark.rounded
def test_a_file_is_a_task(tmp_path):
    """Of templates, or of rows; what is neither is refused by name."""
    model, tokenizer = cs.load("pico")
    rows = [{"clean_ids": [5, 6, word], "corrupt_ids": [5, 7, word], "answer_id": 1, "wrong_id": 2} for word in (8, 9)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shutil.copy(FOLDER / "ioi.toml", tmp_path / "mine.toml")
    written = planned(model, tmp_path / "mine.toml", 0.9, "eap-ig", 0, tokenizer, {"seed": 1}).whole.task
    assert written.digest() == cs.tasks.ioi(tokenizer, n=256, seed=1).digest()
    assert len(planned(model, str(tmp_path / "rows.jsonl"), 0.9, "eap-ig", 0, None, {}).whole.task) == 2
    with pytest.raises(InputError, match=r"needs the model's tokenizer"):
        cs.find(model, tmp_path / "mine.toml")
    with pytest.raises(InputError, match=r"absent\.csv does not exist"):
        cs.find(model, tmp_path / "absent.csv", tokenizer=tokenizer)


def test_one_group_of_prompts_gives_a_circuit_without_held_out_evidence(gpt2, task):
    """And the report says so; one prompt has no interval."""
    for alike in (task.subset([0, 0]), replace(task.subset([0, 0]), groups=(0, 1))):  # copies stay together
        assert cs.find(gpt2, alike, 0.6, method="eap", recheck=0).report.n_copies == 1
    alike = task.subset([0])
    finding = cs.find(gpt2, alike, 0.6, method="eap", recheck=0)
    assert len(finding.circuit) > 0 and finding.report.n_seen == finding.report.n == 1
    assert "1 prompt of the search" in str(finding.report) and "no interval" in str(finding.report)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"faithfulness": 1.5}, "must be a number in (0, 1], not 1.5"),
        ({"faithfulness": "high"}, "must be a number in (0, 1], not 'high'"),
        ({"method": "eapp"}, "unknown method 'eapp'"),
        ({"recheck": -1}, "k must be at least 1, not -1"),
        ({"recheck": 1.5}, "k must be an integer, not 1.5"),
        ({"faithfulness_of": "mean"}, "unknown faithfulness 'mean'"),
        ({"ablation": "men"}, "unknown ablation 'men'"),
        ({"task": 3}, "the task must be a Task, not 3"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    gpt2, task, tmp_path, arguments: dict[str, Any], sentence: str
):
    """In one sentence."""
    with pytest.raises(InputError) as caught:
        cs.find(**{"model": gpt2, "task": task, "out": tmp_path / "run", **arguments})
    assert sentence in str(caught.value) and not (tmp_path / "run").exists()
