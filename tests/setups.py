"""Made-up setups and reports, of results that no model gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from circuitsearch.ablation import Resample
from circuitsearch.circuit import Circuit
from circuitsearch.granularity import WHOLE
from circuitsearch.methods import EAP
from circuitsearch.redundancy import Alternative, Redundancy
from circuitsearch.setup import Setup, Spec
from circuitsearch.validation import Generalisation, Interval, Measurement, Report, TaskTest, checks
from circuitsearch.validation.checks.curve import CurvePoint

DONE = TaskTest(128, 1e-9, 1e-9, 0.5)  # of a model that does its task


def made_up(task: str = "ioi", n: int = 8, **others: Any) -> Setup:
    """Scores of ``n`` prompts of a task by EAP."""
    content: dict[str, Any] = {
        "weights": "w",
        "config": "c",
        "dtype": "float32",
        "task": task,
        "n": n,
        "prompts_sha256": "p",
        "prompts": tuple(f"{task}{row}" for row in range(n)),
        "metric": "logit_diff",
        "metric_sha256": "m",
        "ablation": Spec.of(Resample()),
        "granularity": Spec.of(WHOLE),
        "method": Spec.of(EAP()),
    }
    return Setup(**content | others)


def with_setup(result: Any, **others: Any) -> Any:
    """The same result with a setup in which something is different."""
    return replace(result, setup=result.setup.model_copy(update=others))


def complete_with(circuit: Circuit, first: Sequence[str], second: Sequence[str], opposing: str = "") -> Redundancy:
    """Two minimal circuits whose union a circuit is: the second was found without the first edge of the first one."""
    without = {f"{u}->{v}": 2.0 if f"{u}->{v}" == opposing else 1.0 for u, v in circuit.edges}
    return Redundancy(0.9, 1.0, tuple(first), (Alternative(tuple(first[:1]), tuple(second), 1.0),), without, without)


def made_up_report(**others: Any) -> Report:
    """A report of 128 prompts with controls and a curve."""
    one = Interval(0.912, 0.874, 0.941)
    means = {"model": 4.0, "ablated": -4.0, "circuit": 3.3}
    report = Report(
        measurements=(Measurement("metric", table=(means,), lines=(("logit_diff", "model 4.000"),)),),
        confidence=0.95, n_edges=40, n_edges_total=1519, n_resamples=1000, setup=made_up(n=128), n_seen=0,
    )  # fmt: skip
    points = CurvePoint(10, 0.0066, 0.3), CurvePoint(100, 0.066, 0.95), CurvePoint(1519, 1.0, 1.0)
    usual = {
        "faithfulness": one, "per_prompt": one, "kl": one, "accuracies": (1.0, 0.98, DONE), "accuracy_kept": one,
        "controls": (0.01, 0.05, 0.03), "curve": points, "by_factor": (),
    }  # fmt: skip
    return measuring(report, **usual | others)


def measuring(report: Report, **found: Any) -> Report:
    """The report with other measurements: of these names, or ``accuracies`` (model, circuit, test) and ``by_factor``."""
    for name, value in found.items():
        report = report.adding(_measurement(report, name, value))
    return report


def _measurement(report: Report, name: str, value: Any) -> Measurement:
    match name:
        case "faithfulness":
            return checks.Ratio().found(value)
        case "per_prompt":
            return checks.PerPrompt().found(value, report.faithfulness)
        case "kl":
            return checks.KL().found(value)
        case "accuracies":
            return checks.Accuracy().found(*value)
        case "accuracy_kept":
            return checks.AccuracyKept().found(value)
        case "controls":
            return checks.RandomCircuits().found(value, report.n, report.n)
        case "curve":
            return checks.SizeCurve().found(value)
        case "by_factor":
            kinds: tuple[Generalisation, ...] = value
            return checks.NewPrompts().found(kinds)
        case _:
            raise AssertionError(f"no check measures {name}")
