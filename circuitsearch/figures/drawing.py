"""``draw``: a circuit, the result of an instrument, or the specificity of circuits, as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.figures.diagram import draw_circuit
from circuitsearch.figures.results import draw_result
from circuitsearch.instruments.result import Result
from circuitsearch.roles import Roles
from circuitsearch.validation.cross_task import Specificity
from circuitsearch.validation.report import Report


@overload
def draw(
    drawn: Circuit,
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
) -> None: ...
@overload
def draw(drawn: Result | Specificity, path: str | Path) -> None: ...
def draw(drawn: Circuit | Result | Specificity, path: str | Path, **options: Any) -> None:
    """Draw a circuit (layers from bottom to top, colour by sign, width by strength, line style by port), or a result as heatmaps.

    Blue edges support the behaviour, orange ones oppose it; the width is linear in its strength: the effect in the circuit if
    that was measured (``circuit.effects``), else the score. Edges into q are dashed, into
    k dotted, all others solid. Where nodes share a port, an edge into it is drawn to each of them that the circuit uses.
    In a large circuit the strongest edges are drawn one by one; the others are bundled between rows, thin and faint. A circuit
    with nodes by token span has a column for each span; arrows show from which tokens a head reads. The same circuit
    gives the same bytes; fonts are embedded.

    Parameters
    ----------
    drawn : Circuit or Result or Specificity
        What to draw. Edges without a score are grey and of one width. The result of an instrument, and the specificity of circuits,
        are drawn as heatmaps, as SVG, PDF, PNG or TikZ; the options below do not apply to them.
    path : path
        The file to write; its suffix chooses SVG, PDF, PNG (300 dpi), TikZ, DOT, or HTML: an interactive page, for which of the
        options below only ``report`` applies.
    report : Report, optional
        Its numbers are in the caption, if no caption is given.
    inclusion : Tensor, optional
        (U, V) how often repeated searches find each edge, 0 to 1, as :func:`circuitsearch.stability` gives it: the width of the lines,
        while the strengths only give their colours. An HTML page does not show it.
    caption : str, optional
        Text below the figure; see :func:`caption_for`. An empty text draws none.
    highlight : iterable of str
        Nodes to emphasise with a thick frame, in any tool's spelling.
    roles : mapping or path, optional
        What nodes do, ``{"a0.h0": "previous token"}``, or a JSON file of it: nodes of one role are drawn in a labelled box.
        ``cs.instruments.head_roles(...).by_head`` has this form.
    insets : mapping, optional
        Attention patterns, (T, T) from query to key, to draw beside heads: ``{"a1.h2": pattern}``.
    tokens : sequence of str
        Names of the T tokens of the insets.
    theme : str
        ``"light"`` or ``"dark"``.
    width : str or float, optional
        Of the page: ``"one-column"``, ``"two-column"``, a venue's (``"neurips"``, ``"icml-column"``, ``"acl"`` ...) or
        inches. Font sizes in points do not change. By default as wide as needed, at most two columns.

    Raises
    ------
    InputError
        If the value cannot be drawn, the circuit is empty or too large for a page, the suffix, a node, the theme or the width is
        unknown, roles or insets cannot be read, or Graphviz is not installed.
    OSError
        If the file cannot be written.
    """
    if isinstance(drawn, Circuit):
        draw_circuit(drawn, path, **options)
    else:
        draw_result(drawn, path, **options)
