"""A ranking that averages those of several methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import rankdata
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.journal import beside
from circuitsearch.knobs import Knobs, in_words
from circuitsearch.methods.eap import EAPIG
from circuitsearch.methods.relp import RelP
from circuitsearch.metric_contract import Needs
from circuitsearch.progress import Progress, part, silent
from circuitsearch.saved_state import NOTHING_KEPT, SavedState
from circuitsearch.scores import Method, Ranker, Rechecking, Scores


@dataclass(frozen=True)
class Ensemble(Knobs):
    """The mean of several methods' rankings (parallel ensembles, Mondorf et al. 2510.06811).

    Of each method the scores' magnitudes are divided by their largest, or with ``ranks`` replaced by their ranks, 1 / E for the weakest of E edges and 1 for the
    strongest, ties their mean rank. A score is the mean over the methods: a strength in 0 ... 1, without a unit. It has no sign, since methods
    may disagree on signs and learned rankings have none.

    Cost: that of all its methods.

    Parameters
    ----------
    methods : tuple of Method
        The methods, two or more; each must score every edge.
    ranks : bool
        Average ranks in place of magnitudes. A few strong edges decide the order of magnitudes; of ranks every edge counts alike.

    Raises
    ------
    InputError
        If there are fewer than two methods, one of them is no method, or where it is used, one leaves edges without a score.

    Examples
    --------
    >>> Ensemble((EAPIG(), RelP()))
    Ensemble(methods=(EAPIG(steps=5), RelP()), ranks=False)
    """

    methods: tuple[Any, ...] = (EAPIG(), RelP())
    ranks: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.methods) < 2:
            raise InputError(f"an Ensemble needs two methods or more, not {len(self.methods)}")
        for method in self.methods:
            check_method("in an Ensemble", method)

    @property
    def needs(self) -> Needs:
        """The most that one of its methods needs from the metric."""
        of_methods = [getattr(method, "needs", Needs.VALUES) for method in self.methods]
        return max(of_methods, key=[Needs.VALUES, Needs.GRADIENT, Needs.GRADIENT_AT_CLEAN].index)

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"the mean ranking of {len(self.methods)} methods ({'; '.join(map(in_words, self.methods))})"

    def rank(self, experiment: Experiment, progress: Progress = silent, state: SavedState = NOTHING_KEPT) -> Tensor:
        """Score by each method: strengths (U, V), float64, zero where there is no edge."""
        n = len(self.methods)
        scores = [
            experiment.score(each, journal=beside(state.path, str(place)), progress=part(progress, place, n))
            for place, each in enumerate(self.methods)
        ]
        return torch.stack(list(map(self._strengths, scores))).mean(0)

    def _strengths(self, scores: Scores) -> Tensor:
        """Magnitudes or ranks (U, V) in 0 ... 1."""
        check_all_scored(scores)
        values = scores.values.abs()
        if self.ranks:
            return torch.zeros_like(values).masked_scatter_(scores.graph.mask, share_below(scores))
        return values / values.max().clamp(min=torch.finfo(values.dtype).tiny)


def share_below(scores: Scores) -> Tensor:
    """Rank of each edge (E,) by magnitude: 1 / E for the weakest of E edges, 1 for the strongest, ties their mean rank.

    Raises
    ------
    InputError
        If not every edge has a score.
    """
    check_all_scored(scores)
    mask = scores.graph.mask
    return torch.from_numpy(rankdata(scores.values[mask].abs().numpy())) / mask.sum()


def check_all_scored(scores: Scores) -> None:
    """Raise an InputError unless every edge has a score."""
    if not torch.equal(scores.scored, scores.graph.mask):
        raise InputError(f"{scores.method} leaves edges without a score: give a method that scores all")


def check_method(place: str, method: Any) -> None:
    """Refuse what is no value of a method."""
    if isinstance(method, type) or not isinstance(method, Method | Ranker | Rechecking):
        raise InputError(f"{method!r} {place} is not a method: give values such as EAPIG(steps=5)")
