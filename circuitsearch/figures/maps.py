"""Heatmaps: values by row and column in colour, one or several side by side; all instruments are drawn with them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING
from unicodedata import bidirectional, category

from circuitsearch import colours
from circuitsearch.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, WIDE_CELL = 0.2, 0.55  # inches; wider where cells have text
LEAST, MOST, SEVERAL = 1.3, 6.5, 3.8  # inches: of a map's side, and where there are several
PAGE = 11.0  # inches: maps side by side are no wider together
TICK = 0.13  # inches of a label beside another
RULED = 48  # columns up to which cells are ruled
LABEL = 14  # letters of a label
LETTER = 0.065  # inches of a letter at the size of a tick


@dataclass(frozen=True)
class Map:
    """One map.

    Attributes
    ----------
    values : rows of numbers
        R rows of C values; what is not finite is drawn grey.
    rows, columns : sequence of str
        Labels.
    title, row_name, column_name, unit : str
        Title, labels of the axes, and label of the colour bar.
    signed : bool
        Whether values may be negative, which are then orange; else white to blue, from zero.
    downwards : bool
        Whether the first row is on top.
    texts : rows of str
        Texts in the cells, if any.
    most : float
        Inches that a side may measure.
    letters : int
        Of a label, at most.
    """

    values: Sequence[Sequence[float]]
    rows: Sequence[str]
    columns: Sequence[str]
    title: str = ""
    row_name: str = ""
    column_name: str = ""
    unit: str = ""
    signed: bool = True
    downwards: bool = False
    texts: Sequence[Sequence[str]] = ()
    most: float = MOST
    letters: int = LABEL

    @property
    def row_labels(self) -> list[str]:
        """The labels of the rows, as they are shown."""
        return [label(row, self.letters) for row in self.rows]

    @property
    def column_labels(self) -> list[str]:
        """The labels of the columns, as they are shown."""
        return [label(column, self.letters) for column in self.columns]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches of the cells alone."""
        cell = max(CELL, 0.1 + 0.055 * max((len(text) for row in self.texts for text in row), default=0))
        width = min(max(LEAST, min(cell, WIDE_CELL) * len(self.columns)), self.most)
        return width, min(max(LEAST * 0.6, CELL * len(self.rows)), self.most)


def label(text: str, longest: int = LABEL) -> str:
    r"""A token as a label: spaces at its ends are visible, control and direction characters escaped, long tokens shortened.

    Examples
    --------
    >>> label(" Paris"), label("\n"), label("\u202eevil"), label("$x$")
    ('·Paris', '\\n', '\\u202eevil', '$x$')
    """
    inner = text.strip(" ")
    before, after = text.partition(inner)[::2] if inner else (text, "")
    shown = "·" * len(before) + one_line(inner) + "·" * len(after)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _seen(char: str) -> str:
    hidden = category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return char.encode("unicode_escape").decode() if hidden or bidirectional(char) in _TURNS else char


_TURNS = ("RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI")


def draw_maps(maps: Sequence[Map], title: str, across: int = 4) -> Figure:
    """Draw maps side by side, ``across`` of them in a row. Call within :func:`circuitsearch.figures.canvas.figure_style`."""
    from matplotlib.figure import Figure

    maps = maps if len(maps) == 1 else [replace(each, most=min(each.most, SEVERAL)) for each in maps]
    across = max(1, min(across, len(maps), int(PAGE / max(_space(each)[0] for each in maps))))
    down = -(-len(maps) // across)
    width = sum(max(_space(each)[0] for each in maps[column::across]) for column in range(across))
    lines = textwrap.wrap(one_line(title), max(20, int(width / LETTER)))
    height = sum(max(_space(each)[1] for each in maps[row * across : (row + 1) * across]) for row in range(down))
    figure = Figure(figsize=(width, height + 0.16 * len(lines)), layout="constrained")
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=style.LABEL_SIZE)
    grid = figure.subplots(down, across, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < len(maps):
            _draw(figure, axes, maps[place])
        else:
            axes.set_visible(False)
    return figure


def prompts(count: int) -> str:
    """How many prompts, in words.

    Examples
    --------
    >>> prompts(1), prompts(1200)
    ('1 prompt', '1,200 prompts')
    """
    return f"{count:,} prompt{'s' if count != 1 else ''}"


def one_line(text: str) -> str:
    """Text on one line whose hidden characters are escaped."""
    return "".join(char if char == " " else _seen(char) for char in " ".join(text.split(" ")))


def _space(each: Map) -> tuple[float, float]:
    """Width and height in inches of a map with its labels, colour bar and title."""
    width, height = each.size
    beside = max(map(len, each.row_labels), default=1) * LETTER + 0.3
    below = _longest(each) * LETTER * (0.9 if _steep(each) else 0) + 0.25
    return width + beside + 0.75, height + below + 0.45


def _longest(each: Map) -> int:
    return max(map(len, each.column_labels), default=1)


def _steep(each: Map) -> bool:
    """Whether two neighbouring labels below are too wide to be horizontal."""
    lengths = list(map(len, each.column_labels))
    widest = max((one + other for one, other in pairwise(lengths)), default=0) / 2 + 1
    return widest * LETTER > each.size[0] / max(1, len(each.columns))


def _draw(figure: Figure, axes: Axes, each: Map) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low = [colours.OPPOSES] if each.signed else []
    shades = LinearSegmentedColormap.from_list("map", [*low, "#ffffff", colours.SUPPORTS]).with_extremes(
        bad=style.FILL_END
    )
    finite = [abs(value) for row in each.values for value in row if isfinite(value)]
    most = max(finite, default=0.0) or 1.0
    shown = [[value if isfinite(value) else float("nan") for value in row] for row in each.values]
    rule = {"edgecolors": style.RULE, "linewidth": 0.2} if len(each.columns) <= RULED else {}
    mesh = axes.pcolormesh(shown, cmap=shades, vmin=-most if each.signed else 0.0, vmax=most, **rule)
    _ticks(axes, each)
    _texts(axes, each, most)
    bar = figure.colorbar(mesh, ax=axes, fraction=0.05, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(labelsize=style.PORT_SIZE, length=2)
    bar.set_label(one_line(each.unit), fontsize=style.TEXT_SIZE)


def _ticks(axes: Axes, each: Map) -> None:
    across, down = (
        range(0, count, 1 + int((count - 1) * TICK / side))
        for count, side in zip((len(each.columns), len(each.rows)), each.size, strict=True)
    )
    axes.set_xticks(
        [at + 0.5 for at in across], [each.column_labels[at] for at in across], rotation=90 if _steep(each) else 0
    )
    axes.set_yticks([at + 0.5 for at in down], [each.row_labels[at] for at in down])
    if each.downwards:
        axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=style.TEXT_SIZE, length=2)
    axes.set_xlabel(one_line(each.column_name), fontsize=style.LABEL_SIZE)
    axes.set_ylabel(one_line(each.row_name), fontsize=style.LABEL_SIZE)
    axes.set_title(one_line(each.title), fontsize=style.TEXT_SIZE, loc="left")


def _texts(axes: Axes, each: Map, most: float) -> None:
    """Cells' texts, white where the cell is dark."""
    for row, texts in enumerate(each.texts):
        for column, text in enumerate(texts):
            dark = each.values[row][column] > 0.6 * most
            place = {"ha": "center", "va": "center", "fontsize": style.PORT_SIZE}
            axes.text(column + 0.5, row + 0.5, label(text)[:9], color="white" if dark else style.INK, **place)
