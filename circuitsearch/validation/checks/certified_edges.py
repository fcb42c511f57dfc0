"""Certified edges: which edges are needed, or not, whichever few prompts had been others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log

import numpy as np
import torch
from scipy import stats

from circuitsearch.faithfulness import ratio_of_means
from circuitsearch.knobs import Knobs
from circuitsearch.target import check_target, reaches
from circuitsearch.validation.hypothesis import check_counts, check_share, without_each
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class CertifiedEdges(Knobs):
    """For each edge whether it is needed, decided by a vote over random subsets of the prompts, certified against other prompts, or left open.

    Deletion smoothing (Huang et al. 2302.01757) of circuits, as in Certified Circuits (2602.22968), which smooths a whole discovery. Here the decision that is
    smoothed is that of this search's certificate: an edge is needed on some prompts if the circuit without it misses the target on them. Each
    subset lacks each prompt with the chance ``deletion``. If the Clopper-Pearson bound of the share of subsets in which an edge is needed (or not needed)
    is above 1/2, the vote is certified, else the check abstains. The *radius* is how many prompts may be deleted, added
    or replaced, whichever they are, without a change of the vote over all subsets: the largest r with bound - 1 + (1 - chance that all r
    are deleted) < 1/2, that is bound - 1 + deletion^r > 1/2.

    It certifies the vote about these edges of this circuit on such prompts: not that the circuit is faithful, and not that
    a search would find it.

    Parameters
    ----------
    target : float
        The faithfulness that the circuit is to reach.
    deletion : float
        Chance that a prompt is left out of a subset.
    subsets : int
        How many.
    level : float
        Chance, over the random subsets, that any edge's certificate is wrong (divided by the number of edges, by Bonferroni).
    edges : int
        Edges that are tried, at most, the first in the order of the stream.
    """

    target: float = 0.9
    deletion: float = 0.8
    subsets: int = 1000
    level: float = 0.05
    edges: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_target(self.target)
        check_share("CertifiedEdges' deletion", self.deletion)
        check_share("CertifiedEdges' level", self.level)
        check_counts(subsets=self.subsets, edges=self.edges)

    def measure(self, trial: Trial) -> Measurement:
        """Share of the edges that are certified as needed; a row for each edge. Without a value for a circuit without edges."""
        circuit, faithfulness = trial.circuit.mask, trial.faithfulness
        places = circuit.nonzero()[: self.edges]
        if not len(places):
            return Measurement("certified_edges", lines=(("certified edges", "the circuit has no edges"),))
        (values,) = faithfulness.metrics(without_each(circuit, places), near=circuit)
        kept = self._subsets(len(faithfulness.clean), trial.experiment.seed)
        needed = [0] * len(places)
        for rows in kept:
            shares = ratio_of_means(values[:, rows], faithfulness.clean[rows], faithfulness.ablated[rows])
            needed = [
                count + (not good) for count, good in zip(needed, reaches(shares, self.target).tolist(), strict=True)
            ]
        names = [faithfulness.graph.edge_name(*place) for place in places.tolist()]
        return self.found(names, needed)

    def _subsets(self, n: int, seed: int) -> list[torch.Tensor]:
        """Rows of the prompts that are kept; where none are, the circuit is taken to need every edge."""
        rng = np.random.default_rng(seed)
        return [torch.from_numpy(np.flatnonzero(rng.random(n) >= self.deletion)) for _ in range(self.subsets)]

    def found(self, names: Sequence[str], needed: Sequence[int]) -> Measurement:
        """The measurement of in how many subsets each edge was needed."""
        rows = tuple(self._row(name, count, len(names)) for name, count in zip(names, needed, strict=True))
        of = {kind: [row for row in rows if row["decision"] == kind] for kind in ("needed", "not needed", "abstains")}
        radii = sorted(int(str(row["radius"])) for row in of["needed"])
        within = f", half of them for {radii[len(radii) // 2]} or more other prompts" if radii else ""
        text = (
            f"{len(of['needed'])} of {len(rows)} certified as needed for {self.target:g}{within};"
            f" {len(of['not needed'])} as not needed; open {len(of['abstains'])}"
        )
        return Measurement("certified_edges", len(of["needed"]) / len(rows), table=rows, lines=(("certified edges", text),))  # fmt: skip

    def _row(self, name: str, count: int, edges: int) -> dict[str, str | float | int | None]:
        votes = max(count, self.subsets - count)
        low = float(stats.beta.ppf(self.level / edges, votes, self.subsets - votes + 1))
        decision = "abstains" if low <= 0.5 else "needed" if votes == count else "not needed"
        return {
            "edge": name, "decision": decision, "votes": count / self.subsets, "bound": low,
            "radius": radius(low, self.deletion),
        }  # fmt: skip


def radius(bound: float, deletion: float) -> int | None:
    """Prompts that may be deleted, added or replaced while the vote stays above 1/2; None if the bound is not above it.

    Examples
    --------
    >>> radius(0.99, 0.8), radius(0.99, 0.9), radius(0.5, 0.8)
    (3, 6, None)
    """
    if bound <= 0.5:
        return None
    return floor(log(1.5 - bound) / log(deletion) - 1e-9)  # strictly above
