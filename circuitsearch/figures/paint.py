"""A placed plan as a Matplotlib figure: bands for layers, strands, nodes, a legend and a caption. Units are points."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from circuitsearch.figures import style
from circuitsearch.figures.canvas import text_width
from circuitsearch.figures.legend import Entry, groups
from circuitsearch.figures.place import Placed, Point
from circuitsearch.figures.plan import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

COLUMN = 240.0  # the narrowest figure: one column of a two-column page
MARGIN, LEFT, LINE = 6.0, 40.0, 10.5
BAND = 18.0  # from the middle of a row to the end of its band
SAMPLE, SAMPLE_GAP, ENTRY_GAP = 18.0, 4.0, 10.0


def paint(plan: Plan, placed: Placed, caption: str, highlight: frozenset[str] = frozenset()) -> Figure:
    """Draw a placed plan. Call within ``canvas.house_style``."""
    from matplotlib.figure import Figure

    drawing_width, drawing_height = placed.size
    width = max(COLUMN, drawing_width + LEFT + 2 * MARGIN)
    legend = _flow(groups(plan), width - 2 * MARGIN)
    lines = _wrap(caption, width - 2 * MARGIN)
    below = MARGIN + LINE * (len(legend) + len(lines)) + 2 * MARGIN
    height = below + drawing_height + 2 * MARGIN
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height))
    origin = ((width + LEFT - drawing_width) / 2, below + MARGIN)
    _bands(axes, plan, placed, origin[1], width)
    _strands(axes, plan, placed, origin)
    _nodes(axes, plan, placed, origin, highlight)
    _legend(axes, legend, top=below - MARGIN - LINE / 2)
    for index, line in enumerate(lines):
        _write(axes, (MARGIN, MARGIN + LINE * (len(lines) - index - 0.5)), line, style.TEXT_SIZE, ha="left")
    return figure


def _bands(axes: Axes, plan: Plan, placed: Placed, floor: float, width: float) -> None:
    from matplotlib.patches import Rectangle

    layers: dict[int | None, list[float]] = {}
    for row in plan.rows:
        if row.layer is not None:
            layers.setdefault(row.layer, []).append(floor + placed.nodes[row.nodes[0]][1])
    for layer, heights in layers.items():
        bottom, top = min(heights) - BAND, max(heights) + BAND
        axes.add_patch(Rectangle((0, bottom), width, top - bottom, facecolor=style.BAND, edgecolor="none", zorder=0))
        _write(axes, (MARGIN, (bottom + top) / 2), f"layer {layer}", style.TEXT_SIZE, color=style.FAINT, ha="left")


def _strands(axes: Axes, plan: Plan, placed: Placed, origin: Point) -> None:
    """Weakest first, so that the strongest lie on top."""
    from matplotlib.patches import PathPatch

    order = sorted(range(len(plan.strands)), key=lambda index: abs(plan.strands[index].score or 0.0))
    for depth, index in enumerate(order):
        strand = plan.strands[index]
        path = _path([(x + origin[0], y + origin[1]) for x, y in placed.strands[index]])
        axes.add_patch(
            PathPatch(
                path,
                fill=False,
                zorder=1 + depth / len(order),
                gid=f"{strand.writer}->{strand.reader}",
                **style.line(strand.score, plan.strongest, strand.port),
            )
        )


def _path(corners: list[Point]) -> Path:
    """Join corners by S-curves that are vertical at both ends."""
    from matplotlib.path import Path

    points = [corners[0]]
    for (x0, y0), (x1, y1) in pairwise(corners):
        middle = (y0 + y1) / 2
        points += [(x0, middle), (x1, middle), (x1, y1)]
    return Path(points, [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)])


def _nodes(axes: Axes, plan: Plan, placed: Placed, origin: Point, highlight: frozenset[str]) -> None:
    from matplotlib.patches import FancyBboxPatch

    for name, (x, y) in placed.nodes.items():
        x, y = x + origin[0], y + origin[1]
        height = style.node_height(name)
        bold = name in highlight
        box = FancyBboxPatch(
            (x - style.NODE_WIDTH / 2, y - height / 2),
            style.NODE_WIDTH,
            height,
            boxstyle="round,pad=0,rounding_size=3",
            facecolor=style.fill(name),
            edgecolor=style.INK,
            linewidth=1.8 if bold else 0.6,
            zorder=3,
            gid=name,
        )
        axes.add_patch(box)
        middle = y + (height - style.NODE_HEIGHT) / 2
        _write(axes, (x, middle), name, style.LABEL_SIZE, weight="bold" if bold else "normal")
        for port in sorted(plan.ports[name] & {"q", "k", "v"}):
            place = (x + style.port_offset(port), y - height / 2 + style.PORT_HEIGHT / 2)
            _write(axes, place, port, style.PORT_SIZE, color=style.FAINT)


def _legend(axes: Axes, lines: list[list[Entry]], top: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    for row, line in enumerate(lines):
        x, y = MARGIN, top - row * LINE
        for entry in line:
            if entry.look:
                axes.add_patch(PathPatch(Path([(x, y), (x + SAMPLE, y)]), fill=False, **entry.look))
                x += SAMPLE + SAMPLE_GAP
            _write(axes, (x, y), entry.text, style.TEXT_SIZE, ha="left")
            x += text_width(entry.text, style.TEXT_SIZE) + ENTRY_GAP


def _flow(groups: list[list[Entry]], width: float) -> list[list[Entry]]:
    """Break a legend into lines, if possible only between groups."""
    lines: list[list[Entry]] = []
    room = 0.0
    for group in groups:
        if sum(map(_entry_width, group)) > room:
            room = 0.0
        for entry in group:
            if _entry_width(entry) > room:
                lines.append([])
                room = width + ENTRY_GAP
            lines[-1].append(entry)
            room -= _entry_width(entry)
    return lines


def _entry_width(entry: Entry) -> float:
    sample = SAMPLE + SAMPLE_GAP if entry.look else 0.0
    return sample + text_width(entry.text, style.TEXT_SIZE) + ENTRY_GAP


def _wrap(text: str, width: float) -> list[str]:
    if not text:
        return []
    columns = int(width / (text_width(text, style.TEXT_SIZE) / len(text)) * 0.97)
    return textwrap.wrap(text, max(columns, 10))


def _write(axes: Axes, place: Point, text: str, size: float, **look: Any) -> None:
    usual = {"fontsize": size, "color": style.INK, "ha": "center", "va": "center_baseline", "zorder": 4}
    axes.text(*place, text, **usual | look)
