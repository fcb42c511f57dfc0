"""A plan as DOT, to draw or edit it with Graphviz."""

from __future__ import annotations

import html
import textwrap
from itertools import pairwise

import graphviz

from circuitsearch.figures import style
from circuitsearch.figures.plan import Plan, Row, Strand
from circuitsearch.figures.sheet import Look
from circuitsearch.names import PORTS, spelled

CAPTION_COLUMNS = 90
FONTS = "Helvetica,Arial,DejaVu Sans,sans-serif"
DASHES = {"dash-dot": "dashed"}  # Graphviz has no dash-dot
CELL, LABEL, STRIP = 42, 15, 8  # points: a node's width, and the heights of its name and of its ports


def dot_source(plan: Plan, look: Look) -> str:
    """Write a plan as DOT, with its key and its texts below it."""
    graph = graphviz.Digraph("circuit")
    graph.attr(rankdir="BT", newrank="true", nodesep="0.1", ranksep="0.4", splines="true", outputorder="edgesfirst")
    graph.attr("node", shape="none", margin="0", width="0", height="0", fontname=FONTS)
    graph.attr("edge", arrowhead="normal", arrowsize="0.4")
    key = _key(plan)
    graph.attr(
        label=_left_aligned(look.title, look.prompt, key, look.caption),
        labeljust="l",
        fontname=FONTS,
        fontsize=str(style.TEXT_SIZE),
    )
    for row in plan.rows:
        _add_row(graph, plan, row, look)
    for below, above in pairwise(plan.rows):  # rows without edges between them keep their order
        graph.edge(below.nodes[0], above.nodes[0], style="invis", weight="0")
    for strand in plan.strands:
        _add_strand(graph, plan, strand, look)
    for source, target in plan.arrows:
        graph.edge(
            f"{source}:n", f"{target}:n", color=style.FAINT, arrowhead="vee", arrowsize="0.5", constraint="false"
        )
    return graph.source


def _key(plan: Plan) -> str:
    if plan.sides:
        return f"grey: in both; blue, dashed: only {plan.sides[0]}; orange, dotted: only {plan.sides[1]}"
    lines = "dashed: into q, dotted: into k"
    if any(strand.inclusion is not None for strand in plan.strands):
        lines = "solid: found by every search, dashed: by half or more, dotted: by fewer"
    return f"blue: supports, orange: opposes, width: {plan.measure} up to {plan.strongest:.2g}; {lines}"


def _add_row(graph: graphviz.Digraph, plan: Plan, row: Row, look: Look) -> None:
    rank = graphviz.Digraph(graph_attr={"rank": "same"})
    for name in row.nodes:
        rank.node(name, label=_table(plan, name, look))
    graph.subgraph(rank)


def _add_strand(graph: graphviz.Digraph, plan: Plan, strand: Strand, look: Look) -> None:
    port = f"{strand.port}:s" if strand.port in PORTS else "s"
    graph.edge(
        f"{strand.writer}:n",
        f"{strand.head}:{port}",
        color=_colours(strand, look),
        penwidth=f"{style.width(strand.strength, plan.strongest):.2f}",
        style=DASHES.get(strand.dash, strand.dash),
        tooltip=strand.edge + ("" if strand.strength is None else f" {strand.strength:+.4g}"),
    )


def _colours(strand: Strand, look: Look) -> str:
    """Of parallel lines: two of a hollow edge, and beside a highlighted one its halo."""
    colour, halo = style.LIGHT.lines[strand.says], style.LIGHT.halo
    if strand.edge in look.highlight:
        return f"{halo}:{colour}:{halo}"
    return f"{colour}:invis:{colour}" if strand.replaceable else colour


def _table(plan: Plan, name: str, look: Look) -> str:
    """Label of a node: its name, where it looks, and for a head a strip with its ports, named where they are entered."""
    thick = 2 if name in look.highlight else 1
    frame = f'BORDER="{thick}" STYLE="ROUNDED" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" COLOR="{style.INK}"'
    texts = [spelled(name, look.labels), *([f"→ {plan.looks[name]}"] if name in plan.looks else [])]
    rows = "".join(f"<TR>{_cell(text)}</TR>" for text in texts)
    if name.startswith("a"):
        ports = "".join(
            f'<TD PORT="{port}" FIXEDSIZE="TRUE" WIDTH="{CELL // 3}" HEIGHT="{STRIP}">'
            f"{_font(port, style.PORT_SIZE) if port in plan.ports[name] else ''}</TD>"
            for port in PORTS
        )
        rows += f"<TR>{ports}</TR>"
    return f'<<TABLE {frame} BGCOLOR="{style.LIGHT.fills[style.kind(name)]}">{rows}</TABLE>>'


def _cell(text: str) -> str:
    size = f'FIXEDSIZE="TRUE" WIDTH="{CELL}" HEIGHT="{LABEL}"'
    return f'<TD COLSPAN="{len(PORTS)}" {size}>{_font(text, style.LABEL_SIZE)}</TD>'


def _font(content: str, size: float) -> str:
    return f'<FONT POINT-SIZE="{size:g}">{html.escape(content)}</FONT>'


def _left_aligned(*texts: str) -> str:
    r"""Escape and wrap texts; DOT ends a left-aligned line with ``\l``."""
    lines = [line for text in texts for line in textwrap.wrap(text, CAPTION_COLUMNS)]
    return "".join(f"{graphviz.escape(line)}\\l" for line in lines)
