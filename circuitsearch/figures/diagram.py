"""A circuit as a figure for a paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.figures.canvas import FORMATS, encode, figure_style, suffix_of
from circuitsearch.figures.dot import dot_source
from circuitsearch.figures.insets import insets_of
from circuitsearch.figures.page import POINTS, WIDTHS, inches
from circuitsearch.figures.paint import Look, paint, room_for_drawing
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import Plan, check_size, plan
from circuitsearch.figures.style import NODE_WIDTH, theme_named
from circuitsearch.files import write_bytes
from circuitsearch.graph import Graph
from circuitsearch.names import LOGITS, canonical_name
from circuitsearch.roles import Roles, roles_of

if TYPE_CHECKING:
    from torch import Tensor

    from circuitsearch.validation.report import Report

WIDEST = WIDTHS["two-column"]  # inches: the largest width of a figure without a given width
ROOM_BESIDE = 0.7  # of a column's room that a head with its inset may take


def draw_circuit(
    circuit: Circuit,
    path: str | Path,
    *,
    report: Report | None = None,
    inclusion: Tensor | None = None,
    caption: str | None = None,
    highlight: Iterable[str] = (),
    roles: Roles | None = None,
    insets: Mapping[str, Any] | None = None,
    tokens: Sequence[str] = (),
    theme: str = "light",
    width: str | float | None = None,
) -> None:
    """Draw a circuit as a figure; see :func:`circuitsearch.draw`."""
    suffix = suffix_of(path, (*FORMATS, "dot", "html"))
    if suffix == "html":
        from circuitsearch.figures.viewer import draw_page

        draw_page(circuit, path, report=report)
        return
    check_size(circuit, suffix)
    text = caption_for(circuit, report) if caption is None else caption
    look = Look(theme_named(theme), None if width is None else POINTS * inches(width), plain_text(text))
    figure = plan(circuit, roles_of(circuit, roles), inclusion)
    finish(figure, circuit, path, look, insets or {}, tokens, highlight)


def finish(
    figure: Plan,
    circuit: Circuit,
    path: str | Path,
    look: Look,
    insets: Mapping[str, Any],
    tokens: Sequence[str],
    highlight: Iterable[str],
) -> None:
    """Place and paint a plan, and write the file."""
    suffix = suffix_of(path, (*FORMATS, "dot"))
    thick = frozenset(_node_named(circuit.graph, figure.row_of, name) for name in highlight)
    patterns = {_node_named(circuit.graph, figure.row_of, name): pattern for name, pattern in insets.items()}
    if suffix == "dot":
        write_bytes(path, dot_source(figure, look.caption).encode())
        return
    with figure_style():
        room = room_for_drawing(look.width or POINTS * WIDEST)
        beside = insets_of(patterns, tokens, ROOM_BESIDE * room / len(figure.columns) - NODE_WIDTH)
        sizes = {name: inset.size for name, inset in beside.items()}
        placed = place(figure, room, sizes, fill=look.width is not None)
        content = encode(paint(placed, replace(look, insets=beside, highlight=thick)), suffix)
    write_bytes(path, content)


def _node_named(graph: Graph, nodes: Mapping[str, object], name: str) -> str:
    """Canonical name of the node ``name``, in any spelling; an InputError if the figure does not have it."""
    canonical = canonical_name(name)
    if canonical != LOGITS and canonical not in nodes:
        canonical = graph.writers[graph.find_writer(name)]
    if canonical not in nodes:
        raise InputError(f"the circuit has no node {name!r}: it has {', '.join(list(nodes)[:8])} ...")
    return canonical


def caption_for(
    circuit: Circuit, report: Report | None = None, *, model: str | None = None, method: str | None = None
) -> str:
    """The caption of a figure: what it shows, and the evidence for it.

    Examples
    --------
    >>> from circuitsearch.graph import Graph
    >>> circuit = Circuit.from_edges(Graph(12, 12, 12), [("embed", "m0<in>"), ("m0", "logits")])
    >>> print(caption_for(circuit, model="gpt2", method="EAP()"))
    Circuit of gpt2: 2 of 32,491 edges (0.0062%), scored by EAP().
    """
    share = 100 * len(circuit) / circuit.graph.n_edges
    subject = "Circuit" + (f" of {model}" if model else "") + (f" on {report.task}" if report else "")
    size = f"{len(circuit):,} of {circuit.graph.n_edges:,} edges ({share:.2g}%)"
    drawn = (
        ", drawn by their effects in the circuit"
        if circuit.effects is not None
        else f", scored by {method}"
        if method
        else ""
    )
    first = f"{subject}: {size}{drawn}."
    return first if report is None else f"{first} {_evidence(report)}"


def _evidence(report: Report) -> str:
    faithful = report.faithfulness
    others = "".join(f"; {each.caption}" for each in report.measurements if each.caption)
    ends = f"{report.confidence:.0%} interval [{faithful.low:.3f}, {faithful.high:.3f}]"
    interval = "no interval" if isnan(faithful.low) else ends
    setting = f"metric {report.metric}; ablated edges carry {report.ablation}"
    return (f"Faithfulness on {report.prompts}: {faithful.value:.3f}, {interval}{others} ({setting}).") + "".join(
        f" Caution: {caution}." for caution in report.cautions
    )
