"""History: the passes of a search, kept with the circuit that it found."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from circuitsearch.files import STRICT, Number
from circuitsearch.target import reaches, threshold


@dataclass(frozen=True)
class Measured:
    """A faithfulness with its standard error over prompts, which counts as 0 for one prompt.

    Examples
    --------
    >>> print(Measured(0.912, 0.034), Measured(0.912, 0.0))
    0.912 ± 0.034 0.912
    """

    __pydantic_config__ = STRICT

    value: Number
    error: Number

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}" if self.error else f"{self.value:.3f}"


@dataclass(frozen=True)
class Judged:
    """Faithfulness of a circuit on new prompts of the selection's kind, on the stopping prompts, and on both together."""

    __pydantic_config__ = STRICT

    selection: Measured
    stopping: Measured
    together: Measured

    def reaches(self, target: float) -> bool:
        """Whether it reaches the target on both together, and nearly on each.

        One kind is not enough: prompts of a few templates may be easier than most, and of many circuits the smallest to reach a
        target is one that was lucky. On each a circuit may fall short by half of 1 - target more, and overshoot by as much again,
        or by two standard errors.
        """
        return reaches(self.together.value, target) and all(
            target - max(2 * kind.error, (1 - target) / 2) <= kind.value <= 2 - target + max(2 * kind.error, 1 - target)
            for kind in (self.selection, self.stopping)
        )

    def reaches_with_margin(self, target: float) -> bool:
        """Whether it reaches the target, on both together with a margin: one that is chosen for being small was lucky."""
        return self.reaches(target) and self.together.value >= threshold(target, self.together.error)

    def __str__(self) -> str:
        kinds = f"{self.selection} on new prompts of the search's kind, {self.stopping} on the stopping prompts"
        return f"{self.together} ({kinds})"


@dataclass(frozen=True)
class Pass:
    """One pass of a search.

    Attributes
    ----------
    number : int
        Counted from 1.
    n_edges : int
        The circuit's edges.
    selection : Measured
        Its faithfulness on the prompts of this pass, which then choose edges to add and to drop.
    stopping : Measured
        On the prompts that decide how large the circuit is to be, and which one is returned.
    forwards : float
        Cost of the search so far, in forwards of the selection prompts.
    judged : Judged, optional
        On the stopping prompts and on new prompts of the selection's kind, if it is near the target on those above.
    """

    __pydantic_config__ = STRICT

    number: int
    n_edges: int
    selection: Measured
    stopping: Measured
    forwards: float
    judged: Judged | None = None

    @property
    def best_estimate(self) -> Measured:
        """As judged, or else the mean on the prompts of the pass and the stopping prompts, which count alike, as when judged."""
        if self.judged is not None:
            return self.judged.together
        both = self.selection, self.stopping
        return Measured(sum(each.value for each in both) / 2, hypot(*(each.error for each in both)) / 2)


@dataclass(frozen=True)
class History:
    """How a search went.

    Attributes
    ----------
    target : float
        The faithfulness to reach.
    stopping : Measured
        Of the circuit that was returned, on the prompts that chose it: the stopping prompts, and at the end of a search new ones of
        the selection's kind too.
    n_selection, n_stopping : int
        Numbers of different prompts that chose edges, and that chose the circuit.
    forwards : float
        Cost of start, passes and judging, in forwards of the selection prompts.
    passes : tuple of Pass
        In order.
    ended : str
        Why the passes ended; empty if they go on.
    complete : bool
        False if the time was over before the search ended.
    note : str
        If no circuit reached the target: how far the best one falls short, and what would help.
    """

    __pydantic_config__ = STRICT

    target: float
    stopping: Measured
    n_selection: int
    n_stopping: int
    forwards: float
    passes: tuple[Pass, ...]
    ended: str
    complete: bool = True
    note: str = ""

    @property
    def in_words(self) -> str:
        """How the circuit was searched for, for captions."""
        passes = f"{len(self.passes)} pass{'es' * (len(self.passes) != 1)}"
        return f"the circuit searched by the gradient in its edges, {passes}, for a faithfulness of {self.target:g}"
