"""Which circuit is returned is decided on two kinds of prompts."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.faithfulness import Faithfulness, ratio_of_means
from circuitsearch.history import Judged, Measured
from circuitsearch.search.judging import Judges

pytestmark = pytest.mark.rounded


@pytest.fixture(scope="module")
def pico() -> tuple[cs.Experiment, Faithfulness, torch.Tensor]:
    """The selection, the stopping prompts, and two circuits."""
    model, tokenizer = cs.load("pico")
    selection, stopping, _ = cs.tasks.induction(tokenizer, n=32, seed=0).parts((0.5, 0.25, 0.25), seed=0)
    experiment = cs.Experiment(model, selection)
    scores = experiment.score("relp")
    return experiment, Faithfulness(experiment.on(stopping)), torch.stack([cs.top(scores, n).mask for n in (20, 200)])


def test_both_kinds_of_prompts_count_by_their_number(pico: Any):
    """Each as a plain run measures it; together their mean, with the error of a mean of two."""
    experiment, stopping, masks = pico
    judges = Judges(experiment, stopping)
    judged = judges(masks)[1]
    assert judges.new is not None
    for found, kind in ((judged.stopping, stopping), (judged.selection, judges.new)):
        plain = float(ratio_of_means(kind.metrics(masks)[0][1], kind.clean, kind.ablated))
        assert abs(found.value - plain) < 1e-4
    n, m = len(judges.new.clean), len(stopping.clean)
    assert judges.n_prompts == n + m
    assert abs(judged.together.value - (n * judged.selection.value + m * judged.stopping.value) / (n + m)) < 1e-9
    expected = (((n * judged.selection.error) ** 2 + (m * judged.stopping.error) ** 2) ** 0.5) / (n + m)
    assert abs(judged.together.error - expected) < 1e-9


def test_the_new_prompts_are_of_the_selections_words(pico: Any):
    """Not of those of the stopping prompts, and none of the search's own."""
    experiment, stopping, _ = pico
    judging = Judges(experiment, stopping).new
    assert judging is not None
    new = judging.experiment.task
    ours = {word for each in experiment.task.factors for word in each["words"]}
    assert not set(new.prompt_digests()) & set(experiment.task.prompt_digests())
    assert {word for each in new.factors for word in each["words"]} & ours
    assert not {word for each in new.factors for word in each["words"]} & {
        word for each in stopping.experiment.task.factors for word in each["words"]
    }


def test_no_circuit_is_run_twice(pico: Any, monkeypatch: pytest.MonkeyPatch):
    """Of two circuits that are asked for, one of them again and twice, one is run, on each kind of prompts."""
    experiment, stopping, masks = pico
    judges, runs = Judges(experiment, stopping), []
    first = judges(masks[:1])
    run = judges._run
    monkeypatch.setattr(judges, "_run", lambda kind, some: runs.append(len(some)) or run(kind, some))
    assert judges(torch.cat([masks, masks[:1]]))[::2] == first * 2 and runs == [1, 1]


def test_circuits_that_are_known_are_not_run(pico: Any, monkeypatch: pytest.MonkeyPatch):
    """Those of the passes, at the end of a search."""
    experiment, stopping, masks = pico
    judges = Judges(experiment, stopping)
    first = judges(masks)
    again = judges.knowing(zip(masks, first, strict=True))
    monkeypatch.setattr(again, "_run", lambda kind, some: pytest.fail("a circuit was run again"))
    assert again(masks) == first and again.forwards == 0 < judges.forwards and again.new is judges.new


def test_what_is_known_of_the_stopping_prompts_is_taken(pico: Any):
    """They are not run again."""
    experiment, stopping, masks = pico
    (judged,) = Judges(experiment, stopping)(masks[:1], [Measured(0.5, 0.1)])
    assert (
        judged.stopping == Measured(0.5, 0.1)
        and judged.selection == Judges(experiment, stopping)(masks[:1])[0].selection
    )


def test_rows_of_a_file_are_judged_on_the_stopping_prompts_alone(pico: Any):
    """No others can be written."""
    experiment, stopping, masks = pico
    task = experiment.task
    given = experiment.on(cs.Task.from_ids(task.clean, task.corrupt, task.answers, task.wrong))
    (judged,) = Judges(given, stopping)(masks[:1])
    assert judged.selection == judged.stopping == judged.together


@pytest.mark.parametrize(
    ("selection", "stopping", "together", "accepted"),
    [
        (0.95, 0.95, 0.95, True),
        (0.86, 0.97, 0.91, True),
        (0.81, 1.03, 0.92, True),
        (0.79, 1.05, 0.92, False),
        (0.7, 1.05, 0.92, False),
        (0.86, 0.86, 0.86, False),
        (1.0, 1.3, 1.08, False),
        (0.95, 1.18, 1.03, True),
    ],
)
def test_a_circuit_must_reach_the_target_on_both_kinds(
    selection: float, stopping: float, together: float, accepted: bool
):
    """Within two standard errors on each, and on both together; on either side of 1."""
    kinds = (Measured(value, 0.05) for value in (selection, stopping, together))
    assert Judged(*kinds).reaches(0.9) is accepted


@pytest.mark.parametrize(
    ("together", "error", "accepted"),
    [
        (0.905, 0.004, True),
        (0.905, 0.006, False),
        (0.93, 0.2, False),
        (0.94, 0.2, True),
        (1.1, 0.2, True),
    ],
)
def test_a_circuit_is_accepted_a_standard_error_above_the_target(together: float, error: float, accepted: bool):
    """Or a third of the way to 1 where that is less; one that overshoots needs no margin."""
    measured = Measured(together, error)
    judged = Judged(measured, measured, measured)
    assert judged.reaches_with_margin(0.9) is accepted and judged.reaches(0.9)
