"""Prompts of several lengths in one pass: no instrument sees their padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

import circuitsearch as cs
from tests.conftest import mixed_task

LOOK = cs.instruments
SPANS = [{"subject": (2, 3), "END": (length - 1,)} for length in (7, 7, 7, 9, 9, 9, 9, 9, 9)]
READ: dict[str, Callable[[Any, cs.Task], Tensor]] = {
    "patching": lambda model, task: LOOK.activation_patching(model, task, spans=["subject", "END"]).per_prompt,
    "patching of patterns": lambda model, task: LOOK.activation_patching(model, task, LOOK.Pattern()).per_prompt,
    "tracing": lambda model, task: LOOK.causal_trace(model, task, "subject", seeds=2).effects,
    "lens": lambda model, task: LOOK.logit_lens(model, task, spans=["subject", "END"]).kl,
    "decomposition": lambda model, task: LOOK.decompose(model, task, spans=["subject", "END"]).shares,
    "direct logit": lambda model, task: LOOK.direct_logit(model, task).per_prompt,
}


@pytest.mark.parametrize("name", READ)
def test_padding_is_in_no_column(name: str, gpt2):
    """A padded batch gives what batches of one length give."""
    task = replace(mixed_task(), spans=tuple(SPANS))
    padded, buckets = cs.Experiment(gpt2, task), cs.Experiment(gpt2, task)
    assert padded.described.causal
    vars(buckets)["described"] = replace(buckets.described, causal=False)
    assert (READ[name](padded, task) - READ[name](buckets, task)).nan_to_num().abs().max() < 1e-10
