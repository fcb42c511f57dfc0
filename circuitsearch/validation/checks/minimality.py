"""Which edges of the circuit cannot be removed."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.knobs import Knobs
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class Minimality(Knobs):
    """The search's certificate: edges without which the circuit misses the target, by exact runs on the prompts of the search.

    Its line says what is shown, in the words of Adolfi et al. (2410.08025): the circuit is *local-minimal* if that is so of each edge, and
    *quasi-minimal* if of at least one. :class:`Subsets` shows whether a small one is *subset-minimal*.
    """

    def measure(self, trial: Trial) -> Measurement:
        """The share of the circuit's edges that are known to be needed, and the faithfulness without each."""
        certificate, size = trial.circuit.certificate, len(trial.circuit)
        if certificate is None:
            return Measurement("minimality")
        return Measurement(
            "minimality",
            len(certificate.without) / size if size else None,
            table=tuple({"edge": edge, "without": value} for edge, value in certificate.without.items()),
            lines=(("minimality", certificate.describe(size)),),
        )
