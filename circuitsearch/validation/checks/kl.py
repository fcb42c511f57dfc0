"""How far the circuit's predictions are from the model's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitsearch.knobs import Knobs
from circuitsearch.validation.measurement import Interval, Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class KL(Knobs):
    """KL divergence from the model's next-token distribution to the circuit's, in nats (Conmy et al. 2304.14997)."""

    def measure(self, trial: Trial) -> Measurement:
        """The mean over prompts, with its interval."""
        return self.found(trial.interval(np.mean, trial.kl))

    def found(self, value: Interval) -> Measurement:
        """The measurement of a value."""
        return Measurement.of("kl", value, lines=(("KL to the model", f"{value} nats"),))
