"""Ablations: what an ablated edge carries instead of its writer's clean value.

Each ablation is fitted once, on runs that the engine records for it, and then maps the activations of a batch's corrupt
run to ablated ones. The prompts of one batch may differ in length: their activations after it are padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs
from circuitsearch.task import Task

if TYPE_CHECKING:
    from torch import Tensor

    from circuitsearch.engine.trace import Activations

Recorder = Callable[["Task"], Iterator["Activations"]]
Fitted = Callable[["Activations", "Tensor"], "Activations"]  # of the corrupt run, and the prompts' lengths (B,)


class Ablation(Protocol):
    """What an ablated edge carries."""

    @property
    def shares_prefix(self) -> bool:
        """Whether the ablated value equals the clean one until the first token that differs."""
        ...

    def fit(self, record: Recorder, task: Task) -> Fitted:
        """Return the map from a batch's corrupt activations to its ablated ones.

        ``record(task)`` runs a task's corrupt prompts and yields their activations, those of one length together.
        """
        ...


@dataclass(frozen=True)
class Resample(Knobs):
    """The writer's value on the corrupt prompt (interchange; Geiger et al. 2106.02997, Wang et al. 2211.00593)."""

    @property
    def in_words(self) -> str:
        """What an ablated edge carries, for captions."""
        return "the counterfactual's value"

    @property
    def shares_prefix(self) -> bool:
        return True

    def fit(self, record: Recorder, task: Task) -> Fitted:
        return lambda corrupt, _: corrupt


@dataclass(frozen=True)
class Zero(Knobs):
    """Zero. It takes the model off its distribution, so the other ablations are usually preferable."""

    @property
    def in_words(self) -> str:
        """What an ablated edge carries, for captions."""
        return "zero"

    @property
    def shares_prefix(self) -> bool:
        return False

    def fit(self, record: Recorder, task: Task) -> Fitted:
        return lambda corrupt, _: corrupt.map(torch.zeros_like)


@dataclass(frozen=True)
class Mean(Knobs):
    """The writer's mean over the corrupt prompts of a reference task, position by position (Wang et al. 2211.00593).

    Parameters
    ----------
    reference : Task, optional
        The task whose corrupt prompts are averaged; by default the task itself.
    over_positions : bool
        Average over positions too, which gives one vector per writer.

    Notes
    -----
    Without ``over_positions``, prompts are averaged only with those of the same length.
    """

    reference: Task | None = None
    over_positions: bool = False

    @property
    def in_words(self) -> str:
        """What an ablated edge carries, for captions."""
        prompts = (
            "counterfactual prompts"
            if self.reference is None
            else f"the counterfactual prompts of {self.reference.name}"
        )
        return f"the mean over {prompts}{' and positions' if self.over_positions else ''}"

    @property
    def shares_prefix(self) -> bool:
        return False

    def fit(self, record: Recorder, task: Task) -> Fitted:
        sums: dict[int, Activations] = {}  # by length, or by 0 for all
        counts: dict[int, int] = {}
        for activations in record(self.reference or task):
            length = activations.embed.shape[1]
            key = 0 if self.over_positions else length
            dims = (0, 1) if self.over_positions else (0,)
            total = activations.map(lambda values, dims=dims: values.sum(dims, keepdim=True))
            sums[key] = sums[key].map(torch.add, total) if key in sums else total
            counts[key] = counts.get(key, 0) + len(activations.embed) * (length if self.over_positions else 1)
        means = {key: total.map(lambda values, n=counts[key]: values / n) for key, total in sums.items()}
        return partial(self._ablated, means)

    def _ablated(self, means: dict[int, Activations], corrupt: Activations, lengths: Tensor) -> Activations:
        """The means, for each prompt up to its length."""
        if self.over_positions:
            return corrupt.map(lambda values, mean: mean.expand_as(values).contiguous(), means[0])
        out = corrupt.map(torch.clone)
        for length in lengths.unique().tolist():
            if length not in means:
                raise InputError(
                    f"the reference task has no prompt of {length} tokens for the mean: add some, or use"
                    " Mean(over_positions=True)"
                )
            out.map(lambda values, mean, at=lengths == length, t=length: _put(values, at, t, mean), means[length])
        return out


def _put(values: Tensor, at: Tensor, length: int, mean: Tensor) -> Tensor:
    """Write the mean (1, T, ...) into those rows of values (B, T', ...) that have ``length`` T."""
    values[at, :length] = mean
    return values


MEAN_OVER_POSITIONS = Mean(over_positions=True)
