"""A circuit as a figure for a paper."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures.canvas import FORMATS, encode, house_style, plain_text, suffix_of, write
from circuitsearch.figures.dot import dot_source
from circuitsearch.figures.paint import paint
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import plan
from circuitsearch.graph import LOGITS, canonical_name

if TYPE_CHECKING:
    from circuitsearch.validation.report import Report


def draw(
    circuit: Circuit,
    path: str | Path,
    *,
    report: Report | None = None,
    caption: str | None = None,
    highlight: Iterable[str] = (),
) -> None:
    """Draw a circuit as a figure: layers from bottom to top, colour by sign, width by strength, line style by port.

    Blue (dark in grey) edges support the behaviour, orange (light) ones oppose it; the width is linear in |score|.
    Edges into q are dashed, into k dotted, all others solid. Where heads share keys and values, an edge into the shared
    port is drawn to each head of the group that the circuit uses. The same circuit gives the same bytes.

    Parameters
    ----------
    circuit : Circuit
        What to draw; edges without a score are grey, of one width.
    path : path
        Where to; its suffix chooses SVG, PDF, PNG (300 dpi) or DOT.
    report : Report, optional
        Its numbers make the caption, if none is given.
    caption : str, optional
        Text below the figure; see :func:`caption_for`. An empty one leaves it out.
    highlight : iterable of str
        Nodes to emphasise with a thick frame, in any tool's spelling.

    Raises
    ------
    InputError
        If the circuit is empty, the suffix or a node is unknown, or there is no Graphviz to lay the figure out.
    OSError
        If the place cannot be written to.
    """
    suffix = suffix_of(path, (*FORMATS, "dot"))
    figure_plan = plan(circuit)
    text = plain_text(caption_for(circuit, report) if caption is None else caption)
    thick = frozenset(_node(circuit, name) for name in highlight)
    if suffix == "dot":
        write(path, dot_source(figure_plan, text).encode())
        return
    placed = place(figure_plan)
    with house_style():
        write(path, encode(paint(figure_plan, placed, text, thick), suffix))


def caption_for(
    circuit: Circuit, report: Report | None = None, *, model: str | None = None, method: str | None = None
) -> str:
    """Say in two sentences what a figure shows and what stands behind it.

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
    first = f"{subject}: {size}" + (f", scored by {method}." if method else ".")
    return first if report is None else f"{first} {_evidence(report)}"


def _evidence(report: Report) -> str:
    faithful = report.faithfulness
    controls = ""
    if report.controls:
        mean = sum(report.controls) / len(report.controls)
        controls = f"; {len(report.controls)} random circuits of its size: {mean:.3f} on average"
    setting = f"metric {report.metric}; cut edges carry {report.ablation}"
    return (
        f"Faithfulness on {report.n:,} held-out prompts {faithful.value:.3f}, {report.confidence:.0%} interval "
        f"[{faithful.low:.3f}, {faithful.high:.3f}]{controls} ({setting})."
    )


def _node(circuit: Circuit, name: str) -> str:
    """Canonical name of a node of the circuit that a person called ``name``."""
    canonical = canonical_name(name)
    if canonical != LOGITS:
        canonical = circuit.graph.writers[circuit.graph.find_writer(name)]
    if canonical not in circuit.nodes:
        raise InputError(f"cannot highlight {name!r}: the circuit has no such node")
    return canonical
