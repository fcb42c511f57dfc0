"""The metric's means: the model, the circuit, and all edges ablated."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.knobs import Knobs
from circuitsearch.metrics import metric_name
from circuitsearch.validation.measurement import Measurement
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class MetricMeans(Knobs):
    """The metric's mean of the model, with every edge ablated, and of the circuit: a table of one row."""

    def measure(self, trial: Trial) -> Measurement:
        """In the metric's own unit."""
        circuit, model, ablated = (float(each.mean()) for each in trial.metric)
        line = f"model {model:.3f}, all ablated {ablated:.3f}, circuit {circuit:.3f}"
        return Measurement(
            "metric",
            table=({"model": model, "ablated": ablated, "circuit": circuit},),
            lines=((metric_name(trial.faithfulness.metric), line),),
        )
