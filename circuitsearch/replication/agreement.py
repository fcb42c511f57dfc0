"""How far repeated searches agree: the Jaccard index of their circuits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from circuitsearch.files import STRICT, Number

STABLE = 0.8  # mean Jaccard index from which circuits count as stable
MOST_PERMUTATIONS = 9999  # all of them where there are fewer


@dataclass(frozen=True)
class Agreement:
    """How far the circuits of one variation agree.

    Attributes
    ----------
    name : str
        Of the variation, ``"parts"``; ``"all"`` for all circuits together.
    variation : str
        With its knobs.
    source : str
        What differs: samples, rephrasings or settings; empty for all circuits together.
    count : int
        Number of circuits.
    mean, least : float
        Of the Jaccard index, edges in both over edges in either, of all pairs.
    smallest, largest : int
        Edges of the smallest and the largest circuit.
    """

    __pydantic_config__ = STRICT

    name: str
    variation: str
    source: str
    count: int
    mean: Number
    least: Number
    smallest: int
    largest: int

    @property
    def stable(self) -> bool:
        """Whether the mean Jaccard index is .8 or more."""
        return self.mean >= STABLE

    @classmethod
    def among(cls, masks: Sequence[Tensor], name: str, variation: str = "", source: str = "") -> Agreement:
        """Of circuits, masks (U, V)."""
        values, sizes = _pairs(jaccard(masks), range(len(masks))), [int(mask.sum()) for mask in masks]
        return cls(
            name, variation, source, len(masks), float(np.mean(values)), float(min(values)), min(sizes), max(sizes)
        )


@dataclass(frozen=True)
class Rephrasing:
    """Whether circuits of other rephrasings differ more than circuits of other samples.

    Attributes
    ----------
    samples, rephrasings : str
        Names of the two variations.
    difference : float
        Mean Jaccard index of the first less that of the second: positive if rephrasing changes the circuit more.
    p : float
        Of a difference so large or larger if the circuits were exchanged at random between the two variations; all exchanges, or
        9,999 of them, are tried. With three circuits each it is at least .05, with four .014.
    """

    __pydantic_config__ = STRICT

    samples: str
    rephrasings: str
    difference: Number
    p: Number

    @classmethod
    def between(cls, samples: str, first: Sequence[Tensor], rephrasings: str, second: Sequence[Tensor]) -> Rephrasing:
        """Of the circuits, masks (U, V), of a variation over samples and one over rephrasings."""
        similar = jaccard([*first, *second])

        def difference(one: np.ndarray, other: np.ndarray) -> float:
            means = [np.mean(_pairs(similar, rows.astype(int).tolist())) for rows in (one, other)]
            return float(means[0] - means[1])

        test = stats.permutation_test(
            (np.arange(len(first)), len(first) + np.arange(len(second))), difference,
            alternative="greater", n_resamples=MOST_PERMUTATIONS, vectorized=False, rng=np.random.default_rng(0),
        )  # fmt: skip
        return cls(samples, rephrasings, float(test.statistic), float(test.pvalue))


def jaccard(masks: Sequence[Tensor]) -> np.ndarray:
    """Jaccard index of every two circuits, masks (U, V): (C, C). Two circuits without edges are alike.

    Examples
    --------
    >>> jaccard([torch.tensor([[True, True]]), torch.tensor([[True, False]])]).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    edges = torch.stack([mask.flatten() for mask in masks]).float()  # (C, U·V)
    shared, sizes = edges @ edges.T, edges.sum(1)
    either = sizes[:, None] + sizes[None] - shared
    return torch.where(either > 0, shared / either.clamp(min=1), 1.0).double().numpy()


def _pairs(similar: np.ndarray, rows: Sequence[int]) -> list[float]:
    """The index of every pair of these circuits."""
    return [float(similar[pair]) for pair in combinations(rows, 2)]
