"""The legend of a diagram: only what the diagram holds is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from circuitsearch.figures import style
from circuitsearch.figures.plan import Plan

SAMPLE_WIDTH = 2.2


@dataclass(frozen=True)
class Entry:
    """A line's sample, as Matplotlib's keywords (empty for none), and what it means."""

    text: str
    look: dict[str, Any]


def groups(plan: Plan) -> list[list[Entry]]:
    """Entries that belong together, in reading order: signs, strengths, ports, and what else is to be known."""
    return [group for group in (_signs(plan), _strengths(plan), _ports(plan), _notes(plan)) if group]


def _signs(plan: Plan) -> list[Entry]:
    samples = [(1.0, "supports"), (-1.0, "opposes"), (None, "score not known")]
    shown = {style.colour(strand.score) for strand in plan.strands}
    return [
        Entry(text, {"color": style.colour(score), "linewidth": SAMPLE_WIDTH})
        for score, text in samples
        if style.colour(score) in shown
    ]


def _strengths(plan: Plan) -> list[Entry]:
    """Three widths; the strongest is the diagram's own."""
    if not plan.strongest:
        return []
    values = [plan.strongest, plan.strongest / 2, plan.strongest / 10]
    texts = [f"|score| {values[0]:.2g}", *(f"{value:.2g}" for value in values[1:])]
    looks = [{"color": style.FAINT, "linewidth": style.width(value, plan.strongest)} for value in values]
    return [Entry(text, look) for text, look in zip(texts, looks, strict=True)]


def _ports(plan: Plan) -> list[Entry]:
    entered = {strand.port for strand in plan.strands}
    content = [name for port, name in (("v", "v"), ("in", "MLP"), ("", "logits")) if port in entered]
    ports = [(port, f"into {port}") for port in ("q", "k") if port in entered]
    ports += [("v", f"into {', '.join(content)}")] if content else []
    return [Entry(text, style.line(None, 0.0, port) | {"color": style.FAINT}) for port, text in ports]


def _notes(plan: Plan) -> list[Entry]:
    notes = []
    if plan.shared:
        notes.append("an edge into a shared k or v enters each head of the group")
    if plan.crowded:
        notes.append("edges of one writer run together until they turn off")
    return [Entry(note, {}) for note in notes]
