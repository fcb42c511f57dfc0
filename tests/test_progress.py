"""Progress never goes back and never passes 100%, whatever is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch import instruments
from circuitsearch.finding import Listener
from circuitsearch.models.planted import plant
from circuitsearch.progress import part
from circuitsearch.registry import METHODS
from circuitsearch.scores import Scores
from circuitsearch.search import Refine

Report = Callable[[int, int], None]
Work = Callable[[Any, Any, Scores, Report], object]


class Seen:
    """The shares of the work that were reported, one after another."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, done: int, total: int) -> None:
        """Check each as it comes."""
        share = done / total
        assert 0 <= share <= 1, f"{done} of {total}"
        assert not self.shares or share >= self.shares[-1], f"{share:.0%} after {self.shares[-1]:.0%}"
        self.shares.append(share)


def test_parts_of_work():
    """Each begins where the one before it ended."""
    seen = Seen()
    for number in range(3):
        for done in range(5):
            part(seen, number, 3)(done, 4)
    assert seen.shares[0] == 0 and seen.shares[-1] == 1 and len(seen.shares) == 15


@pytest.fixture(scope="module")
def planted() -> tuple[Any, Any, Scores]:
    """A small model, prompts of it and scores."""
    found = plant("induction", 1, n=12)
    return found.model, found.task, cs.score(found.model, found.task, "eap")


SLOW = {"matryoshka": "(steps=3)", "edge-pruning": "(steps=3)"}
CASES: dict[str, Work] = {
    **{
        name: lambda model, task, scores, seen, name=name: cs.score(
            model, task, name + SLOW.get(name, ""), progress=seen
        )
        for name in METHODS.names()
        if name not in ("ensemble", "recheck")
    },
    "recheck": lambda model, task, scores, seen: cs.score(model, task, "Recheck(k=6)", progress=seen),
    "ensemble": lambda model, task, scores, seen: cs.score(
        model, task, cs.Ensemble((cs.EAP(), cs.EAPIG(steps=2))), progress=seen
    ),
    "minimal": lambda model, task, scores, seen: cs.minimal(
        model, task, scores, 0.9, starts=[cs.score(model, task, "eap-ig")], progress=seen
    ),
    "node_minimal": lambda model, task, scores, seen: cs.node_minimal(model, task, scores, 0.9, progress=seen),
    "refine": lambda model, task, scores, seen: cs.refine(
        model, task, scores, task, 0.9, starts=[cs.score(model, task, "eap-ig")], how=Refine(passes=1), progress=seen
    ),
    "validate": lambda model, task, scores, seen: cs.validate(model, cs.top(scores, 12), task, progress=seen),
    "patch": lambda model, task, scores, seen: instruments.activation_patching(model, task, progress=seen),
}


@pytest.mark.parametrize("name", CASES)
def test_it_never_goes_back(planted: tuple[Any, Any, Scores], name: str, monkeypatch: pytest.MonkeyPatch):
    """Of every method, search, check and instrument that reports it; instruments run in several batches."""
    seen = Seen()
    monkeypatch.setattr("circuitsearch.instruments.subject.Subject.prompts_at_once", lambda *of: 5)
    CASES[name](*planted, seen)
    assert seen.shares


class Recorder(Listener):
    """The progress of each stage of a run."""

    def __init__(self) -> None:
        self.stages: dict[str, Seen] = {}

    def started(self, stage: str) -> None:
        self.stages[stage] = Seen()

    def progressed(self, stage: str, done: int, total: int) -> None:
        self.stages[stage](done, total)


def test_the_stages_of_a_run():
    """Of find with every option that searches again."""
    found, recorder = plant("induction", 1, n=12), Recorder()
    options: dict[str, Any] = {"starts": ["eap"], "complete": True, "recheck": 3, "refine": Refine(passes=1)}
    cs.find(found.model, found.task, 0.9, listeners=[recorder], **options)
    assert list(recorder.stages) == ["behaviour", "scores", "minimal", "circuit", "report"]
    assert recorder.stages["scores"].shares[-1] == 1 and recorder.stages["report"].shares[-1] == 1
