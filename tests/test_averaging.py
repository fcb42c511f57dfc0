"""Scores of work that was interrupted go on from the sum over the prompts so far, to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from circuitsearch import saved_state
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.journal import journal_files
from circuitsearch.methods import EAP, EAPIG, EdgePruning, Ensemble, Matryoshka, Recheck
from tests.conftest import mixed_task
from tests.shared_work import Stopped, stop_at

MEMORY = 1  # of one chunk, which is then one prompt


@pytest.fixture
def experiment(gpt2) -> Experiment:
    return Experiment(gpt2, mixed_task(), memory=MEMORY)


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_state, "SECONDS", 0)


METHODS = [
    EAP(), EAPIG(steps=2), Recheck(k=3, first=EAP()), Matryoshka(steps=6, prompts=4), EdgePruning(steps=6, prompts=4),
    EdgePruning(steps=4, prompts=4, start=EAP()), Ensemble((EAP(), Matryoshka(steps=4))),
]  # fmt: skip


@pytest.mark.parametrize("share", [0.4, 0.8])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_interrupted_scores_are_the_same(experiment: Experiment, method, share: float, tmp_path: Path):
    """Whichever state was kept last."""
    whole = experiment.score(method).values
    with pytest.raises(Stopped):
        experiment.score(method, journal=tmp_path / "j", progress=stop_at(share))
    assert journal_files(tmp_path / "j")
    told: list[float] = []
    again = experiment.score(
        method, journal=tmp_path / "j", progress=lambda done, total: told.append(done / total)
    ).values
    assert torch.equal(again, whole) and told == sorted(told)


@pytest.mark.parametrize("method", [EAP(), Matryoshka(steps=4)], ids=str)
def test_what_is_finished_is_not_done_again(experiment: Experiment, method, tmp_path: Path, monkeypatch):
    """A finished score is read from its state, but for the clean and ablated runs."""
    whole = experiment.score(method, journal=tmp_path / "j").values
    monkeypatch.setattr("circuitsearch.methods.eap.EAP.effects", None)
    monkeypatch.setattr("circuitsearch.methods.objective.Objective.__call__", None)
    assert torch.equal(experiment.score(method, journal=tmp_path / "j").values, whole)


def test_other_batches_go_on(experiment: Experiment, gpt2, tmp_path: Path):
    """From the same sum, to the same scores but for their last digits: less memory, or more, may be left after a kill."""
    whole = experiment.score(EAP()).values
    with pytest.raises(Stopped):
        experiment.score(EAP(), journal=tmp_path / "j", progress=stop_at(0.6))
    joint = Experiment(gpt2, mixed_task()).score(EAP(), journal=tmp_path / "j").values
    assert (joint - whole).abs().max() < 1e-12 * whole.abs().max()


def test_a_state_of_other_prompts_is_refused(gpt2, tmp_path: Path):
    """In one sentence."""
    Experiment(gpt2, mixed_task(), memory=MEMORY).score(EAP(), journal=tmp_path / "j")
    with pytest.raises(InputError, match="other settings"):
        Experiment(gpt2, mixed_task(1), memory=MEMORY).score(EAP(), journal=tmp_path / "j")
