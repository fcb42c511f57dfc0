"""Report: the measurements of a circuit, with their intervals and settings."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from circuitsearch import show
from circuitsearch.errors import shortened
from circuitsearch.escape import plain_text
from circuitsearch.files import STRICT, Number, parse_json, read_json, to_json, write_json
from circuitsearch.setup import MadeWith, Setup
from circuitsearch.validation.significance import TaskTest


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval over prompts.

    Examples
    --------
    >>> print(Interval(0.91, 0.87, 0.94))
    0.910 [0.870, 0.940]
    """

    __pydantic_config__ = STRICT

    value: Number
    low: Number
    high: Number

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not defined"
        ends = "no interval" if math.isnan(self.low) else f"{self.low:.3f}, {self.high:.3f}"
        return f"{self.value:.3f} [{ends}]"


@dataclass(frozen=True)
class CurvePoint:
    """Faithfulness of the strongest edges, pruned, at one size, and its interval over prompts, if it was computed."""

    __pydantic_config__ = STRICT

    n_edges: int
    share: float
    faithfulness: Number
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Generalisation:
    """Faithfulness on prompts that are new in some factors and written from the values of the search in all others.

    Attributes
    ----------
    new : tuple of str
        The factors (names, templates ...) whose values the search did not have; empty for new prompts of the same values.
    n : int
        Number of prompts.
    faithfulness, per_prompt : Interval
        As in :class:`Report`.
    """

    __pydantic_config__ = STRICT

    new: tuple[str, ...]
    n: int
    faithfulness: Interval
    per_prompt: Interval

    @property
    def label(self) -> str:
        """What is new, in words; names of factors come from files, so they are shortened and without control characters."""
        return f"new {shortened(plain_text(', '.join(self.new)), 60) or 'prompts'}"


@dataclass(frozen=True)
class Report(MadeWith):
    """How well a circuit does a task on prompts that it was not found on.

    Attributes
    ----------
    faithfulness : Interval
        (m(circuit) - m(all ablated)) / (m(model) - m(all ablated)), a ratio of means over prompts. Above 1 the circuit
        does the task more strongly than the model, because edges that oppose it were left out.
    per_prompt : Interval
        Mean over prompts of 1 - min(|m - m_C| / |m - m_0|, 1): bounded by 0 and 1.
    kl : Interval
        KL divergence from the model's next-token distribution to the circuit's, in nats.
    accuracy_kept : Interval
        The circuit's accuracy over the model's.
    clean, ablated, circuit : float
        The metric's means: the model, all edges ablated, the circuit.
    model_accuracy, circuit_accuracy : float
        Share of prompts whose best right answer has a higher logit than every wrong one.
    controls : tuple of float
        Faithfulness of random circuits of the same size, pruned by the same rule.
    n_control_prompts : int, optional
        How many of the prompts these were measured on; None in reports of earlier versions.
    curve : tuple of CurvePoint
        Faithfulness against size.
    setup : Setup, optional
        What was measured, and on which prompts.
    n_seen : int, optional
        How many of the prompts the search used; None if the circuit does not record its prompts.
    n_copies : int
        How many duplicate prompts were left out.
    intervals : str
        How the intervals were computed.
    test : TaskTest, optional
        Whether the model does the task on these prompts; reports of earlier versions have none.
    by_factor : tuple of Generalisation
        Faithfulness on new prompts, new names, new templates ..., where prompts have such factors.
    """

    __pydantic_config__ = STRICT

    confidence: float
    n_edges: int
    n_edges_total: int
    faithfulness: Interval
    per_prompt: Interval
    kl: Interval
    accuracy_kept: Interval
    clean: Number
    ablated: Number
    circuit: Number
    model_accuracy: Number
    circuit_accuracy: Number
    controls: tuple[Number, ...]
    curve: tuple[CurvePoint, ...]
    n_resamples: int
    setup: Setup | None = None
    n_seen: int | None = None
    n_copies: int = 0
    intervals: str = "BCa bootstraps"
    test: TaskTest | None = None
    by_factor: tuple[Generalisation, ...] = ()
    n_control_prompts: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        return asdict(self) | {"setup": None if self.setup is None else self.setup.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Report:
        """Rebuild a report from :meth:`to_dict`; raises an InputError if ``content`` is something else."""
        return parse_json(to_json(content), cls)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_dict` as JSON; a number that is not defined is null."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read what :meth:`save` wrote; raises an InputError if the file is something else."""
        return read_json(path, "a report that a run wrote", cls)

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def __str__(self) -> str:
        *rows, (_, note) = self.rows()
        width = max(16, *(len(name) for name, _ in rows))
        return "\n".join([*(f"{name:<{width}} {value}" for name, value in rows), note])

    @property
    def prompts(self) -> str:
        """How many prompts, and whether the search used them."""
        kind = {None: "prompts", 0: "held-out prompts", self.n: "prompts of the search"}.get(self.n_seen)
        seen = f"{self.n:,} {kind}" if kind else f"{self.n:,} prompts, {self.n_seen:,} of the search"
        return f"{seen}, without {self.n_copies:,} copies" if self.n_copies else seen

    def rows(self) -> list[tuple[str, str]]:
        """The numbers as (name, text); the last row, without a name, describes the intervals."""
        above = " (above 1: more strongly than the model itself)" if self.faithfulness.value > 1 else ""
        resamples = f", {self.n_resamples} resamples" if "bootstrap" in self.intervals else ""
        return [
            ("task", f"{self.task}, {self.prompts}"),
            ("edges", f"{self.n_edges} of {self.n_edges_total} ({self.n_edges / self.n_edges_total:.1%})"),
            ("ablation", self.ablation),
            (self.metric, f"model {self.clean:.3f}, all ablated {self.ablated:.3f}, circuit {self.circuit:.3f}"),
            ("faithfulness", f"{self.faithfulness}{above}"),
            ("per prompt", f"{self.per_prompt}"),
            *(("caution", caution) for caution in self.cautions),
            *(
                (each.label, f"{each.faithfulness}, per prompt {each.per_prompt}; {each.n} prompts")
                for each in self.by_factor
            ),
            ("KL to the model", f"{self.kl} nats"),
            ("accuracy", f"model {self.model_accuracy:.1%}, circuit {self.circuit_accuracy:.1%}{self._chance}"),
            ("accuracy kept", self._accuracy_kept_line()),
            ("random circuits", self.controls_line()),
            ("", f"intervals are {self.confidence:.0%} {self.intervals} over prompts{resamples}"),
        ]

    @property
    def cautions(self) -> list[str]:
        """Reasons, one sentence each, why the faithfulness says less than it seems to."""
        found = []
        if self.errors_cancel:
            found.append(
                f"errors on single prompts cancel in the ratio of means: the circuit misses {1 - self.per_prompt.value:.0%} of a"
                " prompt's effect on average"
            )
        if self.test is not None and not self.test.significant:
            found.append(f"it is {self.test.verdict} on these prompts: {self.test}")
        return found

    @property
    def errors_cancel(self) -> bool:
        """Whether the ratio of means hides errors: a prompt's is above .2 on average, and twice that of the ratio or more."""
        return 1 - self.per_prompt.value > max(0.2, 2 * abs(1 - self.faithfulness.value))

    @property
    def _chance(self) -> str:
        return "" if self.test is None else f", chance {self.test.chance:.1%}"

    def _accuracy_kept_line(self) -> str:
        return f"{self.accuracy_kept}" + (": the model is never right" if self.model_accuracy == 0 else "")

    def controls_line(self) -> str:
        """Faithfulness of random circuits of the same size, as text."""
        if not self.controls:
            return "none run"
        mean = sum(self.controls) / len(self.controls)
        on = "" if self.n_control_prompts in (None, self.n) else f" on {self.n_control_prompts} prompts"
        found = f"faithfulness {mean:z.3f} on average, {max(self.controls):z.3f} at best"
        return f"{len(self.controls)} of the same size{on}: {found}"
