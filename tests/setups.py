"""A made-up setup for results that no model gave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from circuitsearch.ablation import Resample
from circuitsearch.granularity import WHOLE
from circuitsearch.methods import EAP
from circuitsearch.setup import Setup, Spec


def made_up(task: str = "ioi", n: int = 8, **others: Any) -> Setup:
    """Scores of ``n`` prompts of a task by EAP."""
    content: dict[str, Any] = {
        "weights": "w",
        "config": "c",
        "dtype": "float32",
        "task": task,
        "n": n,
        "prompts_sha256": "p",
        "prompts": tuple(f"{task}{row}" for row in range(n)),
        "metric": "logit_diff",
        "metric_sha256": "m",
        "ablation": Spec.of(Resample()),
        "granularity": Spec.of(WHOLE),
        "method": Spec.of(EAP()),
    }
    return Setup(**content | others)


def with_setup(result: Any, **others: Any) -> Any:
    """The same result with a setup in which something is different."""
    return replace(result, setup=result.setup.model_copy(update=others))
