"""A circuit or scores that another program wrote, with what was assumed in reading them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.graph import Graph
from circuitsearch.scores import Scores


class Sign(Enum):
    """What a positive score means in a file of another program: that the edge supports the behaviour, or opposes it."""

    SUPPORTS = "supports"
    OPPOSES = "opposes"

    @classmethod
    def read(cls, given: Sign | str) -> Sign:
        """A sign from its name; an InputError if there is no such sign.

        Examples
        --------
        >>> Sign.read("opposes").factor
        -1.0
        """
        try:
            return cls(given)
        except ValueError:
            raise InputError(f"the sign must be supports or opposes, not {shortened(repr(given))}") from None

    @property
    def factor(self) -> float:
        """1, or -1 if positive scores oppose."""
        return 1.0 if self is Sign.SUPPORTS else -1.0


@dataclass(frozen=True, eq=False)
class Foreign:
    """The content of a file of another program, on the graph of this package.

    Attributes
    ----------
    form : str
        The file's format.
    graph : Graph
        The graph of the model, or if no model was given that of the file.
    mask : Tensor, optional
        Boolean (U, V): the file's circuit; None if no edge is marked as part of one.
    scores : Scores, optional
        The file's scores, positive where an edge supports the behaviour; NaN for an edge without one.
    notes : tuple of str
        What was assumed, and what the file holds that is left out, a sentence each.
    effects : Tensor, optional
        (U, V) the effects of the circuit's edges in it, of a file that has them.
    """

    form: str
    graph: Graph
    mask: Tensor | None
    scores: Scores | None
    notes: tuple[str, ...] = ()
    effects: Tensor | None = None

    @property
    def circuit(self) -> Circuit:
        """The file's circuit, with its scores.

        Raises
        ------
        InputError
            If the file has scores only.
        """
        if self.mask is None:
            raise InputError(
                f"the {self.form} has scores and no circuit: choose how many of its strongest edges are one, with --edges N, or"
                " cs.top(found.scores, N)"
            )
        scores = None if self.scores is None else self.scores.values
        return Circuit(self.graph, self.mask, scores, effects=self.effects)

    def __repr__(self) -> str:
        edges = "no circuit" if self.mask is None else f"{int(self.mask.sum())} edges"
        scored = 0 if self.scores is None else int(self.scores.scored.sum())
        return f"Foreign({self.form!r}, {edges}, {scored} scores)"


def signed(values: Tensor, sign: Sign | str | None, form: str) -> tuple[Tensor, str]:
    """Scores (U, V) that are positive where an edge supports the behaviour, and a sentence of what was assumed.

    Raises
    ------
    InputError
        If no sign is given.
    """
    if sign is None:
        raise InputError(
            f"the {form} does not say what its signs mean: give sign=Sign.SUPPORTS (--sign supports) if a positive score"
            " supports the behaviour, else opposes"
        )
    chosen = Sign.read(sign)
    return (
        values * chosen.factor,
        f"positive scores of the file were taken to {chosen.value.removesuffix('s')} the behaviour",
    )


def scores_of(circuit: Circuit) -> Scores | None:
    """A circuit's scores with its setup, if it has any."""
    return None if circuit.scores is None else Scores(circuit.graph, circuit.scores, circuit.setup)
