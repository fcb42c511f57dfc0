"""Which of a search's circuits is returned: the smallest that is faithful on two kinds of prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from functools import cached_property
from math import hypot

from torch import Tensor

from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.history import Judged, Measured
from circuitsearch.search.costs import RECORD, VALUE

SEED = 500_009  # so that these prompts are not those of a pass
AT_ONCE = 16  # circuits that are measured together


class Judges:
    """Measures circuits on the stopping prompts, and on as many new prompts of the names, words and templates of the selection.

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
        self.forwards = 0.0  # cost of circuits so far, in forwards of the selection prompts

    def knowing(self, judged: Iterable[tuple[Tensor, Judged]]) -> Judges:
        """The same judges, who know the results of these circuits, masks (U, V), and have cost nothing so far."""
        judges = copy(self)
        judges.known, judges.forwards = {_key(mask): result for mask, result in judged}, 0.0
        return judges

    @cached_property
    def new(self) -> Faithfulness | None:
        """On the new prompts, if the task can write them."""
        writer = self.selection.task.writer
        if writer is None:
            return None
        new = writer.draw(len(self.stopping.clean), self.selection.seed + SEED, at_most=True)
        return Faithfulness(self.selection.on(new), self.stopping.of)

    @property
    def n_prompts(self) -> int:
        """How many prompts these are, of both kinds."""
        return len(self.stopping.clean) + (0 if self.new is None else len(self.new.clean))

    @property
    def cost_of_recording(self) -> float:
        """Of the new prompts, in forwards of the selection prompts; the stopping prompts are recorded for the passes."""
        return 0.0 if self.new is None else RECORD * len(self.new.clean) / len(self.selection.task)

    def __call__(self, masks: Tensor, stopping: Sequence[Measured] | None = None) -> list[Judged]:
        """Each of the circuits ``masks``, boolean (C, U, V); those measured before are not run again.

        Their faithfulness on the stopping prompts can be given if it is known.
        """
        keys = [_key(mask) for mask in masks]
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


def _key(mask: Tensor) -> bytes:
    return mask.numpy().tobytes()
