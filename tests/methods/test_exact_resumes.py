"""A run of Exact that is killed goes on where it was, to the same bytes."""

from __future__ import annotations

import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from circuitsearch.errors import InputError
from circuitsearch.experiment import score
from circuitsearch.methods import EAP, Exact
from tests.conftest import mixed_task, random_task, tiny_model
from tests.forks import forked


def run(journal: Path, scores: Path) -> BaseProcess:
    """Exact scores of a tiny model in a process of its own."""

    def work() -> None:
        score(tiny_model("gpt2"), mixed_task(), Exact(), journal=journal).save(scores)

    return forked(work)


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_killed_twice_it_ends_in_the_same_bytes(tmp_path, monkeypatch):
    """SIGKILL at two random moments of the measuring, then a run to the end."""
    monkeypatch.setattr("circuitsearch.methods.exact.EDGES_AT_ONCE", 8)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ended(run(whole, tmp_path / "whole.safetensors"))
    moments = sorted(np.random.default_rng().integers(1, lines(whole) - 1, 2))
    for moment in moments:
        process = run(broken, tmp_path / "broken.safetensors")
        while lines(broken) <= moment and process.is_alive():
            time.sleep(0.001)
        process.kill()
        process.join()
        assert not (tmp_path / "broken.safetensors").exists()
    ended(run(broken, tmp_path / "broken.safetensors"))
    assert broken.read_bytes() == whole.read_bytes()
    assert (tmp_path / "broken.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def ended(process: BaseProcess) -> None:
    process.join()
    assert process.exitcode == 0


def test_nothing_is_measured_twice(gpt2, tmp_path, monkeypatch):
    """With a whole journal at hand no edge is run, and the scores are the same."""
    task = mixed_task()
    first = score(gpt2, task, Exact(), journal=tmp_path / "j")
    monkeypatch.setattr("circuitsearch.methods.exact.measure", None)
    again = score(gpt2, task, Exact(), journal=tmp_path / "j")
    assert (again.values == first.values).all()


def test_a_journal_of_another_run_is_refused(gpt2, tmp_path):
    """Other prompts, another method: neither goes on from it."""
    score(gpt2, random_task(), Exact(edges=(("embed", "logits"),)), journal=tmp_path / "j")
    for task, method in ((random_task(seed=1), Exact(edges=(("embed", "logits"),))), (random_task(), EAP())):
        with pytest.raises(InputError, match="measurements of other settings"):
            score(gpt2, task, method, journal=tmp_path / "j")


def test_progress_is_told_within_a_batch(gpt2, monkeypatch):
    """A bar moves while the edges of one batch are measured, and ends at the end."""
    monkeypatch.setattr("circuitsearch.methods.exact.EDGES_AT_ONCE", 8)
    seen: list[tuple[int, int]] = []
    score(gpt2, random_task(n=2), Exact(), progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 10 and seen == sorted(seen) and seen[-1] == (200, 200)
