"""Long instruments that were interrupted go on from what they have measured, to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from circuitsearch import saved_state
from circuitsearch.errors import InputError
from circuitsearch.instruments import activation_patching, causal_trace
from circuitsearch.instruments.patching import HeadOut
from circuitsearch.instruments.subject import Subject
from tests.conftest import random_task

TASK = random_task(n=4)
NAMED = replace(TASK, spans=({"subject": (2, 3)},) * 4)


def patched(model: Any, **more: Any) -> Any:
    return activation_patching(model, TASK, **more)


def patched_heads(model: Any, **more: Any) -> Any:
    return activation_patching(model, TASK, HeadOut(), noising=True, **more)


def traced(model: Any, **more: Any) -> Any:
    return causal_trace(model, NAMED, "subject", seeds=2, **more)


@pytest.fixture(autouse=True)
def _kept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is kept; and batches have two prompts."""
    monkeypatch.setattr(saved_state, "SECONDS", 0)
    monkeypatch.setattr(Subject, "prompts_at_once", lambda *_: 2)
    monkeypatch.setattr(Subject, "copies_at_once", lambda *_: 1)


@pytest.mark.parametrize("instrument", [patched, patched_heads, traced])
def test_interrupted_maps_are_the_same(
    gpt2, instrument: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And what is finished is not run again, but for what each batch begins with."""
    runs: list[int] = []
    own = instrument.__globals__[("causal_trace" if instrument is traced else "activation_patching")].__globals__
    run = own["run_tapped"]
    monkeypatch.setitem(own, "run_tapped", lambda *given: (runs.append(1), run(*given))[1])
    whole, in_all = instrument(gpt2), len(runs)

    def stop(done: int, total: int) -> None:
        if done > 0.6 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        instrument(gpt2, checkpoint=tmp_path / "new" / "s", progress=stop)
    runs.clear()
    again = instrument(gpt2, checkpoint=tmp_path / "new" / "s")
    assert len(runs) < 0.6 * in_all
    assert torch.equal(again.effects, whole.effects)


def test_a_file_of_other_settings_is_refused(gpt2, tmp_path: Path):
    """Of another site, and of other prompts."""
    patched(gpt2, checkpoint=tmp_path / "s")
    for instrument in (
        patched_heads,
        lambda model, **more: activation_patching(model, random_task(n=4, seed=1), **more),
    ):
        with pytest.raises(InputError, match="other settings"):
            instrument(gpt2, checkpoint=tmp_path / "s")
