"""Faithfulness against size, with the circuit and random circuits of its size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.figures import style
from circuitsearch.figures.plot import panel, title, write_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from circuitsearch.validation.report import Report

SHAPE = 0.72  # height over width


def draw_curve(report: Report, path: str | Path, *, theme: str = "light", width: str | float | None = None) -> None:
    """Draw a report's faithfulness against the number of edges kept, as SVG, PDF, PNG or TikZ by the path's suffix.

    The curve shows the circuits of the strongest edges at each size, and its band the interval over prompts. The dot, with its
    interval, is the circuit; the crosses are random circuits of its size. The same report gives the same bytes.

    Parameters
    ----------
    report : Report
        What :func:`circuitsearch.validate` found.
    path : path
        The file to write.
    theme : str
        ``"light"`` or ``"dark"``.
    width : str or float, optional
        A venue's name as in :func:`circuitsearch.draw`, or inches; one column by default.

    Raises
    ------
    InputError
        If the suffix, the theme or the width is unknown.
    OSError
        If the file cannot be written.
    """
    write_plot(path, lambda look, across: _figure(report, look, across), theme, width)


def _figure(report: Report, theme: style.Theme, width: float) -> Figure:
    figure, axes = panel(width, SHAPE * width)
    for height in (0, 1):
        axes.axhline(height, color=theme.rule, linewidth=0.7, zorder=0)
    _curve(axes, report, theme)
    _circuit(axes, report, theme)
    if report.controls:
        sizes = [report.n_edges] * len(report.controls)
        label = f"{len(report.controls)} random circuits"
        axes.plot(sizes, report.controls, "x", color=theme.faint, markersize=4, label=label, zorder=3)
    _labels(figure, axes, report)
    return figure


def _curve(axes: Axes, report: Report, theme: style.Theme) -> None:
    if not report.curve:
        return
    sizes, values = zip(*((point.n_edges, point.faithfulness) for point in report.curve), strict=True)
    axes.plot(sizes, values, color=theme.ink, linewidth=1.1, marker=".", markersize=4, label="strongest edges")
    known = [point for point in report.curve if point.low is not None and point.high is not None]
    if known:
        sizes, lows, highs = zip(*((point.n_edges, point.low, point.high) for point in known), strict=True)
        shade = style.faded(style.faded(theme.ink, theme.paper), theme.paper)
        label = f"its {report.confidence:.0%} interval"
        axes.fill_between(sizes, lows, highs, color=shade, linewidth=0, zorder=0.5, label=label)


def _circuit(axes: Axes, report: Report, theme: style.Theme) -> None:
    value, low, high = report.faithfulness.value, report.faithfulness.low, report.faithfulness.high
    colour = theme.lines["supports"]
    axes.plot([report.n_edges] * 2, [low, high], color=colour, linewidth=1.3, zorder=4)
    label = f"circuit: {value:.2f} [{low:.2f}, {high:.2f}]"
    axes.plot(report.n_edges, value, "o", color=colour, markersize=5, label=label, zorder=5)


def _labels(figure: Figure, axes: Axes, report: Report) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    smallest = min([max(1, report.n_edges), *(max(1, point.n_edges) for point in report.curve)])
    axes.set_xlim(smallest * 0.8, report.n_edges_total * 1.15)
    axes.set_xlabel(f"edges kept, of {report.n_edges_total:,}")
    axes.set_ylabel("faithfulness (share of the behaviour)")
    title(figure, f"{report.task}, {report.prompts}")
    axes.legend()
