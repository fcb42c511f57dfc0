"""Report: the measurements of a circuit, with their intervals and settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from circuitsearch import show
from circuitsearch.errors import counted, unknown
from circuitsearch.files import STRICT, parse_json, read_json, to_json, write_json
from circuitsearch.registry import ABLATIONS
from circuitsearch.setup import MadeWith, Setup
from circuitsearch.tex_text import tex_text
from circuitsearch.validation.bootstrap import METHOD
from circuitsearch.validation.checks.curve import CurvePoint, curve_of
from circuitsearch.validation.checks.new_prompts import Generalisation, generalisations
from circuitsearch.validation.measurement import Interval, Measurement, number
from circuitsearch.validation.significance import TaskTest

NOT_MEASURED = Interval(nan, nan, nan)


@dataclass(frozen=True)
class Report(MadeWith):
    """How well a circuit does a task on prompts that it was not found on: the setup, and what each check measured.

    The names of measurements are keys: ``report["kl"]``. Those of the usual checks are attributes too.

    Attributes
    ----------
    measurements : tuple of Measurement
        In the order of the checks.
    confidence, n_resamples
        Of all intervals over prompts.
    n_edges, n_edges_total : int
        Of the circuit, and of the graph.
    setup : Setup, optional
        What was measured, and on which prompts.
    n_seen : int, optional
        How many of the prompts the search used; None if the circuit does not record its prompts.
    n_copies : int
        How many duplicate prompts were left out.
    intervals : str
        How the intervals were computed.
    faithfulness : Interval
        That of the measurement: (m(circuit) - m(all ablated)) / (m(model) - m(all ablated)), a ratio of means over prompts.
    """

    __pydantic_config__ = STRICT

    measurements: tuple[Measurement, ...]
    confidence: float
    n_edges: int
    n_edges_total: int
    n_resamples: int
    setup: Setup | None = None
    n_seen: int | None = None
    n_copies: int = 0
    intervals: str = METHOD
    faithfulness: Interval = NOT_MEASURED

    def __post_init__(self) -> None:
        measured = self.get("faithfulness")
        object.__setattr__(self, "faithfulness", NOT_MEASURED if measured is None else measured.estimate)

    def __getitem__(self, name: str) -> Measurement:
        found = self.get(name)
        if found is None:
            raise unknown("measurement", name, [each.name for each in self.measurements])
        return found

    def get(self, name: str) -> Measurement | None:
        """The measurement of that name, or None."""
        return next((each for each in self.measurements if each.name == name), None)

    def adding(self, *measurements: Measurement) -> Report:
        """The report with these measurements, in place of those of the same names."""
        new = {each.name: each for each in measurements}
        old = [new.pop(each.name, each) for each in self.measurements]
        return replace(self, measurements=(*old, *new.values()))

    # ---- the usual measurements

    @property
    def per_prompt(self) -> Interval:
        """Mean over prompts of a bounded faithfulness: :class:`circuitsearch.validation.checks.PerPrompt`."""
        return self["per_prompt"].estimate

    @property
    def kl(self) -> Interval:
        """KL divergence from the model to the circuit, in nats."""
        return self["kl"].estimate

    @property
    def accuracy_kept(self) -> Interval:
        """The circuit's accuracy over the model's."""
        return self["accuracy_kept"].estimate

    @property
    def clean(self) -> float:
        """The metric's mean of the model."""
        return self._first("metric", "model")

    @property
    def ablated(self) -> float:
        """The metric's mean with every edge ablated."""
        return self._first("metric", "ablated")

    @property
    def circuit(self) -> float:
        """The metric's mean of the circuit."""
        return self._first("metric", "circuit")

    @property
    def model_accuracy(self) -> float:
        """Share of prompts whose best right answer has a higher logit than every wrong one."""
        return self._first("accuracy", "model")

    @property
    def circuit_accuracy(self) -> float:
        """The same of the circuit."""
        return self._first("accuracy", "circuit")

    @property
    def test(self) -> TaskTest:
        """Whether the model does the task on these prompts."""
        (row,) = self["accuracy"].table
        n, *others = (row[field.name] for field in fields(TaskTest))
        return TaskTest(n, *map(number, others))  # pyright: ignore[reportArgumentType]

    @property
    def controls(self) -> tuple[float, ...]:
        """Faithfulness of random circuits of the same size."""
        return tuple(number(row["faithfulness"]) for row in self["controls"].table)

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """Faithfulness against size."""
        return curve_of(self["curve"])

    @property
    def by_factor(self) -> tuple[Generalisation, ...]:
        """Faithfulness on new prompts, new names, new templates ..., where prompts have such factors."""
        return generalisations(self["new_prompts"])

    def _first(self, name: str, column: str) -> float:
        return number(self[name].table[0][column])

    # ---- files and text

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

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """The JSON schema of a report's file, as in ``docs/report.schema.json``."""
        return TypeAdapter(cls).json_schema()

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def __str__(self) -> str:
        *rows, (_, note) = self.rows()
        width = max(16, *(len(name) for name, _ in rows))
        return "\n".join([*(f"{name:<{width}} {value}" for name, value in rows), note])

    @property
    def prompts(self) -> str:
        """How many prompts, and whether the search used them."""
        number = counted(self.n, "prompt")
        kinds = {None: number, 0: counted(self.n, "held-out prompt"), self.n: f"{number} of the search"}
        seen = kinds.get(self.n_seen, f"{number}, {self.n_seen or 0:,} of the search")
        return f"{seen}, without {self.n_copies:,} cop{'y' if self.n_copies == 1 else 'ies'}" if self.n_copies else seen

    @property
    def not_held_out(self) -> str:
        """That there is no held-out evidence, or less than it seems, in a sentence; empty if no prompt is known to be of the search."""
        if not self.n_seen:
            return ""
        if self.n_seen < self.n:
            return f"{self.n_seen:,} of these {self.n:,} prompts are not held out: the search used them"
        these, them = ("this prompt", "it") if self.n == 1 else (f"these {self.n:,} prompts", "them")
        return (
            f"no held-out evidence: the search used {these}, so the numbers say how well the circuit fits {them}, not whether it"
            " holds on others; give more prompts, of different groups"
        )

    @property
    def _intervals(self) -> str:
        return "no interval: it takes 2 prompts" if self.n == 1 else f"{self.confidence:.0%} intervals"

    @property
    def quote(self) -> str:
        """The sentence for a paper: faithfulness with its interval, averaged both ways, and the conventions; empty if it was not measured."""
        averages = (("faithfulness", "as a ratio of means"), ("per_prompt", "as a bounded mean per prompt"))
        found = [(self.get(name), how) for name, how in averages]
        said = [f"{each.estimate} {how}" for each, how in found if each is not None and not isnan(each.estimate.value)]
        conventions = ", ".join(
            filter(None, ("edges", self._ablation_name, self.metric, self.prompts, self._intervals))
        )
        return f"faithfulness {' and '.join(said)} ({conventions})" if said else ""

    @property
    def _ablation_name(self) -> str:
        """Its short name, with what the edges carry if it has knobs."""
        if self.setup is None:
            return ""
        spec = self.setup.ablation
        return f"{spec.name.lower()} ablation" + (f" ({self._ablation_in_words})" if any(spec.knobs.values()) else "")

    @property
    def _ablation_in_words(self) -> str:
        return ABLATIONS.in_words(self.setup and self.setup.ablation)

    def rows(self) -> list[tuple[str, str]]:
        """The sentence to quote, and what was measured, as (name, text); the last row, without a name, describes the intervals."""
        resamples = f", {self.n_resamples} resamples" if "bootstrap" in self.intervals else ""
        return [
            *([("caution", self.not_held_out)] if self.not_held_out else []),
            *([("quote", self.quote)] if self.quote else []),
            ("task", f"{self.task}, {self.prompts}"),
            ("edges", f"{self.n_edges} of {self.n_edges_total} ({self.n_edges / self.n_edges_total:.1%})"),
            ("ablation", f"{self._ablation_name}: ablated edges carry {self._ablation_in_words}"),
            *(row for each in self.measurements for row in (*each.lines, *(("caution", why) for why in each.cautions))),
            ("", f"intervals are {self.confidence:.0%} {self.intervals} over prompts{resamples}; one prompt has none"),
        ]

    @property
    def cautions(self) -> list[str]:
        """Reasons, one sentence each, why the faithfulness says less than it seems to."""
        found = [caution for each in self.measurements for caution in each.cautions]
        return [self.not_held_out, *found] if self.not_held_out else found

    def to_latex(self) -> str:
        """The rows as a table of the LaTeX package booktabs."""
        *rows, (_, note) = self.rows()
        body = [f"  {tex_text(name)} & {tex_text(value)} \\\\" for name, value in rows]
        end = f"  \\multicolumn{{2}}{{l}}{{\\footnotesize {tex_text(note)}}} \\\\"
        return "\n".join(
            [r"\begin{tabular}{lp{0.75\linewidth}}", r"  \toprule", *body, r"  \bottomrule", end, r"\end{tabular}", ""]
        )
