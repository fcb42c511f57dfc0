"""Leave-one-out effects: bars of the faithfulness that a circuit loses without each edge."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.circuit import Certificate, Circuit
from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.figures import style
from circuitsearch.figures.plot import panel, title, write_plot
from circuitsearch.names import ends_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR, MARGINS = 0.14, 0.75  # inches


def draw_leave_one_out(
    circuit: Circuit,
    path: str | Path,
    *,
    most: int = 40,
    theme: str = "light",
    width: str | float | None = None,
) -> None:
    """Draw the faithfulness that is lost without each edge, as SVG, PDF, PNG or TikZ by the path's suffix.

    Edges are sorted by their loss. The effect or score of a blue edge says that it supports the behaviour, that of an orange edge that
    it opposes it. Beyond the dashed line the circuit misses its target faithfulness; every bar of a minimal circuit crosses it, or a second
    line on the left, beyond which the circuit overshoots.
    The same circuit gives the same bytes.

    Parameters
    ----------
    circuit : Circuit
        One that :func:`circuitsearch.minimal` found, with its certificate.
    path : path
        The file to write.
    most : int
        Largest number of edges drawn, those with the largest loss.
    theme, width
        As :func:`draw_curve` takes them.

    Raises
    ------
    InputError
        If the circuit has no certificate, or ``most`` is below 1; if the suffix, the theme or the width is unknown.
    OSError
        If the file cannot be written.
    """
    certificate = circuit.certificate
    if certificate is None or not certificate.without:
        raise InputError("the circuit has no certificate: circuits found by cs.minimal have one")
    if most < 1:
        raise InputError(f"at least one bar must be drawn, not {most}: change most")
    write_plot(path, lambda look, across: _figure(circuit, certificate, most, look, across), theme, width)


def _figure(circuit: Circuit, certificate: Certificate, most: int, theme: style.Theme, width: float) -> Figure:
    losses = {edge: certificate.faithfulness - left for edge, left in certificate.without.items()}
    order = sorted(losses, key=lambda edge: -losses[edge])[:most]
    figure, axes = panel(width, MARGINS + BAR * len(order))
    looks = [_colour(circuit, edge, theme) for edge in order]
    places = range(len(order))
    axes.barh(places, [losses[edge] for edge in order], height=0.72, color=looks, zorder=2)
    axes.set_yticks(places, [plain_text(edge).replace("->", " → ") for edge in order], fontsize=style.PORT_SIZE)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.axvline(0, color=theme.ink, linewidth=0.6, zorder=3)
    _asked(axes, certificate, theme)
    axes.set_xlabel("faithfulness lost without the edge")
    shown = "" if len(order) == len(losses) else f" (the {len(order)} that matter most)"
    head = f"{len(losses):,} edges{shown}; together {certificate.faithfulness:.3f} of the behaviour"
    title(figure, head)
    return figure


def _asked(axes: Axes, certificate: Certificate, theme: style.Theme) -> None:
    """The losses beyond which faithfulness misses the target: too little is left, or too much where an edge opposes it so much."""
    least, most = certificate.target, 2 - certificate.target
    ends = {f"less than {least:g} is left": least}
    if max(certificate.without.values()) > most:
        ends[f"more than {most:g} is left"] = most
    for label, left in ends.items():
        loss = certificate.faithfulness - left
        axes.axvline(loss, color=theme.faint, linewidth=0.8, linestyle=(0, (4, 3)), zorder=3, label=label)
    axes.legend(loc="lower right")


def _colour(circuit: Circuit, edge: str, theme: style.Theme) -> str:
    strength = circuit.strength(*ends_of(edge))
    if strength is None or not math.isfinite(strength):
        return theme.lines["unknown"]
    return theme.lines["supports" if strength >= 0 else "opposes"]
