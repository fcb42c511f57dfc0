"""History: the passes of a search, kept with the circuit that it found."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.files import STRICT, Number

LEAST_ERROR = 1e-3  # so that a few prompts that agree do not count for all


@dataclass(frozen=True)
class Measured:
    """A faithfulness with its standard error over prompts.

    Examples
    --------
    >>> print(Measured(0.912, 0.034))
    0.912 ± 0.034
    """

    __pydantic_config__ = STRICT

    value: Number
    error: Number

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


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
    """

    __pydantic_config__ = STRICT

    number: int
    n_edges: int
    selection: Measured
    stopping: Measured
    forwards: float

    @property
    def on_both(self) -> float:
        """Faithfulness on all these prompts: the mean of the two, weighted by their precision."""
        errors = [max(each.error, LEAST_ERROR) ** -2 for each in (self.selection, self.stopping)]
        return (errors[0] * self.selection.value + errors[1] * self.stopping.value) / sum(errors)


@dataclass(frozen=True)
class History:
    """How a search went.

    Attributes
    ----------
    target : float
        The faithfulness to reach.
    stopping : Measured
        Of the circuit that was returned, on the stopping prompts.
    n_selection, n_stopping : int
        Numbers of different prompts that chose edges, and that chose the circuit.
    forwards : float
        Cost in forwards of the selection prompts.
    passes : tuple of Pass
        In order.
    ended : str
        Why the search ended.
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
