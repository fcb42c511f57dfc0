"""What one circuit does on one task, and the edges that two circuits share."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from torch import Tensor

from circuitsearch.files import STRICT, Number
from circuitsearch.validation.measurement import Interval


@dataclass(frozen=True)
class OnTask:
    """A circuit on a task.

    Attributes
    ----------
    circuit, task : str
        Their names; they are equal where it is the circuit's own task.
    faithfulness : Interval
        Ratio of means over prompts; NaN where the model does not do the task. It may exceed 1 and be below 0.
    per_prompt : Interval
        Mean over prompts of the faithfulness that is bounded by 0 and 1.
    n : int
        Number of prompts.
    n_seen : int, optional
        How many of these chose the circuit's edges; None if the circuit does not record its prompts.
    """

    __pydantic_config__ = STRICT

    circuit: str
    task: str
    faithfulness: Interval
    per_prompt: Interval
    n: int
    n_seen: int | None = None

    @property
    def own(self) -> bool:
        """Whether the task is the circuit's own."""
        return self.circuit == self.task

    def __str__(self) -> str:
        return f"{self.faithfulness}, per prompt {self.per_prompt.value:.3f}"


@dataclass(frozen=True)
class Overlap:
    """The edges that two circuits share.

    Attributes
    ----------
    circuit, other : str
        Their names.
    shared : int
        Number of edges in both.
    jaccard : float
        Share of the edges of either that are in both; NaN if both are empty.
    contained : float
        Share of the smaller circuit's edges that are in the other one; NaN if it is empty.
    """

    __pydantic_config__ = STRICT

    circuit: str
    other: str
    shared: int
    jaccard: Number
    contained: Number

    @classmethod
    def of(cls, circuit: str, mask: Tensor, other: str, other_mask: Tensor) -> Overlap:
        """Of two named circuits, boolean (U, V)."""
        shared, either = int((mask & other_mask).sum()), int((mask | other_mask).sum())
        smaller = min(int(mask.sum()), int(other_mask.sum()))
        return cls(circuit, other, shared, _share(shared, either), _share(shared, smaller))

    def __str__(self) -> str:
        return f"{self.jaccard:.2f}, {self.contained:.2f} ({self.shared})"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan
