"""What one pass changes of a circuit: edges are swapped, added and dropped by their gain at the circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

HARM = 0.5  # of the magnitude of a gain below 0 counts: such a gain is often wrong where edges saturate an MLP
MOST_EXPECTED = 1.5  # of a circuit that is to take the place of one below the target
LEAST_ADDED = 20  # edges that a pass may add below the target, however small the circuit


@dataclass(frozen=True)
class Gains:
    """What edges bring at a circuit, in units of faithfulness; E edges.

    Attributes
    ----------
    mean : Tensor
        (E,) averaged over passes: how much keeping the edge reduces what is missing.
    error : Tensor
        (E,) its standard error over prompts.
    effect : Tensor
        (E,) how much keeping the edge raises the faithfulness, on the prompts of this pass.
    """

    mean: Tensor
    error: Tensor
    effect: Tensor


@dataclass(frozen=True)
class Steps:
    """The largest changes of one pass, as shares of the circuit's edges."""

    swapped: float
    added: float
    dropped: float


@dataclass(frozen=True)
class Edits:
    """What to change of a circuit.

    Attributes
    ----------
    added, dropped : tuple of int
        Edges, the surest first.
    predicted : float
        The change of faithfulness that the gains predict for all of them.
    """

    added: tuple[int, ...]
    dropped: tuple[int, ...]
    predicted: float

    def first(self, share: float, inside: Tensor) -> Tensor:
        """The circuit (E,) after this share of what is added and of what is dropped."""
        changed = inside.clone()
        for edges, kept in ((self.added, True), (self.dropped, False)):
            changed[list(edges[: round(share * len(edges))])] = kept
        return changed

    def mended(self, effect: Tensor) -> Edits:
        """The same changes in another order: last those that the effects (E,) of edges after all of them speak against."""
        by_effect = effect.tolist().__getitem__
        added = tuple(sorted(self.added, key=by_effect, reverse=True))
        return replace(self, added=added, dropped=tuple(sorted(self.dropped, key=by_effect)))


def edited(inside: Tensor, gains: Gains, faithfulness: float, target: float, steps: Steps, trust: float = 1.0) -> Edits:
    """Changes of a circuit after which the predicted faithfulness is the target.

    An edge outside is worth its gain less a standard error, an edge inside its gain plus one: a change must be sure to help. Above
    the target one that seems to do harm is worth half of that: after many drops the circuit is another one, where it may be missed.

    Parameters
    ----------
    inside : Tensor
        Boolean (E,), the circuit.
    faithfulness, target : float
        Measured, and to be reached.
    trust : float
        What share of a rise is expected: gains at one circuit do not add up.
    """
    edit = _Edit(inside, gains, faithfulness, target, steps, trust)
    edit.run()
    dropped = edit.weakest[: edit.dropped]
    predicted = float(gains.effect[edit.added].sum() - gains.effect[dropped].sum())
    return Edits(tuple(edit.added), tuple(dropped), predicted)


def best_of(expected: Sequence[float], sizes: Sequence[int], target: float) -> int:
    """Which of some circuits to go on with, by the faithfulness that is expected of each; the first is the one of the last pass.

    It is the smallest of which enough is expected, or else the nearest to that. If the first reaches the target, enough is that or
    more, however much more. Below the target it is 1 to 1.5: a rise that was chosen for being large on few prompts is smaller on others.

    Examples
    --------
    >>> best_of([0.95, 0.5, 0.94], [30, 10, 20], target=0.93)
    2
    >>> best_of([0.4, 0.7, 1.6], [30, 35, 50], target=0.93)
    1
    >>> best_of([0.86, 1.32, 0.94, 1.1], [30, 35, 31, 32], target=0.93)
    3
    """
    least, most = (target, inf) if expected[0] >= target else (1.0, MOST_EXPECTED)
    enough = [number for number, value in enumerate(expected) if least <= value <= most]
    if enough:
        return min(enough, key=sizes.__getitem__)
    return min(range(len(expected)), key=lambda number: abs(expected[number] - least))


class _Edit:
    def __init__(
        self, inside: Tensor, gains: Gains, faithfulness: float, target: float, steps: Steps, trust: float
    ) -> None:
        self.added: list[int] = []
        self.gains, self.target, self.trust = gains, target, trust
        self.faithfulness = self.predicted = faithfulness
        self.steps, self.size = steps, int(inside.sum())
        outside, kept = gains.mean - gains.error, gains.mean + gains.error
        if faithfulness >= target:
            kept = torch.maximum(kept, -HARM * outside)
        worth = torch.where(inside, kept, outside)
        self.worth = worth.tolist()
        self.weakest = worth.masked_fill(~inside, torch.inf).argsort(stable=True)[: self.size].tolist()
        self.strongest = worth.masked_fill(inside, -torch.inf).argsort(descending=True, stable=True).tolist()
        self.dropped = 0  # of the weakest

    def run(self) -> None:
        """Swap and add where the faithfulness is not above 1 + (1 - target), then drop the weakest edges where it is above the target."""
        if self.faithfulness <= 2 - self.target:
            self._swap_and_add()
        if self.faithfulness >= self.target:
            self.dropped = max(self.dropped, min(self._most(self.steps.dropped), self.size - 1))

    def _most(self, share: float) -> int:
        return max(1, round(share * self.size))

    def _swap_and_add(self) -> None:
        """Add the strongest edges, each in place of a weak one or because faithfulness is missing."""
        swaps = self._most(self.steps.swapped)
        most = swaps if self.faithfulness >= self.target else max(LEAST_ADDED, self._most(self.steps.added))
        for edge in self.strongest[: min(most, len(self.worth) - self.size)]:
            weaker = self._weaker_than(edge) if self.dropped < swaps else None
            if self.worth[edge] <= 0 or (self.predicted >= self.target and weaker is None):
                break
            self.added.append(edge)
            self._expect(float(self.gains.effect[edge]))
            if weaker is not None:
                self._expect(-float(self.gains.effect[weaker]))
                self.dropped += 1

    def _weaker_than(self, edge: int) -> int | None:
        """The weakest edge inside, if the other is worth twice as much."""
        weakest = self.weakest[self.dropped] if self.dropped < self.size else None
        return weakest if weakest is not None and self.worth[weakest] < self.worth[edge] / 2 else None

    def _expect(self, change: float) -> None:
        self.predicted += self.trust * change if change > 0 else change
