"""The smallest planted model: induction in two blocks of two heads, the same for all seeds."""

from __future__ import annotations

from typing import Any

import torch

from circuitsearch.models.planted.design import Design
from circuitsearch.models.planted.induction import INDUCTION
from circuitsearch.models.planted.layout import Layout
from circuitsearch.models.planted.plant import model_of
from circuitsearch.models.planted.prompts import write_prompts
from circuitsearch.models.planted.stream import SIZE
from circuitsearch.task import Task

VOCABULARY = POSITIONS = SIZE

_LAYOUT = Layout({"previous": (0, 0), "induction": (1, 1)})

INDUCTION_EDGES = tuple(_LAYOUT.named(edge) for edge in INDUCTION.edges)
"""The circuit of the induction model if the first token of the pair is corrupted."""


def induction_model(dtype: torch.dtype = torch.float64) -> Any:
    """Build a GPT-2 of two blocks of two heads that continues A B ... A with B: see :data:`INDUCTION`.

    Its attention is soft, so that gradients at the clean prompts find the circuit.
    """
    return model_of(INDUCTION, _LAYOUT, Design(layers=2, heads=2, sharpness=6.0, constant=2.0, dtype=dtype))


def induction_task(n: int = 24, seed: int = 0) -> Task:
    """Prompts ... A B ... A of different random tokens, to be continued with B; in corrupt ones another token replaces the first A."""
    return write_prompts(INDUCTION, _LAYOUT, n, seed)
