"""A stability analysis in words and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from circuitsearch.markdown_text import escaped, table
from circuitsearch.replication.classes import CLASSES, CORE, OPTIONAL
from circuitsearch.summary import meaning
from circuitsearch.validation import Interval

if TYPE_CHECKING:
    from circuitsearch.replication.agreement import Agreement, Rephrasing
    from circuitsearch.replication.result import EdgeStability, Stability

Row = tuple[str, ...]

LEVEL = 0.05  # of the adjusted p-values, below which an effect counts as shown
HEADER = ("edge", " inclusion", "class", " effect", " p", " adjusted p", "")


def summary(stability: Stability) -> list[tuple[str, str]]:
    """What was found, as (name, text)."""
    tested = (
        f"{stability.n_tested} {'held-out prompts' if stability.held_out else 'prompts of the searches, none held out'}"
    )
    n_core = len(stability.named(CORE))
    counts = ", ".join(f"{len(stability.named(status))} {status}" for status in CLASSES)
    return [
        ("task", f"{stability.task}, {stability.n} prompts, target {stability.target:g}"),
        *((f"{each.name}", agreement(each)) for each in stability.agreement),
        *(("rephrasing", rephrasing(each)) for each in stability.rephrasing),
        ("edges", f"{len(stability.edges)} in some circuit: {counts}"),
        ("core", f"{n_core} edges, faithfulness {stability.core_faithfulness} on {tested}"),
        ("cost", cost(stability)),
    ]


def agreement(found: Agreement) -> str:
    """How far circuits agree, with the badge."""
    badge = "stable" if found.stable else "not stable"
    sizes = f"{found.smallest} to {found.largest} edges"
    source = f"{found.variation}, other {found.source}: " if found.source else ""
    return f"{source}{found.count} circuits of {sizes}, Jaccard {found.mean:.2f} on average, {found.least:.2f} at least: {badge}"


def rephrasing(found: Rephrasing) -> str:
    """Whether rephrasing changes the circuit more than other samples do."""
    return (
        f"Jaccard of {found.samples} less that of {found.rephrasings} {found.difference:+.2f} (p = {found.p:.2g},"
        " circuits exchanged at random)"
    )


def cost(stability: Stability) -> str:
    """Of the searches."""
    if math.isnan(stability.forwards):
        return "not known"
    return f"{stability.forwards:,.0f} fwd (forwards of a search's selection prompts, without the scoring of its start)"


def caption(stability: Stability) -> str:
    """Of the figure."""
    overall, counts = stability.agreement[-1], [len(stability.named(status)) for status in (CORE, OPTIONAL)]
    return (
        f"Edges of {overall.count} circuits on {stability.task}, solid if every search found them, dashed if half or more did, else dotted:"
        f" {counts[0]} core, {counts[1]} optional. Mean Jaccard index {overall.mean:.2f}, least {overall.least:.2f}."
        f" Faithfulness of the core edges {stability.core_faithfulness}."
    )


def rows(edges: Sequence[EdgeStability]) -> list[Row]:
    """The table of edges; its header is ``HEADER``."""
    return [
        (
            each.edge,
            f"{each.inclusion.value:.2f} [{each.inclusion.low:.2f}, {each.inclusion.high:.2f}]",
            each.status,
            _effect(each.effect),
            _number(each.p, ".2g"),
            _number(each.adjusted, ".2g"),
            _meaning(each),
        )
        for each in edges
    ]


def _meaning(edge: EdgeStability) -> str:
    """Of the sign of an effect, if it can be told from 0."""
    if math.isnan(edge.adjusted):
        return ""
    return meaning(edge.effect.value) if edge.adjusted < LEVEL else "not shown"


def _effect(effect: Interval) -> str:
    return "" if math.isnan(effect.value) else f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def markdown(stability: Stability) -> str:
    """One page."""
    names = [each.name for each in stability.agreement[:-1]]
    edges = [
        (f"`{row[0]}`", *row[1:], *(f"{each.by_variation[name].value:.2f}" for name in names))
        for row, each in zip(rows(stability.edges), stability.edges, strict=True)
    ]
    circuits = [
        (each.name, len(each.edges), str(each.faithfulness), _number(each.forwards or math.nan, ",.0f"))
        for each in stability.circuits
    ]
    parts = [
        f"# Stability of {escaped(stability.task)}",
        table(("", ""), summary(stability)),
        "## Circuits",
        table(("search", "edges", "faithfulness", "fwd"), circuits),
        "## Edges",
        f"Inclusion is the share of the {len(stability.circuits)} searches that found the edge, with its"
        f" {stability.confidence:.0%} binomial interval. Core edges are found by at least {stability.classes.core:.0%} of the searches"
        f" of every variation, optional ones by {stability.classes.optional:.0%} of all. The effect is how much the metric falls on"
        " the prompts of the core's faithfulness when the edge is ablated in the smallest circuit that has it, with Student's"
        " interval; p-values are adjusted by Benjamini and Hochberg, and the sign of an effect is given where the adjusted one is below"
        f" {LEVEL:g}. Last comes the inclusion by variation.",
        table((*(name.strip() for name in HEADER), *names), edges),
    ]
    return "\n\n".join(parts) + "\n"
