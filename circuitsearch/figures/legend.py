"""The legend of a diagram: it explains only what the diagram shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from circuitsearch.figures import style
from circuitsearch.figures.canvas import shortened
from circuitsearch.figures.placed import Placed
from circuitsearch.figures.plan import Plan
from circuitsearch.names import PORTS

SAMPLE_WIDTH = 2.2
LONGEST = 130.0  # points that a role or a circuit's name may take


@dataclass(frozen=True)
class Entry:
    """A sample and what it means: a line as Matplotlib's keywords, a tint, an arrow, three dots, or only text."""

    text: str
    line: dict[str, Any] | None = None
    hollow: bool = False
    halo: bool = False
    tint: str | None = None
    arrow: bool = False
    dots: bool = False

    @property
    def sampled(self) -> bool:
        """Whether there is a sample before the text."""
        return self.line is not None or self.tint is not None or self.arrow or self.dots


def groups(placed: Placed, theme: style.Theme, highlight: frozenset[str] = frozenset()) -> list[list[Entry]]:
    """Entries that belong together, in reading order: what lines say, strengths, ports, roles, and notes."""
    plan = placed.plan
    compared = bool(plan.sides)
    found = [
        _sides(plan, theme) if compared else _signs(plan, theme),
        [] if compared else _strengths(plan, theme),
        [] if compared or _inclusions(plan) else _ports(plan, theme),
        _certainty(plan, theme),
        _highlight(plan, theme, highlight),
        _replaceable(plan, theme),
        _arrows(plan),
        [] if placed.labelled else _roles(plan, theme),
        _notes(placed),
    ]
    return [group for group in found if group]


def tint(plan: Plan, role: str, theme: style.Theme) -> str:
    """Colour behind the nodes of a role."""
    return theme.tints[plan.role_names.index(role) % len(theme.tints)]


def _signs(plan: Plan, theme: style.Theme) -> list[Entry]:
    shown = {strand.says for strand in plan.strands}
    unsigned = any(strand.strength is not None and strand.says == "unknown" for strand in plan.strands)
    texts = {"supports": "supports", "opposes": "opposes", "unknown": "no sign" if unsigned else "no score"}
    return [
        Entry(text, {"color": theme.lines[says], "linewidth": SAMPLE_WIDTH})
        for says, text in texts.items()
        if says in shown
    ]


def _sides(plan: Plan, theme: style.Theme) -> list[Entry]:
    """The circuits that edges belong to, and how many there are; an edge that is drawn twice counts once."""
    first, second = (shortened(name, style.TEXT_SIZE, LONGEST) for name in plan.sides)
    texts = {style.SHARED: "in both", style.FIRST: f"only {first}", style.SECOND: f"only {second}"}
    edges = {(strand.writer, strand.reader): strand.says for strand in plan.strands}
    counts = {says: sum(own == says for own in edges.values()) for says in texts}
    return [
        Entry(
            f"{text} ({counts[says]:,})",
            {"color": theme.lines[says], "linewidth": 1.6} | style.pattern(style.dash(says)),
        )
        for says, text in texts.items()
    ]


def _strengths(plan: Plan, theme: style.Theme) -> list[Entry]:
    """Three widths; the strongest is the diagram's own."""
    if not plan.strongest:
        return []
    values = [plan.strongest, plan.strongest / 2, plan.strongest / 10]
    texts = [f"{plan.measure} {values[0]:.2g}", *(f"{value:.2g}" for value in values[1:])]
    looks = [{"color": theme.faint, "linewidth": style.width(value, plan.strongest)} for value in values]
    return [Entry(text, look) for text, look in zip(texts, looks, strict=True)]


def _ports(plan: Plan, theme: style.Theme) -> list[Entry]:
    """Line styles, if there is more than one."""
    entered = {strand.port for strand in plan.strands}
    mixers = any(style.kind(strand.head) == "s" for strand in plan.strands)
    mlps = any(style.kind(strand.head) == "m" for strand in plan.strands)
    kinds = (("v", "v" in entered), ("MLP", mlps), ("mixer", mixers), ("logits", "" in entered))
    ports = [(port, f"into {port}") for port in (*PORTS[:2], "router") if port in entered]
    if not ports:
        return []
    ports += [("v", f"into {', '.join(name for name, there in kinds if there)}")] if entered - {"q", "k"} else []
    look = {"color": theme.faint, "linewidth": style.PLAIN}
    return [Entry(text, look | style.pattern(style.dash(port))) for port, text in ports]


def _inclusions(plan: Plan) -> set[float]:
    return {strand.inclusion for strand in plan.strands if strand.inclusion is not None}


def _certainty(plan: Plan, theme: style.Theme) -> list[Entry]:
    """Line styles, where they show how many of repeated searches found an edge."""
    shown = {style.certainty(inclusion) for inclusion in _inclusions(plan)}
    texts = {"solid": "found by every search", "dashed": "by half or more", "dotted": "by fewer"}
    look = {"color": theme.faint, "linewidth": style.PLAIN}
    return [Entry(text, look | style.pattern(name)) for name, text in texts.items() if name in shown]


def _highlight(plan: Plan, theme: style.Theme, highlight: frozenset[str]) -> list[Entry]:
    look = {"color": theme.faint, "linewidth": style.PLAIN}
    return [Entry("highlighted", look, halo=True)] if any(each.edge in highlight for each in plan.strands) else []


def _replaceable(plan: Plan, theme: style.Theme) -> list[Entry]:
    look = {"color": theme.faint, "linewidth": SAMPLE_WIDTH}
    shown = any(strand.replaceable for strand in plan.strands)
    return [Entry("others can take its place", look, hollow=True)] if shown else []


def _arrows(plan: Plan) -> list[Entry]:
    return [Entry("attention, from the tokens read", arrow=True)] if plan.arrows else []


def _roles(plan: Plan, theme: style.Theme) -> list[Entry]:
    return [Entry(shortened(role, style.TEXT_SIZE, LONGEST), tint=tint(plan, role, theme)) for role in plan.role_names]


def _notes(placed: Placed) -> list[Entry]:
    plan, notes = placed.plan, []
    left_out = [Entry("layers without nodes", dots=True)] if gaps(plan) else []
    if plan.looks:
        notes.append("→ token attended to most by the last one")
        notes.append("(the first left out; 2: its second place)")
    if plan.shared:
        notes.append("an edge into a shared port enters each node that it feeds")
    if placed.gathered and len(placed.gathered) < len(plan.strands):
        notes.append(f"faint: the {len(placed.gathered):,} weakest, gathered between rows")
    if plan.sides and plan.strongest:
        notes.append("width: strength within its own circuit")
    return [*left_out, *(Entry(note) for note in notes)]


def gaps(plan: Plan) -> list[int]:
    """Rows above which layers are left out, because they have no nodes."""
    tops = [-1 if row.layers is None else row.layers[1] for row in plan.rows]
    following = [plan.depth if row.layers is None else row.layers[0] for row in plan.rows[1:]]
    return [index for index, (top, next_one) in enumerate(zip(tops, following, strict=False)) if next_one > top + 1]
