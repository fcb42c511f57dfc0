"""Faithfulness against size, with the circuit and the random circuits that it is held against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.figures import style
from circuitsearch.figures.canvas import encode, house_style, plain_text, suffix_of, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from circuitsearch.validation.report import Report

SIZE = (3.4, 2.5)  # inches: one column of a two-column page


def draw_curve(report: Report, path: str | Path) -> None:
    """Draw a report's faithfulness against the number of edges kept, as SVG, PDF or PNG by the path's suffix.

    The curve is the strongest edges at each size; the dot, with its interval, is the circuit; the crosses are random
    circuits of its size. The same report gives the same bytes.

    Raises
    ------
    InputError
        If the suffix is another.
    OSError
        If the place cannot be written to.
    """
    suffix = suffix_of(path)
    with house_style():
        write(path, encode(_figure(report), suffix))


def _figure(report: Report) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    for height in (0, 1):
        axes.axhline(height, color=style.RULE, linewidth=0.7, zorder=0)
    if report.curve:
        sizes, values = zip(*((point.n_edges, point.faithfulness) for point in report.curve), strict=True)
        axes.plot(sizes, values, color=style.INK, linewidth=1.1, marker=".", markersize=4, label="strongest edges")
    _circuit(axes, report)
    if report.controls:
        sizes = [report.n_edges] * len(report.controls)
        axes.plot(sizes, report.controls, "x", color=style.FAINT, markersize=4, label="random circuits", zorder=3)
    _labels(axes, report)
    return figure


def _circuit(axes: Axes, report: Report) -> None:
    value, low, high = report.faithfulness.value, report.faithfulness.low, report.faithfulness.high
    axes.plot([report.n_edges] * 2, [low, high], color=style.SUPPORTS, linewidth=1.3, zorder=4)
    axes.plot(report.n_edges, value, "o", color=style.SUPPORTS, markersize=5, label="circuit", zorder=5)


def _labels(axes: Axes, report: Report) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(right=report.n_edges_total * 1.15)
    axes.tick_params(labelsize=style.TEXT_SIZE)
    axes.set_xlabel(f"edges kept, of {report.n_edges_total:,}", fontsize=style.LABEL_SIZE)
    axes.set_ylabel("faithfulness", fontsize=style.LABEL_SIZE)
    title = plain_text(f"{report.task}, {report.n:,} held-out prompts")
    axes.set_title(title, fontsize=style.LABEL_SIZE, loc="left")
    axes.legend(fontsize=style.TEXT_SIZE, frameon=False)
