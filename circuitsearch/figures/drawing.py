"""``draw``: a circuit, the result of an instrument, or the specificity of circuits, as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack, overload

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.figures.diagram import Options, draw_circuit
from circuitsearch.figures.results import draw_result
from circuitsearch.instruments.result import Result
from circuitsearch.validation.cross_task import Specificity
from circuitsearch.validation.report import Report


@overload
def draw(
    drawn: Circuit,
    path: str | Path,
    *,
    report: Report | None = None,
    inclusion: Tensor | None = None,
    **options: Unpack[Options],
) -> None: ...
@overload
def draw(drawn: Result | Specificity, path: str | Path) -> None: ...
def draw(drawn: Circuit | Result | Specificity, path: str | Path, **options: Any) -> None:
    """Draw a circuit (layers from bottom to top, colour by sign, width by strength, line style by port), or a result as heatmaps.

    Blue edges support the behaviour, orange ones oppose it; the width is linear in its strength: the effect in the circuit if
    that was measured (``circuit.effects``), else the score. Edges into q are dashed, into
    k dotted, all others solid; arrowheads are at the readers. Three dots stand where layers have no nodes. Where nodes share a port, an edge into it is drawn to each of them that the circuit uses.
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
        Its numbers, and how the circuit was found, are written in words to ``x-caption.txt``, and for LaTeX to ``x-caption.tex``.
    inclusion : Tensor, optional
        (U, V) how often repeated searches find each edge, 0 to 1, as :func:`circuitsearch.stability` gives it: the style of the lines,
        solid if all found it, dashed if half or more, else dotted. An HTML page does not show it.
    title : str
        Text above the figure; it is also the title of a PDF.
    caption : str
        Text below the figure, in the picture itself; see :func:`caption_for`.
    highlight : iterable of str
        Nodes to emphasise with a thick frame, and edges, ``"a0.h1->a2.h3<q>"``, with a halo, in any tool's spelling.
    roles : mapping or path, optional
        What nodes do, ``{"a0.h0": "previous token"}``, or a JSON file of it: nodes of one role are drawn in a labelled box.
        ``cs.instruments.head_roles(...).by_head`` has this form.
    labels : str
        How heads are written: ``"a9.h9"``, ``"9.9"`` or ``"L9H9"``.
    example : ExamplePrompt, optional
        A prompt, as :func:`circuitsearch.example_prompt` makes it: it stands below the diagram, and in each head the token that the
        head attends to most from the last one.
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
