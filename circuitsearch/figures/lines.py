"""The lines of a diagram: strands with their heads, and arrows of attention between columns."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from circuitsearch.figures import style
from circuitsearch.figures.placed import Point
from circuitsearch.figures.plan import Strand
from circuitsearch.figures.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.patches import Polygon
    from matplotlib.path import Path

HEAD_LENGTH, HEAD_WIDTH = (1.6, 1.1), (1.6, 1.5)  # of an arrowhead: in points, and for each point of its line's width
DOT, DOT_PITCH = 0.6, 2.3  # of the mark of layers that are left out


def paint_strands(sheet: Sheet) -> None:
    """Weakest first, so that the strongest are on top."""
    from matplotlib.patches import PathPatch

    placed, strands = sheet.placed, sheet.placed.plan.strands
    order = sorted(
        range(len(strands)), key=lambda index: (index not in placed.gathered, abs(strands[index].strength or 0))
    )
    for depth, index in enumerate(order):
        strand = strands[index]
        look, zorder = _line(sheet, strand, index), 1 + depth / len(order)
        *corners, tip = (sheet.at(corner) for corner in placed.strands[index])
        end = (tip[0], tip[1] - _of_head(HEAD_LENGTH, look["linewidth"]) + 0.3)  # the arrowhead covers the rest
        path = _path([corners[0], *(corner for corner in corners[1:] if corner[1] < end[1]), end])
        if strand.edge in sheet.look.highlight:
            halo = {"color": sheet.theme.halo, "linewidth": look["linewidth"] + style.HALO - style.PLAIN}
            sheet.axes.add_artist(PathPatch(path, fill=False, zorder=0.9, capstyle="butt", **halo))
        sheet.axes.add_artist(PathPatch(path, fill=False, zorder=zorder, gid=strand.edge, **look))
        sheet.axes.add_artist(head(tip, look["linewidth"], look["color"], zorder=zorder))
        if strand.replaceable:
            sheet.axes.add_artist(PathPatch(path, fill=False, zorder=zorder, **core(sheet, look)))


def head(tip: Point, width: float, colour: str, back: tuple[int, int] = (0, -1), **look: Any) -> Polygon:
    """An arrowhead of a line of some width; ``back`` is the direction from its tip to its line."""
    from matplotlib.patches import Polygon

    (x, y), (dx, dy) = tip, back
    length, half = _of_head(HEAD_LENGTH, width), _of_head(HEAD_WIDTH, width) / 2
    base = (x + dx * length, y + dy * length)
    corners = [tip, (base[0] - dy * half, base[1] + dx * half), (base[0] + dy * half, base[1] - dx * half)]
    return Polygon(corners, facecolor=colour, edgecolor="none", **look)


def _of_head(size: tuple[float, float], width: float) -> float:
    return size[0] + size[1] * width


def dots(sheet: Sheet, middle: Point) -> None:
    """Three dots, one above the other: something is left out."""
    from matplotlib.patches import Circle

    for place in (-1, 0, 1):
        centre = (middle[0], middle[1] + place * DOT_PITCH)
        sheet.axes.add_artist(Circle(centre, DOT, facecolor=sheet.theme.faint, edgecolor="none", zorder=0.6))


def _line(sheet: Sheet, strand: Strand, index: int) -> dict[str, Any]:
    """Colour, width and pattern of a strand; one that runs in a trunk is thin and faint."""
    placed, colour = sheet.placed, sheet.theme.lines[strand.says]
    gathered = index in placed.gathered and len(placed.gathered) < len(placed.plan.strands)
    gathered = gathered and strand.edge not in sheet.look.highlight
    look = style.pattern(strand.dash)
    if gathered:
        return look | {"color": style.faded(colour, sheet.theme.paper), "linewidth": style.GATHERED}
    width = max(style.width(strand.strength, placed.plan.strongest), style.HOLLOW if strand.replaceable else 0.0)
    return look | {"color": colour, "linewidth": max(width, style.PLAIN) if placed.plan.sides else width}


def core(sheet: Sheet, line: dict[str, Any]) -> dict[str, Any]:
    """What is left open in a hollow line."""
    return {"color": sheet.theme.paper, "linewidth": style.CORE * line["linewidth"]}


def _path(corners: list[Point]) -> Path:
    """Join corners by lines where one is above the other, else by S-curves that are vertical at both ends."""
    from matplotlib.path import Path

    points, codes = [corners[0]], [Path.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(corners):
        if x0 == x1:
            points, codes = [*points, (x1, y1)], [*codes, Path.LINETO]
        else:
            middle = (y0 + y1) / 2
            points += [(x0, middle), (x1, middle), (x1, y1)]
            codes += [Path.CURVE4] * 3
    return Path(points, codes)


def paint_arrows(sheet: Sheet) -> None:
    """Attention between columns: thin, grey, with round corners."""
    from matplotlib.patches import PathPatch

    look = {"color": sheet.theme.faint, "linewidth": style.ARROW, "capstyle": "butt"}
    for (source, target), corners in zip(sheet.placed.plan.arrows, sheet.placed.arrows, strict=True):
        places = [sheet.at(corner) for corner in corners]
        x, y = places[-1]
        path = _rounded([*places[:-1], (x, y + 2.0)])
        sheet.axes.add_artist(PathPatch(path, fill=False, zorder=2.2, gid=f"{source}=>{target}", **look))
        sheet.axes.add_artist(head((x, y + 0.2), style.ARROW, sheet.theme.faint, (0, 1), zorder=2.2))


def _rounded(corners: list[Point], radius: float = 2.5) -> Path:
    """Join corners by straight lines that turn in small arcs."""
    from matplotlib.path import Path

    points, codes = [corners[0]], [Path.MOVETO]
    for before, here, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [_towards(here, before, radius), here, _towards(here, after, radius)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*points, corners[-1]], [*codes, Path.LINETO])


def _towards(start: Point, end: Point, step: float) -> Point:
    length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    share = min(step / length, 0.5) if length else 0.0
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
