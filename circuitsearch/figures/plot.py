"""What all plots share: colours of a theme, size in inches, names of metrics."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitsearch.escape import plain_text
from circuitsearch.figures import style
from circuitsearch.figures.canvas import encode, figure_style, suffix_of
from circuitsearch.figures.page import inches
from circuitsearch.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.25  # inches: one column of a two-column page
LETTERS = 17  # of the title to an inch
LONGEST = 300  # letters of a title that are used
LABEL = 40  # letters of an axis's label


def write_plot(
    path: str | Path,
    make: Callable[[style.Theme, float], Figure],
    theme: str = "light",
    width: str | float | None = None,
) -> None:
    """Make a figure in a theme's colours and of a width in inches, and write it as the path's suffix says.

    Raises
    ------
    InputError
        If the suffix, the theme or the width is unknown.
    OSError
        If the file cannot be written.
    """
    suffix, chosen = suffix_of(path), style.theme_named(theme)
    across = COLUMN if width is None else inches(width)
    with figure_style(colours(chosen)):
        write_bytes(path, encode(make(chosen, across), suffix))


def colours(theme: style.Theme) -> dict[str, Any]:
    """A theme and its sizes as Matplotlib's settings."""
    ink = ("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "text.color", "xtick.color", "ytick.color")
    paper = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "hatch.color")
    sizes = {"axes.labelsize": style.LABEL_SIZE, "axes.titlesize": style.LABEL_SIZE, "axes.linewidth": 0.6}
    small = dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), style.TEXT_SIZE)
    ticks = {f"{axis}tick.{which}.width": 0.6 for axis in "xy" for which in ("major", "minor")}
    ticks |= {f"{axis}tick.major.size": 2.5 for axis in "xy"} | {f"{axis}tick.minor.size": 1.5 for axis in "xy"}
    looks = {"legend.frameon": False, "axes.titlelocation": "left"}
    return dict.fromkeys(ink, theme.ink) | dict.fromkeys(paper, theme.paper) | sizes | small | ticks | looks


def panel(width: float, height: float) -> tuple[Figure, Axes]:
    """One set of axes that fills a figure of so many inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def title(figure: Figure, text: str) -> None:
    """A title above everything, wrapped to the figure's width."""
    lines = textwrap.wrap(plain_text(text[:LONGEST]), int(LETTERS * figure.get_figwidth()))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=style.LABEL_SIZE)


def axis_label(text: str, letters: int = LABEL) -> str:
    """Text that fits beside an axis, shortened if needed."""
    shown = plain_text(text[:LONGEST])
    return shown if len(shown) <= letters else f"{shown[: letters - 1]}…"
