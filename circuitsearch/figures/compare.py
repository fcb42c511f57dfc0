"""Two circuits of one graph in one figure: shared edges, and edges of one circuit only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.figures import style
from circuitsearch.figures.canvas import FORMATS, suffix_of
from circuitsearch.figures.diagram import Options, Size, finish
from circuitsearch.figures.plan import Plan, check_size, plan
from circuitsearch.roles import Roles, roles_of


def draw_comparison(
    first: Circuit,
    second: Circuit,
    path: str | Path,
    *,
    names: tuple[str, str] = ("the first", "the second"),
    **options: Unpack[Options],
) -> Size | None:
    """Draw two circuits of one graph: shared edges solid, those of the first only dashed, of the second only dotted.

    The legend counts them. The width of an edge is its strength relative to the strongest edge of its own circuit, because the
    scores of two methods may have different units; of a shared edge the larger of the two is drawn.

    Parameters
    ----------
    first, second : Circuit
        The circuits to compare.
    path : path
        The file to write; its suffix chooses SVG, PDF, PNG (300 dpi), TikZ or DOT.
    names : (str, str)
        Names of the circuits in the legend.
    **options
        As in :func:`circuitsearch.draw`.

    Returns
    -------
    (float, float), optional
        Width and height in inches, of a figure for a page.

    Raises
    ------
    InputError
        If the circuits are of different graphs, or as in :func:`circuitsearch.draw`.
    OSError
        If the file cannot be written.
    """
    suffix = suffix_of(path, (*FORMATS, "dot"))
    if len(names) != 2:
        raise InputError(f"give two names, one for each circuit, not {names!r}")
    sides = tuple(plain_text(name) for name in names)
    both, figure = compared(first, second, sides, options.get("roles"))
    check_size(both, suffix)
    return finish(figure, both, path, " and ".join(sides), options)


def compared(first: Circuit, second: Circuit, sides: Sequence[str], roles: Roles | None = None) -> tuple[Circuit, Plan]:
    """The union of two circuits, and the plan in which each edge is marked by the circuits that have it.

    Raises
    ------
    InputError
        If the circuits are of different graphs.
    """
    if first.graph != second.graph:
        raise InputError(
            f"circuits can be compared only within one graph: these are of {first.graph} and {second.graph}"
        )
    both = Circuit(first.graph, first.mask | second.mask)
    figure = plan(both, roles_of(both, roles))
    strengths = [_strengths(first), _strengths(second)]
    strands = []
    for strand in figure.strands:
        edge = (strand.writer, strand.reader)
        known = [own[edge] for own in strengths if own.get(edge) is not None]
        says = style.SHARED if all(edge in own for own in strengths) else style.FIRST
        says = style.SECOND if edge not in strengths[0] else says
        strands.append(replace(strand, says=says, strength=max(known, default=None)))  # pyright: ignore[reportArgumentType]
    return both, replace(figure, strands=tuple(strands), sides=tuple(sides))


def _strengths(circuit: Circuit) -> dict[tuple[str, str], float | None]:
    """The magnitude of each edge's effect, or else score, as a share of the circuit's largest; None for an edge without one."""
    strengths = {edge: circuit.strength(*edge) for edge in circuit.edges}
    known = {edge: abs(value) for edge, value in strengths.items() if value is not None and math.isfinite(value)}
    largest = max(known.values(), default=0.0) or 1.0
    return {edge: known[edge] / largest if edge in known else None for edge in strengths}
