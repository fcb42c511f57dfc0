"""Whether several edges of a small circuit can be removed together: all of its subsets are run."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.errors import InputError
from circuitsearch.knobs import Knobs
from circuitsearch.search.subsets import MOST_EDGES, SmallestSubset, smallest_subset, target_of
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class Subsets(Knobs):
    """Whether the circuit is subset-minimal (Adolfi et al. 2410.08025): :func:`circuitsearch.smallest_subset`.

    It is measured on the prompts of the search if they are known, since the certificate is about these, and else on the held-out ones.

    Parameters
    ----------
    most : int
        Edges of the largest circuit whose subsets are run; at most 24.
    runs : int
        Of how many subsets at most; if they end too early, the result is a lower bound.
    target : float, optional
        The faithfulness that a subset is to reach; by default that of the circuit's certificate or search.
    """

    most: int = 20
    runs: int = 10_000
    target: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.most <= MOST_EDGES or self.runs < 1:
            raise InputError(
                f"Subsets runs 1 subset or more of circuits of 1 to {MOST_EDGES} edges, not {self.runs} of {self.most}"
            )

    def measure(self, trial: Trial) -> Measurement:
        """The size of the smallest faithful subset that is known, with its edges and the lower bound; no value if none was run."""
        target = target_of(trial.circuit) if self.target is None else self.target
        if target is None:
            return _not_run("the circuit was not found for a target, which Subsets(target=...) gives")
        n_edges = len(trial.circuit.pruned())
        if not 1 <= n_edges <= self.most:
            return _not_run(
                f"the circuit has {n_edges} edges on paths to the logits, and {self!r} takes 1 to {self.most}"
            )
        experiment = trial.experiment if trial.selection is None else trial.selection
        return self.found(smallest_subset(experiment, experiment.task, trial.circuit, target, runs=self.runs))

    def found(self, result: SmallestSubset) -> Measurement:
        """The measurement of a result."""
        smallest, size = result.smallest, None if result.smallest is None else len(result.smallest)
        edges = () if smallest is None else tuple(f"{writer}->{reader}" for writer, reader in smallest.edges)
        smaller = size is not None and size < result.n_edges
        caution = f"{size} of its {result.n_edges} edges reach its target of {result.target:.3f} without the others"
        return Measurement(
            "subsets",
            size,
            table=(
                {
                    "kind": result.kind, "target": result.target, "edges": edges, "faithfulness": result.smallest_faithfulness,
                    "lower_bound": result.lower_bound, "runs": result.runs, "total": result.total, "complete": int(result.complete),
                },
            ),
            lines=(("subsets", str(result)), *((("smaller subset", ", ".join(edges)),) if smaller else ())),
            cautions=(caution,) if smaller else (),
        )  # fmt: skip


def _not_run(why: str) -> Measurement:
    return Measurement("subsets", lines=(("subsets", f"not run: {why}"),))
