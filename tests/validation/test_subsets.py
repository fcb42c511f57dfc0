"""The check of all subsets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch.circuit import Certificate
from circuitsearch.errors import InputError
from circuitsearch.models.planted import Planted, plant
from circuitsearch.registry import CHECKS
from circuitsearch.validation import Report, Trial
from circuitsearch.validation.checks import Minimality, Subsets
from tests.setups import made_up_report


@pytest.fixture(scope="module")
def planted() -> Planted:
    """A circuit of which some edges cancel."""
    return plant("negative", seed=0, n=16)


def trial_of(planted: Planted, edges: Any, certificate: Certificate | None) -> Trial:
    """A set of edges on half of the prompts, found on the other half."""
    train, held_out = planted.task.split(0.5)
    selection = cs.Experiment(planted.model, train)
    circuit = replace(cs.Circuit.from_edges(selection.graph, edges), certificate=certificate)
    return Trial(selection.on(held_out), circuit, selection, n_resamples=50)


NOT_TRIED = Certificate(0.95, 1.0, {})


def test_a_smaller_subset_is_reported_with_a_caution(planted: Planted):
    """With its edges, in a report that survives JSON."""
    found = Subsets().measure(trial_of(planted, planted.edges, NOT_TRIED))
    (row,) = found.table
    smaller = min(planted.sufficient, key=len)
    assert found.value == len(smaller) == row["lower_bound"] and row["complete"] and row["kind"] == ""
    assert set(row["edges"]) == {f"{writer}->{reader}" for writer, reader in smaller}  # pyright: ignore[reportArgumentType]
    assert found.cautions == (
        f"{len(smaller)} of its {len(planted.edges)} edges reach its target of 0.950 without the others",
    )
    assert found.lines[1][0] == "smaller subset" and "->" in found.lines[1][1]
    report = made_up_report().adding(found)
    assert Report.from_dict(report.to_dict())["subsets"] == report["subsets"]


def test_a_circuit_without_smaller_subset_is_subset_minimal(planted: Planted):
    """Without a caution."""
    found = Subsets().measure(trial_of(planted, min(planted.sufficient, key=len), NOT_TRIED))
    assert found.table[0]["kind"] == "subset-minimal" and found.cautions == () and len(found.lines) == 1
    assert found.lines[0][1].startswith("subset-minimal: all ")


def test_few_runs_give_a_lower_bound(planted: Planted):
    """The circuit itself is then the smallest one that is known."""
    found = Subsets(runs=1).measure(trial_of(planted, planted.edges, NOT_TRIED))
    (row,) = found.table
    assert found.value == len(planted.edges) and not row["complete"] and row["runs"] == 1
    assert "lower bound" in found.lines[0][1]


def test_prompts_of_the_search_are_taken_if_they_are_known(planted: Planted):
    """And else those of the trial."""
    trial = trial_of(planted, planted.edges, NOT_TRIED)
    assert trial.selection is not None
    held_out = Trial(trial.experiment, trial.circuit, None, n_resamples=50)
    for each, prompts in ((trial, trial.selection), (held_out, trial.experiment)):
        direct = cs.smallest_subset(prompts, prompts.task, each.circuit)
        assert Subsets().measure(each).table[0]["faithfulness"] == direct.smallest_faithfulness


@pytest.mark.parametrize(
    ("check", "certificate", "sentence"),
    [(Subsets(), None, "not found for a target"), (Subsets(most=3), NOT_TRIED, r"takes 1 to 3")],
)
def test_what_is_not_run_is_said(planted: Planted, check: Subsets, certificate: Certificate | None, sentence: str):
    """A circuit of many edges, or of no target."""
    found = check.measure(trial_of(planted, planted.edges, certificate))
    assert found.value is None and found.table == () and sentence in found.lines[0][1]


@pytest.mark.parametrize("knobs", [{"most": 0}, {"most": 25}, {"runs": 0}])
def test_wrong_knobs_are_refused(knobs: dict[str, int]):
    """In one sentence."""
    with pytest.raises(InputError, match="circuits of 1 to 24 edges"):
        Subsets(**knobs)


def test_the_check_has_a_name(planted: Planted):
    """With knobs; the usual check names what the certificate shows."""
    assert CHECKS.read("Subsets(most=12, runs=100)") == Subsets(12, 100) and CHECKS.load("subsets") is Subsets
    needed = Certificate(0.95, 1.0, {f"{writer}->{reader}": 0.5 for writer, reader in planted.edges})
    assert Minimality().measure(trial_of(planted, planted.edges, needed)).lines[0][1].startswith("local-minimal: ")
