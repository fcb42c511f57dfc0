"""Estimated scores against measured effects, with their agreement in the corner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.figures import style
from circuitsearch.figures.plot import axis_label, panel, title, write_plot
from circuitsearch.metrics import metric_in_words
from circuitsearch.scores import Agreement, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 3000  # points, of the strongest edges: weaker ones would overlap at zero


def draw_agreement(
    scores: Scores,
    path: str | Path,
    *,
    exact: Scores | None = None,
    theme: str = "light",
    width: str | float | None = None,
) -> None:
    """Draw each edge's estimate against its measured effect, as SVG, PDF, PNG or TikZ by the path's suffix.

    On the diagonal both are equal; orange edges have the opposite sign to their estimate. The corner gives the number of
    measured edges, the rank correlation, and the share whose sign is right. The same scores give the same bytes.

    Parameters
    ----------
    scores : Scores
        Estimates; or those of ``Recheck``, which carry both.
    path : path
        The file to write.
    exact : Scores, optional
        Measured effects, of all edges or of some, by ``Exact``.
    theme, width
        As :func:`draw_curve` takes them.

    Raises
    ------
    InputError
        If nothing was measured, or the two are of different graphs; if the suffix, the theme or the width is unknown.
    OSError
        If the file cannot be written.
    """
    estimate, truth = _pairs(scores, exact)
    write_plot(path, lambda look, across: _figure(scores, estimate, truth, look, across), theme, width)


def _pairs(scores: Scores, exact: Scores | None) -> tuple[Tensor, Tensor]:
    """Estimates and measured effects of the edges that have both: (n,) each."""
    if exact is None:
        if scores.estimate is None:
            raise InputError(
                "these scores are estimates only: give exact=cs.score(model, task, cs.Exact()), or score with cs.Recheck"
            )
        # edges that were not measured keep their estimate
        both = scores.scored & (scores.values != scores.estimate)
        return scores.estimate[both], scores.values[both]
    if scores.graph != exact.graph:
        raise InputError("the two scores are of different graphs: give those of one model, at one granularity")
    both = scores.scored & exact.scored
    estimate = scores.values if scores.estimate is None else scores.estimate
    return estimate[both], exact.values[both]


def _figure(scores: Scores, estimate: Tensor, truth: Tensor, theme: style.Theme, width: float) -> Figure:
    figure, axes = panel(width, width)
    order = torch.sort(torch.maximum(estimate.abs(), truth.abs()), descending=True, stable=True).indices[:MOST]
    _frame(axes, torch.cat([estimate, truth]), theme)
    same = estimate[order].sign() == truth[order].sign()
    for says, chosen in (("supports", order[same]), ("opposes", order[~same])):
        axes.plot(
            truth[chosen].tolist(), estimate[chosen].tolist(), "o", color=theme.lines[says], markersize=2.6,
            markeredgewidth=0.3, markeredgecolor=theme.paper, zorder=3,
        )  # fmt: skip
    axes.set_xlabel(f"measured: fall of the {axis_label(metric_in_words(scores.metric))} when the edge is ablated")
    axes.set_ylabel("estimated fall")
    title(figure, f"{scores.task}: estimate against exact effects")
    box = {"facecolor": theme.paper, "edgecolor": "none", "pad": 2}
    place = {"transform": axes.transAxes, "ha": "left", "va": "top", "fontsize": style.TEXT_SIZE, "bbox": box}
    axes.text(0.03, 0.97, _told(Agreement.between(estimate, truth), len(order)), zorder=4, **place)
    return figure


def _frame(axes: Axes, values: Tensor, theme: style.Theme) -> None:
    """Both axes alike, with lines at zero and along the diagonal."""
    low, high = (min(0.0, float(values.min())), max(0.0, float(values.max()))) if len(values) else (0.0, 0.0)
    room = 0.06 * (high - low) or 1.0
    ends = (low - room, high + room)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.axhline(0, color=theme.rule, linewidth=0.6, zorder=0)
    axes.axvline(0, color=theme.rule, linewidth=0.6, zorder=0)
    axes.plot(ends, ends, color=theme.faint, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)


def _told(found: Agreement, drawn: int) -> str:
    shown = "" if drawn == found.n else f" ({drawn:,} strongest shown)"
    ranks = "" if found.spearman != found.spearman else f"\nrank correlation {found.spearman:.2f}"
    return f"{found.n:,} edges{shown}{ranks}\nsame sign: {found.signs:.0%} (blue)"
