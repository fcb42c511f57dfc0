"""A plan as DOT, to draw or edit it with Graphviz."""

from __future__ import annotations

import html
import textwrap
from itertools import pairwise

import graphviz

from circuitsearch.figures import style
from circuitsearch.figures.plan import Plan, Row, Strand
from circuitsearch.names import PORTS

CAPTION_COLUMNS = 90
FONTS = "Helvetica,Arial,DejaVu Sans,sans-serif"
DASHES = {"dash-dot": "dashed"}  # Graphviz has no dash-dot
CELL, LABEL, STRIP = 42, 15, 8  # points: a node's width, and the heights of its name and of its ports


def dot_source(plan: Plan, caption: str = "") -> str:
    """Write a plan as DOT, with its key and any text below it."""
    graph = graphviz.Digraph("circuit")
    graph.attr(rankdir="BT", newrank="true", nodesep="0.1", ranksep="0.4", splines="true", outputorder="edgesfirst")
    graph.attr("node", shape="none", margin="0", width="0", height="0", fontname=FONTS)
    graph.attr("edge", arrowhead="none")
    key = _key(plan)
    graph.attr(label=_left_aligned(key, caption), labeljust="l", fontname=FONTS, fontsize=str(style.TEXT_SIZE))
    for row in plan.rows:
        _add_row(graph, plan, row)
    for below, above in pairwise(plan.rows):  # rows without edges between them keep their order
        graph.edge(below.nodes[0], above.nodes[0], style="invis", weight="0")
    for strand in plan.strands:
        _add_strand(graph, plan, strand)
    for source, target in plan.arrows:
        graph.edge(
            f"{source}:n", f"{target}:n", color=style.FAINT, arrowhead="vee", arrowsize="0.5", constraint="false"
        )
    return graph.source


def _key(plan: Plan) -> str:
    if plan.sides:
        return f"grey: in both; blue, dashed: only {plan.sides[0]}; orange, dotted: only {plan.sides[1]}"
    return f"blue: supports, orange: opposes, width: {plan.measure} up to {plan.strongest:.2g}; dashed: into q, dotted: into k"


def _add_row(graph: graphviz.Digraph, plan: Plan, row: Row) -> None:
    rank = graphviz.Digraph(graph_attr={"rank": "same"})
    for name in row.nodes:
        rank.node(name, label=_table(name, plan.ports[name]))
    graph.subgraph(rank)


def _add_strand(graph: graphviz.Digraph, plan: Plan, strand: Strand) -> None:
    port, colour = f"{strand.port}:s" if strand.port in PORTS else "s", style.LIGHT.lines[strand.says]
    graph.edge(
        f"{strand.writer}:n",
        f"{strand.head}:{port}",
        color=f"{colour}:invis:{colour}" if strand.replaceable else colour,
        penwidth=f"{style.width(strand.strength, plan.strongest):.2f}",
        style=DASHES.get(strand.dash, strand.dash),
        tooltip=f"{strand.writer}->{strand.reader}" + ("" if strand.strength is None else f" {strand.strength:+.4g}"),
    )


def _table(name: str, entered: frozenset[str]) -> str:
    """Label of a node: its name, and for a head a strip with its ports, named where they are entered."""
    frame = f'BORDER="1" STYLE="ROUNDED" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" COLOR="{style.INK}"'
    rows = f"<TR>{_cell(name)}</TR>"
    if name.startswith("a"):
        ports = "".join(
            f'<TD PORT="{port}" FIXEDSIZE="TRUE" WIDTH="{CELL // 3}" HEIGHT="{STRIP}">'
            f"{_font(port, style.PORT_SIZE) if port in entered else ''}</TD>"
            for port in PORTS
        )
        rows += f"<TR>{ports}</TR>"
    return f'<<TABLE {frame} BGCOLOR="{style.LIGHT.fills[style.kind(name)]}">{rows}</TABLE>>'


def _cell(name: str) -> str:
    size = f'FIXEDSIZE="TRUE" WIDTH="{CELL}" HEIGHT="{LABEL}"'
    return f'<TD COLSPAN="{len(PORTS)}" {size}>{_font(name, style.LABEL_SIZE)}</TD>'


def _font(content: str, size: float) -> str:
    return f'<FONT POINT-SIZE="{size:g}">{html.escape(content)}</FONT>'


def _left_aligned(*texts: str) -> str:
    r"""Escape and wrap texts; DOT ends a left-aligned line with ``\l``."""
    lines = [line for text in texts for line in textwrap.wrap(text, CAPTION_COLUMNS)]
    return "".join(f"{graphviz.escape(line)}\\l" for line in lines)
