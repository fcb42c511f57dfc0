"""Gates: whether the edges into a reader are all needed, each enough, or some of them, told by noising and denoising."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from torch import Tensor

from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.redundancy import Gate

HIGH, LOW = 0.75, 0.25  # of the joint effect
LEAST_SHARE = 0.1  # of an edge whose effect adds to those of others
MOST = 8  # edges into one reader whose subsets are run


@dataclass(frozen=True, eq=False)
class Gates:
    """Names how the edges into each reader of a circuit work together.

    Noising ablates one edge, and denoising all but one. Where all edges are needed (AND), each alone has the whole effect in noising
    and none in denoising; where each is enough (OR), it is the other way round; effects that add up are the same in both (2505.10039).
    Where neither one edge nor all but one decide, subsets of each size are run.

    Parameters
    ----------
    measure : Faithfulness
        On the prompts of the search.
    circuit : Tensor
        Mask (U, V).
    least : float
        The joint effect, as a share of the behaviour, from which a reader is looked at.
    """

    measure: Faithfulness
    circuit: Tensor
    least: float

    @property
    def graph(self) -> Graph:
        """Writers, readers and edges."""
        return self.measure.graph

    def named(self) -> Iterator[Gate]:
        """Every gate that has a name."""
        for column in range(self.circuit.shape[1]):
            rows = self.circuit[:, column].nonzero().flatten().tolist()
            kind = self._kind(rows, column) if 2 <= len(rows) <= MOST else None
            if kind is not None:
                reader = self.graph.readers[column]
                yield Gate(kind, reader, tuple(f"{self.graph.writers[row]}->{reader}" for row in rows))

    def _kind(self, rows: list[int], column: int) -> str | None:
        n = len(rows)
        subsets = [(), tuple(rows), *((row,) for row in rows), *(_without(rows, row) for row in rows)]
        none, whole, *others = self._kept(subsets, column)
        joint = whole - none
        if abs(joint) < self.least:
            return None
        denoised = [(value - none) / joint for value in others[:n]]
        noised = [(whole - value) / joint for value in others[n:]]
        if min(noised) >= HIGH and max(denoised) <= LOW:
            return "AND"
        if max(noised) <= LOW and min(denoised) >= HIGH:
            return "OR"
        if _add_up(noised, denoised):
            return "SUM"
        return self._vote(rows, column, none, joint) if max(noised) <= LOW and max(denoised) <= LOW else None

    def _vote(self, rows: list[int], column: int, none: float, joint: float) -> str | None:
        """``"k of n"`` if any k edges have the effect, and no k - 1."""
        for k in range(2, len(rows)):
            shares = [
                (value - none) / joint for value in self._kept([tuple(some) for some in combinations(rows, k)], column)
            ]
            if min(shares) >= HIGH:
                return f"{k} of {len(rows)}"
            if max(shares) > LOW:
                return None
        return None

    def _kept(self, subsets: list[tuple[int, ...]], column: int) -> list[float]:
        """Faithfulness of the circuit with only these of the edges into a reader."""
        masks = self.circuit.repeat(len(subsets), 1, 1)
        masks[:, :, column] = False
        for mask, rows in zip(masks, subsets, strict=True):
            mask[list(rows), column] = True
        return self.measure(masks, near=self.circuit).tolist()


def _add_up(noised: Sequence[float], denoised: Sequence[float]) -> bool:
    """Whether the shares of the joint effect are the same in both, none is negligible, and together they are the whole."""
    differences = (abs(one - other) for one, other in zip(noised, denoised, strict=True))
    return max(differences) <= LOW / len(noised) and min(noised) >= LEAST_SHARE and abs(1 - sum(noised)) <= LOW


def _without(rows: list[int], row: int) -> tuple[int, ...]:
    return tuple(each for each in rows if each != row)
