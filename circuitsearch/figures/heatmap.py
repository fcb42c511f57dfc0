"""One number a head, layer by head, as in the figures of Wang et al. 2211.00593."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.figures import style
from circuitsearch.figures.plot import LETTERS, LONGEST, axis_label, write_plot
from circuitsearch.metrics import metric_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from torch import Tensor

    from circuitsearch.methods.paths import PathEffects

CELL, LEAST_WIDTH = 0.17, 3.25  # inches: a head's cell; one column of a two-column page
MARGINS, LINE = (1.4, 0.6), 0.15  # inches: for axes and colour bar; for a line of the title
TICKS = 12  # at most so many numbers on an axis
NAMED = 3  # receivers that the title names


def draw_heatmap(
    effects: PathEffects | Tensor,
    path: str | Path,
    *,
    mlps: Tensor | None = None,
    title: str = "",
    unit: str = "",
    theme: str = "light",
) -> None:
    """Draw a number of every head, by layer and head, as SVG, PDF, PNG or TikZ by the path's suffix.

    Blue is above zero (supports), orange below (opposes). Grey cells have no number (NaN): for a sweep, senders that come before
    none of the receivers. Layers go from bottom to top; the separate column is the MLP. The same numbers give the same bytes.

    Parameters
    ----------
    effects : PathEffects or Tensor
        The result of a sweep; or (L, H), any number for each head.
    path : path
        The file to write.
    mlps : Tensor, optional
        (L,) beside a tensor of heads: numbers of the MLPs.
    title, unit : str
        Title, and label of the colour bar; a sweep has its own.
    theme : str
        ``"light"`` or ``"dark"``.

    Raises
    ------
    InputError
        If a tensor has another shape, or the suffix or the theme is unknown.
    OSError
        If the file cannot be written.
    """
    grid = _grid_of(effects, mlps, title, unit)
    write_plot(path, lambda look, _: _figure(grid, look), theme)


@dataclass(frozen=True)
class Grid:
    """The numbers drawn: heads (L, H), MLPs (L, 1) if there are any, lines of the title, and the unit."""

    heads: Tensor
    mlps: Tensor | None
    title: tuple[str, ...]
    unit: str


def _grid_of(effects: PathEffects | Tensor, mlps: Tensor | None, title: str, unit: str) -> Grid:
    import torch

    if isinstance(effects, torch.Tensor):
        heads = effects.detach().cpu().double()
        beside = None if mlps is None else mlps.detach().cpu().double().reshape(-1, 1)
        if heads.dim() != 2 or not heads.numel() or (beside is not None and len(beside) != len(heads)):
            shapes = tuple(heads.shape), None if beside is None else (len(beside),)
            raise InputError(f"a heatmap takes heads (L, H), and MLPs (L,) of as many layers, not {shapes}")
        return Grid(heads, beside, (plain_text(title[:LONGEST]),), unit)
    values = torch.where(effects.connected, effects.values, torch.nan)[1:]
    values = values.unflatten(0, (effects.graph.n_layers, effects.graph.n_heads + 1))  # (L, H + 1)
    return Grid(
        values[:, :-1], values[:, -1:], _title(effects), f"fall of the {axis_label(metric_in_words(effects.metric))}"
    )


def _figure(grid: Grid, theme: style.Theme) -> Figure:
    from matplotlib.figure import Figure

    layers, heads = grid.heads.shape
    width = max(LEAST_WIDTH, CELL * (heads + 2) + MARGINS[0])
    title = [line for part in grid.title for line in textwrap.wrap(part, int(LETTERS * width))]
    height = max(1.0, CELL * layers) + MARGINS[1] + LINE * len(title)
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle("\n".join(title), x=0.02, ha="left", fontsize=style.TEXT_SIZE)
    axes = figure.add_subplot()
    mesh = _mesh(axes, grid, theme)
    _labels(axes, grid)
    bar = figure.colorbar(mesh, ax=axes, fraction=0.05, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_label(axis_label(grid.unit, int(LETTERS * height)), fontsize=style.TEXT_SIZE)
    return figure


def _mesh(axes: Axes, grid: Grid, theme: style.Theme) -> QuadMesh:
    """Cells of the heads (L, H), and a separate column for the MLPs; one scale, with white at zero."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = theme.lines["opposes"], theme.paper, theme.lines["supports"]
    colours = LinearSegmentedColormap.from_list("effect", ends).with_extremes(bad=theme.fills["end"])
    parts = [grid.heads] + ([] if grid.mlps is None else [grid.mlps])
    strongest = max(float(part.nan_to_num(0.0, 0.0, 0.0).abs().max()) for part in parts) or 1.0
    look = {"cmap": colours, "vmin": -strongest, "vmax": strongest, "edgecolors": theme.rule, "linewidth": 0.3}
    if grid.mlps is not None:
        axes.pcolormesh(*_corners(grid.mlps, grid.heads.shape[1] + 0.5), grid.mlps.numpy(), **look)
    return axes.pcolormesh(*_corners(grid.heads, -0.5), grid.heads.numpy(), **look)


def _corners(values: Tensor, left: float) -> tuple[list[float], list[float]]:
    """Corners of the cells (L, columns); the left side of the first column is at ``left``."""
    layers, columns = values.shape
    return [left + column for column in range(columns + 1)], [layer - 0.5 for layer in range(layers + 1)]


def _labels(axes: Axes, grid: Grid) -> None:
    layers, count = grid.heads.shape
    heads = range(0, count, 1 + (count - 1) // TICKS)
    mlp = {} if grid.mlps is None else {count + 1: "MLP"}
    axes.set_xticks([*heads, *mlp], [*map(str, heads), *mlp.values()])
    axes.set_yticks(range(0, layers, 1 + (layers - 1) // TICKS))
    axes.spines[:].set_visible(False)
    axes.set_xlabel("head")
    axes.set_ylabel("layer")


def _title(effects: PathEffects) -> tuple[str, str]:
    """Task and receivers; what was patched, and how often."""
    more = len(effects.receivers) - NAMED
    into = ", ".join(effects.receivers[:NAMED]) + (f" and {more} more" if more > 0 else "")
    task = plain_text(effects.task[:LONGEST])
    return f"{task}, into {plain_text(into)}", f"{effects.paths}, {effects.n:,} prompts"
