"""Searches from several rankings, on a tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.history import History, Measured
from circuitsearch.search.starts import best_of
from tests.conftest import random_task
from tests.search.test_search import doable_task

HOW = cs.Refine(passes=2, prompts=4)


@pytest.fixture(scope="module")
def setting(gpt2: Any) -> tuple[cs.Experiment, cs.Task, cs.Scores, cs.Scores]:
    """Selection, stopping prompts and two rankings."""
    selection, stopping = doable_task(gpt2, random_task(n=12)).split(0.5, seed=0)
    experiment = cs.Experiment(gpt2, selection)
    return experiment, stopping, experiment.score("eap"), experiment.score("eap-ig")


def refined(setting: Any, scores: cs.Scores, *starts: cs.Scores, **options: Any) -> cs.Circuit:
    experiment, stopping, *_ = setting
    return cs.refine(experiment, experiment.task, scores, stopping, 0.6, starts=starts, how=HOW, **options)


def history_of(circuit: cs.Circuit) -> History:
    assert circuit.history is not None
    return circuit.history


def test_the_smallest_circuit_of_all_is_kept(setting: Any):
    """With the passes and the cost of all searches, and the scores of the first ranking."""
    first, second = (refined(setting, scores) for scores in setting[2:])
    circuit = refined(setting, *setting[2:])
    assert circuit.edges == min(first, second, key=len).edges
    assert circuit.method == "EAP()" and circuit.scores is not None and circuit.effects is not None
    one, other, both = map(history_of, (first, second, circuit))
    assert [each.n_edges for each in both.passes] == [each.n_edges for each in (*one.passes, *other.passes)]
    assert [each.number for each in both.passes] == [*range(1, len(both.passes) + 1)]
    costs = [each.forwards for each in both.passes]
    assert costs == sorted(costs) and both.forwards == pytest.approx(one.forwards + other.forwards)


def test_a_later_search_that_was_stopped_goes_on(setting: Any, tmp_path: Path):
    """To the same circuit; the searches before are not done again, and no files are left."""
    whole, file = refined(setting, *setting[2:]), tmp_path / "search.checkpoint"
    seen: list[int] = []

    def stop(circuit: cs.Circuit) -> None:
        seen.append(history_of(circuit).passes[-1].number)
        if seen[-1] == HOW.passes + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refined(setting, *setting[2:], checkpoint=file, passed=stop)
    assert {each.name for each in tmp_path.iterdir()} == {"search.checkpoint", "search.checkpoint.2"}
    seen.clear()
    again = refined(setting, *setting[2:], checkpoint=file, passed=stop)
    assert again.edges == whole.edges and again.history == whole.history
    assert seen == [HOW.passes + 2] and not list(tmp_path.iterdir())


def test_time_over_in_a_later_search_is_not_the_end(setting: Any, tmp_path: Path):
    """The circuit of the first search is returned, marked as not complete."""
    file = tmp_path / "search.checkpoint"

    def stop(circuit: cs.Circuit) -> None:
        if len(history_of(circuit).passes) == HOW.passes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refined(setting, *setting[2:], checkpoint=file, passed=stop)
    early = refined(setting, *setting[2:], checkpoint=file, minutes=0.0)
    assert not history_of(early).complete and history_of(early).ended == "the time was over" and file.exists()
    assert early.edges == refined(setting, setting[2]).edges


def test_a_ranking_of_other_nodes_is_refused(setting: Any):
    """It says what differs."""
    experiment, _, scores, _ = setting
    other = cs.Experiment(experiment.model, experiment.task, granularity=cs.Granularity(merged_heads=True)).score("eap")
    with pytest.raises(InputError, match="granularity"):
        refined(setting, scores, other)


def test_a_circuit_at_the_target_comes_before_smaller_ones(setting: Any):
    """Of those that missed it the nearest to the model comes first."""
    scores = setting[2]
    small, middle, large = (cs.top(scores, n) for n in (5, 20, 60))

    def found(circuit: cs.Circuit, value: float, note: str = "") -> cs.Circuit:
        measured = Measured(value, 0.01)
        return replace(circuit, history=History(0.9, measured, 8, 8, 1.0, (), "12 passes were done", True, note))

    missed, nearer, reached = found(small, 0.5, "missed"), found(middle, 0.8, "missed"), found(large, 0.93)
    assert best_of([missed, nearer, reached]).edges == large.edges
    assert best_of([missed, nearer]).edges == middle.edges
    assert best_of([missed]) is missed
