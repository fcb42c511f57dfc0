"""``report.md``: a run on one page."""

from __future__ import annotations

from collections.abc import Mapping

from circuitsearch.circuit import Circuit
from circuitsearch.finding import Finding, Plan
from circuitsearch.knobs import in_words
from circuitsearch.markdown_text import escaped, table
from circuitsearch.names import ends_of
from circuitsearch.redundancy import Redundancy
from circuitsearch.registry import ABLATIONS, GRANULARITIES, METHODS
from circuitsearch.scores import Agreement
from circuitsearch.validation import Report

_EFFECTS = (
    "An effect is what the edge brings to the circuit's metric: gradients in the edges' weights, integrated from no edges to the circuit,"
    " averaged over stopping prompts. Effects add up to what the circuit's metric is above that of no edges. The figure shows them."
)
_SCORE = (
    "A score is how much the metric falls when the edge alone is ablated from the model, by the method's estimate, in the metric's"
    " unit, averaged over prompts: positive scores support the behaviour, negative ones oppose it."
)
_STRENGTH = "A score is how early the edge comes in the ranking: it has no unit, and says nothing of whether the edge supports the behaviour."


def summary(plan: Plan, finding: Finding, model: str) -> str:
    """Write the page as Markdown."""
    scores, circuit, setup = finding.scores, finding.circuit, plan.setup
    parts = [
        f"# {escaped(setup.task)} in {escaped(model)}",
        "![the circuit](circuit.svg)",
        *_evidence(finding.report),
        "## Edges",
        _EFFECTS if circuit.effects is not None else "",
        f"{_SCORE if scores.are_effects else _STRENGTH} The last column is the faithfulness on the prompts of the search when the edge"
        " is removed from the circuit.",
        f"{agreement(scores.agreement).capitalize()}." if scores.agreement is not None else "",
        _edges(circuit),
        "## Setup",
        table(("setting", "value"), _settings(plan)),
        "`circuitsearch find --from manifest.json` runs it again.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_of_foreign(circuit: Circuit, report: Report, source: Mapping[str, object], task: str, model: str) -> str:
    """Write the page of another program's circuit as Markdown; ``source`` says where it came from."""
    notes = source.get("notes")
    rows = [(name, value) for name, value in source.items() if name != "notes" and value is not None]
    parts = [
        f"# {escaped(task)} in {escaped(model)}",
        "![the circuit](circuit.svg)",
        *_evidence(report),
        "## Edges",
        _edges(circuit),
        "## Source",
        table(("of the circuit", "value"), rows),
        *(f"- {escaped(str(note))}" for note in (notes if isinstance(notes, list) else [])),
    ]
    return "\n\n".join(parts) + "\n"


def _evidence(report: Report) -> list[str]:
    return ["## Evidence", "```\n" + str(report).replace("`", "'") + "\n```"]


def _settings(plan: Plan) -> list[tuple[str, object]]:
    setup = plan.setup
    return [
        ("faithfulness asked for", f"{plan.faithfulness:g}"),
        ("faithfulness is", in_words(plan.average)),
        ("search", in_words(plan.refine)),
        *([("unequal lengths", plan.whole.task.note)] if plan.whole.task.note else []),
        ("selection prompts", setup.n),
        ("stopping prompts", 0 if plan.stopping is plan.selection else len(plan.stopping.task)),
        ("held-out prompts", 0 if plan.held_out is plan.selection else len(plan.held_out.task)),
        ("metric", setup.metric),
        ("ablated edges carry", ABLATIONS.in_words(setup.ablation)),
        ("nodes", GRANULARITIES.in_words(setup.granularity)),
        ("edges scored by", METHODS.in_words(setup.method)),
        ("seed", setup.seed),
        ("dtype", setup.dtype),
        *((f"{name}, SHA-256", getattr(setup, name)[:16]) for name in ("weights", "config")),
        ("prompts, SHA-256", setup.prompts_sha256[:16]),
        *setup.versions.items(),
    ]


def agreement(found: Agreement) -> str:
    """How well an estimate agrees with exact effects."""
    return (
        f"of the {found.n} strongest, measured exactly, the estimate has the right sign in {found.signs:.0%}"
        f" (rank correlation {found.spearman:.2f})"
    )


def strongest(circuit: Circuit, count: int | None = None) -> list[tuple[str, float]]:
    """The circuit's edges with their strengths, the largest magnitude first."""
    known = [(f"{writer}->{reader}", circuit.strength(writer, reader) or 0.0) for writer, reader in circuit.edges]
    return sorted(known, key=lambda edge: -abs(edge[1]))[:count]


def meaning(score: float) -> str:
    """The meaning of a score's sign."""
    return "supports" if score > 0 else "opposes" if score < 0 else "no effect"


def _edges(circuit: Circuit) -> str:
    if circuit.redundancy is not None:
        return _edges_with_roles(circuit, circuit.redundancy)
    without = circuit.certificate.without if circuit.certificate else {}
    measures = ("score", "") if circuit.effects is None else ("effect", "", "score")
    rows = []
    for edge, strength in strongest(circuit):
        score = [] if circuit.effects is None else [_number(circuit.score(*ends_of(edge)))]
        left = f"{without[edge]:.3f}" if edge in without else ""
        rows.append((f"`{edge}`", _number(strength), meaning(strength), *score, left))
    return table(("edge", *measures, "without it"), rows)


def _edges_with_roles(circuit: Circuit, redundancy: Redundancy) -> str:
    """The edges of a complete circuit, with what can take the place of each."""
    roles, rows = redundancy.roles, []
    for edge, strength in strongest(circuit):
        instead = ", ".join(redundancy.replacements(edge))
        left = (f"{value[edge]:.3f}" for value in (redundancy.without, redundancy.without_in_model))
        rows.append((f"`{edge}`", _number(strength), roles[edge], *left, instead))
    return table(("edge", "effect", "role", "without it", "the model without it", "replaced by"), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:+.5f}"
