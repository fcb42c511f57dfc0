"""What one pass changes of a circuit: edges are swapped, added and dropped by their gain at the circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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


def edited(
    inside: Tensor, gains: Gains, faithfulness: float, target: float, aim: float, steps: Steps, trust: float = 1.0
) -> Edits:
    """Changes of a circuit after which the predicted faithfulness is ``aim``.

    An edge outside is worth its gain less a standard error, an edge inside its gain plus one: a change must be sure to help.

    Parameters
    ----------
    inside : Tensor
        Boolean (E,), the circuit.
    faithfulness, target, aim : float
        Measured, to be reached, and aimed at.
    trust : float
        What share of a rise is expected: gains at one circuit do not add up.
    """
    edit = _Edit(inside, gains, faithfulness, target, aim, steps, trust)
    edit.run()
    # A large gain is where the gradient says least about a drop: an edge into a saturated MLP may seem to do harm.
    dropped = sorted(edit.weakest[: edit.dropped], key=lambda edge: abs(edit.worth[edge]))
    predicted = float(gains.effect[edit.added].sum() - gains.effect[dropped].sum())
    return Edits(tuple(edit.added), tuple(dropped), predicted)


def best_of(expected: Sequence[float], sizes: Sequence[int], target: float, aim: float) -> int:
    """Which of some circuits to go on with, by the faithfulness that is expected of each; the first is the one of the last pass.

    If that one reaches the target, it is the smallest of which at least ``aim`` is expected, however far it overshoots, or the one
    nearest to ``aim`` if none is as good. Below the target it is the one nearest to 1: from a circuit that overshoots edges can be
    dropped, while one that stays below the target is of no use.

    Examples
    --------
    >>> best_of([0.95, 0.5, 0.94], [30, 10, 20], target=0.9, aim=0.93)
    2
    >>> best_of([0.4, 0.7, 1.6], [30, 35, 50], target=0.9, aim=0.93)
    1
    >>> best_of([0.86, 1.32, 1.01], [30, 35, 31], target=0.9, aim=0.93)
    2
    """
    enough = [number for number, value in enumerate(expected) if value >= aim]
    if enough and expected[0] >= target:
        return min(enough, key=sizes.__getitem__)
    wanted = aim if expected[0] >= target else 1.0
    return min(range(len(expected)), key=lambda number: abs(expected[number] - wanted))


class _Edit:
    def __init__(
        self, inside: Tensor, gains: Gains, faithfulness: float, target: float, aim: float, steps: Steps, trust: float
    ) -> None:
        self.added: list[int] = []
        self.gains, self.target, self.aim, self.trust = gains, target, aim, trust
        self.faithfulness = self.predicted = faithfulness
        self.steps, self.size = steps, int(inside.sum())
        worth = torch.where(inside, gains.mean + gains.error, gains.mean - gains.error)
        self.worth = worth.tolist()
        self.weakest = worth.masked_fill(~inside, torch.inf).argsort(stable=True)[: self.size].tolist()
        self.strongest = worth.masked_fill(inside, -torch.inf).argsort(descending=True, stable=True).tolist()
        self.dropped = 0  # of the weakest

    def run(self) -> None:
        """Swap and add where the faithfulness is not above 1 + (1 - aim), then drop."""
        if self.faithfulness <= 2 - self.aim:
            self._swap_and_add()
        self._drop()

    def _most(self, share: float) -> int:
        return max(1, round(share * self.size))

    def _swap_and_add(self) -> None:
        """Add the strongest edges, each in place of a weak one or because faithfulness is missing."""
        swaps = self._most(self.steps.swapped)
        most = swaps if self.faithfulness >= self.aim else max(LEAST_ADDED, self._most(self.steps.added))
        for edge in self.strongest[: min(most, len(self.worth) - self.size)]:
            weaker = self._weaker_than(edge) if self.dropped < swaps else None
            if self.worth[edge] <= 0 or (self.predicted >= self.aim and weaker is None):
                break
            self.added.append(edge)
            self._expect(float(self.gains.effect[edge]))
            if weaker is not None:
                self._drop_weakest()

    def _weaker_than(self, edge: int) -> int | None:
        """The weakest edge inside, if the other is worth twice as much."""
        weakest = self.weakest[self.dropped] if self.dropped < self.size else None
        return weakest if weakest is not None and self.worth[weakest] < self.worth[edge] / 2 else None

    def _drop(self) -> None:
        """Drop the weakest edges: all that do harm, and others as long as enough faithfulness remains."""
        share = self.steps.dropped if self.faithfulness >= self.target else self.steps.swapped
        while self.dropped < min(self._most(share), self.size - 1):
            edge = self.weakest[self.dropped]
            enough = self.predicted - float(self.gains.effect[edge]) >= self.aim
            if float(self.gains.mean[edge]) > 0 and not enough:
                return
            self._drop_weakest()

    def _drop_weakest(self) -> None:
        self._expect(-float(self.gains.effect[self.weakest[self.dropped]]))
        self.dropped += 1

    def _expect(self, change: float) -> None:
        self.predicted += self.trust * change if change > 0 else change
