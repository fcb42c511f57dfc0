"""How alike some circuits are: each two of them in a heatmap, all of them in a tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from circuitsearch.errors import InputError
from circuitsearch.figures import style
from circuitsearch.figures.plot import axis_label, write_plot
from circuitsearch.figures.plot import title as draw_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, LINE = 0.19, 0.16  # inches: a cell of the heatmap; a label of the tree
LETTER, BAR = 0.07, 1.6  # inches, about: a label's letter; the colour bar, and what the layout may need
LONGEST = 36  # letters of a label that are drawn
NUMBERED = 16  # circuits, up to which the cells have their numbers
LEAST_WIDTH = 3.25


def draw_overlap(
    values: ArrayLike, labels: Sequence[str], path: str | Path, *, title: str = "", unit: str = "", theme: str = "light"
) -> None:
    """Draw a share, from 0 to 1, of each two of N circuits, as SVG, PDF, PNG or TikZ by the path's suffix.

    Up to 16 circuits have their numbers in the cells, in hundredths. The same values give the same bytes.

    Parameters
    ----------
    values : array
        (N, N), symmetric.
    labels : sequence of str
        A name of each circuit.
    path : path
        The file to write.
    title, unit : str
        Title, and label of the colour bar.
    theme : str
        ``"light"`` or ``"dark"``.

    Raises
    ------
    InputError
        If the shapes do not fit, or the suffix or the theme is unknown.
    OSError
        If the file cannot be written.
    """
    shares = np.asarray(values, dtype=float)
    if shares.shape != (len(labels), len(labels)) or not len(labels):
        raise InputError(f"a heatmap of {len(labels)} circuits takes as many rows and columns, not {shares.shape}")
    names = [axis_label(label, LONGEST) for label in labels]
    write_plot(path, lambda look, _: _heatmap(shares, names, title, unit, look), theme)


def _heatmap(shares: Any, names: list[str], title: str, unit: str, theme: style.Theme) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    side, margin = CELL * len(names), LETTER * max(map(len, names)) + 0.3
    size = max(LEAST_WIDTH, side + margin + BAR), side + margin + 0.4
    figure = Figure(figsize=size, layout="compressed")  # the layout for axes whose aspect is fixed
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("share", (theme.paper, theme.lines["supports"]))
    look = {"cmap": colours, "vmin": 0, "vmax": 1, "edgecolors": theme.rule, "linewidth": 0.3}
    mesh = axes.pcolormesh(np.arange(len(names) + 1) - 0.5, np.arange(len(names) + 1) - 0.5, shares, **look)
    axes.set(aspect="equal")
    axes.invert_yaxis()
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(names) <= NUMBERED:
        _numbers(axes, shares, theme)
    bar = figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_label(axis_label(unit, 60), fontsize=style.TEXT_SIZE)
    draw_title(figure, title)
    return figure


def _numbers(axes: Axes, shares: Any, theme: style.Theme) -> None:
    """Hundredths, in the paper's colour where the cell is dark."""
    for row, column in np.argwhere(shares > 0.005):
        share = shares[row, column]
        colour = theme.paper if share > 0.5 else theme.ink
        axes.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=style.TEXT_SIZE - 1
        )


def draw_tree(
    linkage: ArrayLike,
    labels: Sequence[str],
    path: str | Path,
    *,
    title: str = "",
    unit: str = "",
    theme: str = "light",
) -> None:
    """Draw a tree of N circuits, the leaves on the right, as SVG, PDF, PNG or TikZ by the path's suffix.

    Parameters
    ----------
    linkage : array
        (N - 1, 4) from :func:`scipy.cluster.hierarchy.linkage`.
    labels, path, title, theme
        As for :func:`draw_overlap`.
    unit : str
        Label of the axis of distances.

    Raises
    ------
    InputError
        If the shapes do not fit, or the suffix or the theme is unknown.
    OSError
        If the file cannot be written.
    """
    joined = np.asarray(linkage, dtype=float)
    if joined.shape != (len(labels) - 1, 4) or len(labels) < 2:
        raise InputError(
            f"a tree of {len(labels)} circuits joins two or more in as many steps less one, not {joined.shape}"
        )
    names = [axis_label(label, LONGEST) for label in labels]
    write_plot(path, lambda look, _: _tree(joined, names, title, unit, look), theme)


def _tree(joined: Any, names: list[str], title: str, unit: str, theme: style.Theme) -> Figure:
    from matplotlib.figure import Figure
    from scipy.cluster.hierarchy import dendrogram

    width = max(LEAST_WIDTH, 2.6 + LETTER * max(map(len, names)))
    figure = Figure(figsize=(width, LINE * len(names) + 0.8), layout="constrained")
    axes = figure.add_subplot()
    ink = theme.ink
    dendrogram(
        joined, labels=names, orientation="left", ax=axes, link_color_func=lambda _: ink, leaf_font_size=style.TEXT_SIZE
    )  # fmt: skip
    for lines in axes.collections:
        lines.set_linewidth(0.8)  # pyright: ignore[reportAttributeAccessIssue]
    axes.set_xlim(max(1.0, joined[:, 2].max()) * 1.02, -0.02)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_xlabel(axis_label(unit, 60))
    draw_title(figure, title)
    return figure
