"""Faithfulness: of the means, and prompt by prompt."""

from __future__ import annotations

from dataclasses import dataclass

from circuitsearch.knobs import Knobs
from circuitsearch.validation.measurement import Interval, Measurement
from circuitsearch.validation.trial import Trial

ABOVE = 1.005
"""From here on a faithfulness is above 1: a circuit that is the model to its second digit does not overshoot."""


@dataclass(frozen=True)
class Ratio(Knobs):
    """(m(circuit) - m(all ablated)) / (m(model) - m(all ablated)), a ratio of means over prompts (Wang et al. 2211.00593).

    Above 1 the circuit does the task more strongly than the model, because edges that oppose it were left out.
    """

    def measure(self, trial: Trial) -> Measurement:
        """With its interval."""
        return self.found(trial.of_means)

    def found(self, value: Interval) -> Measurement:
        """The measurement of a value."""
        above = " (above 1: more strongly than the model itself)" if value.value > ABOVE else ""
        cautions = (OVERSHOOTS,) if value.low > ABOVE else ()
        return Measurement.of("faithfulness", value, lines=(("faithfulness", f"{value}{above}"),), cautions=cautions)


OVERSHOOTS = (
    "faithfulness above 1: the circuit does the task more strongly than the model, because edges that oppose it are left out, so that"
    " more is not better; quote the bounded per-prompt number with it"
)
"""The caution where the whole interval is above 1."""


@dataclass(frozen=True)
class PerPrompt(Knobs):
    """Mean over prompts of 1 - min(|m - m_C| / |m - m_0|, 1): bounded by 0 and 1, so that errors do not cancel."""

    def measure(self, trial: Trial) -> Measurement:
        """With its interval, and a caution where the ratio of means hides errors."""
        return self.found(trial.per_prompt, trial.of_means)

    def found(self, value: Interval, of_means: Interval) -> Measurement:
        """The measurement of a value beside the ratio of means."""
        cautions = (_hidden(value),) if errors_cancel(value, of_means) else ()
        lines = (("per prompt", f"{value}"),)
        caption = f"per prompt {value.value:.3f}"
        return Measurement.of("per_prompt", value, lines=lines, cautions=cautions, caption=caption)


def errors_cancel(per_prompt: Interval, of_means: Interval) -> bool:
    """Whether the ratio of means hides errors: a prompt's is above .2 on average, and twice that of the ratio or more."""
    return 1 - per_prompt.value > max(0.2, 2 * abs(1 - of_means.value))


def _hidden(per_prompt: Interval) -> str:
    return (
        f"errors on single prompts cancel in the ratio of means: the circuit misses {1 - per_prompt.value:.0%} of a"
        " prompt's effect on average"
    )
