"""Which of a search's circuits is returned: the smallest that is faithful on two kinds of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import hypot

from torch import Tensor

from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Faithfulness, reaches
from circuitsearch.history import Measured
from circuitsearch.search.costs import RECORD, VALUE

NEW = 256  # prompts of the selection's kind, at most; twice as many as stopping prompts
SEED = 500_009  # so that these prompts are not those of a pass
AT_ONCE = 16  # circuits that are measured together


@dataclass(frozen=True)
class Judged:
    """Faithfulness of a circuit on new prompts of the selection's kind, on the stopping prompts, and on both together."""

    selection: Measured
    stopping: Measured
    together: Measured

    def reaches(self, target: float) -> bool:
        """Whether it reaches the target on both together, and nearly on each.

        One kind is not enough: prompts of a few templates may be easier than most, and of many circuits the smallest to reach a
        target is one that was lucky. On each a circuit may fall short by half of 1 - target more, and overshoot by as much again,
        or by a standard error.
        """
        return reaches(self.together.value, target) and all(
            target - max(kind.error, (1 - target) / 2) <= kind.value <= 2 - target + max(kind.error, 1 - target)
            for kind in (self.selection, self.stopping)
        )

    def __str__(self) -> str:
        kinds = f"{self.selection} on new prompts of the search's kind, {self.stopping} on the stopping prompts"
        return f"{self.together} ({kinds})"


class Judges:
    """Measures circuits on the stopping prompts, and on new prompts of the names, words and templates of the selection.

    Where the task cannot write prompts, the stopping prompts count alone.

    Parameters
    ----------
    selection : Experiment
        On the prompts that choose edges.
    stopping : Faithfulness
        On those that the passes stop by.
    """

    def __init__(self, selection: Experiment, stopping: Faithfulness) -> None:
        self.selection, self.stopping = selection, stopping
        self.known: dict[bytes, Judged] = {}
        self.forwards = 0.0  # cost so far, in forwards of the selection prompts

    @cached_property
    def new(self) -> Faithfulness | None:
        """On the new prompts, if the task can write them."""
        writer = self.selection.task.writer
        if writer is None:
            return None
        count = min(NEW, 2 * len(self.stopping.clean))
        new = self.selection.on(writer.draw(count, self.selection.seed + SEED, at_most=True))
        self.forwards += RECORD * len(new.task) / len(self.selection.task)
        return Faithfulness(new, self.stopping.of)

    @property
    def n_prompts(self) -> int:
        """How many prompts these are, of both kinds."""
        return len(self.stopping.clean) + (0 if self.new is None else len(self.new.clean))

    def __call__(self, masks: Tensor, stopping: Sequence[Measured] | None = None) -> list[Judged]:
        """Each of the circuits ``masks``, boolean (C, U, V); those measured before are not run again.

        Their faithfulness on the stopping prompts can be given if it is known.
        """
        keys = [mask.numpy().tobytes() for mask in masks]
        missing = {key: number for number, key in enumerate(keys) if key not in self.known}
        rows = list(missing.values())
        if rows:
            on_stopping = self._run(self.stopping, masks[rows]) if stopping is None else [stopping[row] for row in rows]
            on_new = on_stopping if self.new is None else self._run(self.new, masks[rows])
            judged = (self._judged(*kinds) for kinds in zip(on_new, on_stopping, strict=True))
            self.known |= zip(missing, judged, strict=True)
        return [self.known[key] for key in keys]

    def _run(self, kind: Faithfulness, masks: Tensor) -> list[Measured]:
        self.forwards += VALUE * len(masks) * len(kind.clean) / len(self.selection.task)
        return [measured for some in masks.split(AT_ONCE) for measured in kind.measured(some)]

    def _judged(self, new: Measured, stopping: Measured) -> Judged:
        """Together it is their mean, weighted by the number of prompts."""
        if self.new is None:
            return Judged(new, stopping, stopping)
        shares = [len(kind.clean) / self.n_prompts for kind in (self.new, self.stopping)]
        parts = [(share * each.value, share * each.error) for share, each in zip(shares, (new, stopping), strict=True)]
        return Judged(new, stopping, Measured(sum(value for value, _ in parts), hypot(*(error for _, error in parts))))
