"""Accuracy: of the model and the circuit, against chance, and the share that the circuit keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from circuitsearch.knobs import Knobs
from circuitsearch.validation.measurement import Interval, Measurement
from circuitsearch.validation.significance import TaskTest, chance
from circuitsearch.validation.trial import Trial


@dataclass(frozen=True)
class Accuracy(Knobs):
    """Share of prompts whose best right answer has a higher logit than every wrong one, and whether the model does the task."""

    def measure(self, trial: Trial) -> Measurement:
        """A table of one row: the accuracies of model and circuit, and the test of the model, :class:`TaskTest`."""
        circuit, model = trial.right
        _, clean, ablated = trial.metric
        test = TaskTest.of(clean, ablated, model, chance(trial.experiment.task))
        return self.found(float(model.mean()), float(circuit.mean()), test)

    def found(self, model: float, circuit: float, test: TaskTest) -> Measurement:
        """The measurement of both accuracies."""
        against = (
            f"chance {test.chance:.1%}" if test.against_chance else "where each token of the answer is the likeliest"
        )
        caution = f"it is {test.verdict} on these prompts: {test}"
        return Measurement(
            "accuracy",
            table=({"model": model, "circuit": circuit, **asdict(test)},),
            lines=(("accuracy", f"model {model:.1%}, circuit {circuit:.1%}, {against}"),),
            cautions=() if test.significant else (caution,),
        )


@dataclass(frozen=True)
class AccuracyKept(Knobs):
    """The circuit's accuracy over the model's."""

    def measure(self, trial: Trial) -> Measurement:
        """With its interval; not defined if the model is never right."""
        return self.found(trial.interval(_kept, *trial.right))

    def found(self, value: Interval) -> Measurement:
        """The measurement of a value."""
        never = ": the model is never right" if np.isnan(value.value) else ""
        return Measurement.of("accuracy_kept", value, lines=(("accuracy kept", f"{value}{never}"),))


def _kept(circuit: np.ndarray, model: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):  # not defined where the model is never right
        return circuit.mean(axis) / model.mean(axis)
