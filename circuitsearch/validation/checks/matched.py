"""Random circuits that match the circuit in the layers and degrees of its nodes: a stricter control than size alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from circuitsearch.reachability import prune
from circuitsearch.validation.checks.controls import Controls, in_words, on_some
from circuitsearch.validation.matching import matched_circuits
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class MatchedCircuits(Controls):
    """Faithfulness of random circuits with as many edges between the same kinds of nodes of the same layers, and with nodes of the same degrees.

    See :func:`circuitsearch.validation.matching.matched_circuits` for what is matched. Random circuits of the same size alone, as of
    :class:`RandomCircuits`, nearly always keep nothing, since few of their paths lead from the prompt to the answer; these have the circuit's
    shape, and so show whether its edges matter, or its layers alone. The table has, for each random circuit, its faithfulness and the share of the
    circuit's edges that it does not have.

    Parameters
    ----------
    count : int
        How many; there are fewer where the circuit allows no more different ones.
    prompts : int
        On how many of the prompts, at most.
    """

    def measure(self, trial: Trial) -> Measurement:
        """A row for each random circuit; the value is their mean, and None if there is none."""
        few, mask = trial.faithfulness.on_first(self.prompts), prune(trial.circuit.graph, trial.circuit.mask)
        masks = list(matched_circuits(trial.circuit.graph, mask, self.count, trial.experiment.seed))
        own, *values = [each.value for each in few.measured_each([trial.circuit.mask, *masks])]
        return self.found(
            own, values, [_changed(mask, each) for each in masks], len(few.clean), len(trial.faithfulness.clean)
        )

    def found(self, own: float, values: Sequence[float], changed: Sequence[float], n: int, of: int) -> Measurement:
        """The measurement of the circuit and of some random ones on ``n`` of the ``of`` prompts."""
        if not values:
            why = "none run" if self.count == 0 else "there is no other circuit with its layers and degrees"
            return Measurement("matched", lines=(("matched circuits", why),))
        at_least, several = sum(value >= own for value in values), len(values) > 1
        asked = "" if len(values) == self.count else f" (of {self.count} asked for; no more were found)"
        text = (
            f"{len(values)}{asked} with its layers and degrees{on_some(n, of)}, without {sum(changed) / len(changed):.0%} of its edges"
            f"{' on average' if several else ''}: faithfulness {in_words(values)};"
            f" the circuit has {own:z.3f}, and {_standing(at_least)} as much (p = {(1 + at_least) / (1 + len(values)):.2g})"
        )
        rows = ({"faithfulness": value, "changed": share, "n": n} for value, share in zip(values, changed, strict=True))
        return Measurement("matched", sum(values) / len(values), table=tuple(rows), lines=(("matched circuits", text),))


def _changed(mask: Tensor, other: Tensor) -> float:
    """Share of a circuit's edges that another one does not have."""
    return float((mask & ~other).sum() / mask.sum())


def _standing(at_least: int) -> str:
    return {0: "none of them has", 1: "one of them has"}.get(at_least, f"{at_least} of them have")
