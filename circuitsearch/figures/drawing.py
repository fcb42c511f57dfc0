"""The one verb that draws: a circuit, or what an instrument found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from circuitsearch.circuit import Circuit
from circuitsearch.figures.diagram import draw_circuit
from circuitsearch.figures.results import draw_result
from circuitsearch.instruments.result import Result
from circuitsearch.roles import Roles
from circuitsearch.validation.report import Report


@overload
def draw(
    drawn: Circuit,
    path: str | Path,
    *,
    report: Report | None = None,
    caption: str | None = None,
    highlight: Iterable[str] = (),
    roles: Roles | None = None,
    insets: Mapping[str, Any] | None = None,
    tokens: Sequence[str] = (),
    theme: str = "light",
    width: str | float | None = None,
) -> None: ...
@overload
def draw(drawn: Result, path: str | Path) -> None: ...
def draw(drawn: Circuit | Result, path: str | Path, **options: Any) -> None:
    """Draw a circuit: layers from bottom to top, colour by sign, width by strength, line style by port. Or an instrument's result.

    Blue edges support the behaviour, orange ones oppose it; the width is linear in |score|. Edges into q are dashed, into
    k dotted, all others solid. Where nodes share a port, an edge into it is drawn to each of them that the circuit uses.
    Of a large circuit the strongest edges have ways of their own; the others run together between rows, thin and faint.
    A circuit of token positions has a column for each span; arrows tell from which tokens a head reads. The same circuit
    gives the same bytes; fonts are embedded.

    Parameters
    ----------
    drawn : Circuit or Result
        What to draw; a circuit's edges without a score are grey, of one width. What an instrument found becomes maps, as SVG,
        PDF, PNG or TikZ, and takes nothing of what follows the path.
    path : path
        Where to; its suffix chooses SVG, PDF, PNG (300 dpi), DOT, or HTML: a page to look around in, which takes
        the report alone of what follows.
    report : Report, optional
        Its numbers make the caption, if none is given.
    caption : str, optional
        Text below the figure; see :func:`caption_for`. An empty one leaves it out.
    highlight : iterable of str
        Nodes to emphasise with a thick frame, in any tool's spelling.
    roles : mapping or path, optional
        What nodes do, ``{"a0.h0": "previous token"}``, or a JSON file of it: nodes of one role stand in a labelled box.
        What ``cs.instruments.head_roles(...).by_head`` gives will do.
    insets : mapping, optional
        Attention patterns, (T, T) from query to key, to draw beside heads: ``{"a1.h2": pattern}``.
    tokens : sequence of str
        Names of the T tokens of the insets.
    theme : str
        ``"light"`` or ``"dark"``.
    width : str or float, optional
        Of the page: ``"one-column"``, ``"two-column"``, a venue's (``"neurips"``, ``"icml-column"``, ``"acl"`` ...) or
        inches. Fonts keep their size in points. By default as wide as need be, at most two columns.

    Raises
    ------
    InputError
        If there is no figure of such a value, the circuit is empty or too large for a page, the suffix, a node, the theme or the width is unknown, roles or
        insets cannot be read, or there is no Graphviz to lay the figure out.
    OSError
        If the place cannot be written to.
    """
    if isinstance(drawn, Circuit):
        draw_circuit(drawn, path, **options)
    else:
        draw_result(drawn, path, **options)
