"""A placed plan as a Matplotlib figure: bands, columns, roles, strands, nodes, a legend, a caption. Units are points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from circuitsearch.escape import plain_text
from circuitsearch.figures import style
from circuitsearch.figures.canvas import shortened, text_width
from circuitsearch.figures.insets import Inset, paint_inset
from circuitsearch.figures.legend import Entry, groups, tint
from circuitsearch.figures.place import Placed, Point
from circuitsearch.figures.plan import Strand
from circuitsearch.names import LOGITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

COLUMN = 234.0  # the narrowest figure: one column of a two-column page
MARGIN, LEFT, LINE = 4.0, 30.0, 9.5
BAND, HEADS = 5.0, 14.0  # how far a layer's band goes beyond its nodes; the columns' heads
SAMPLE, SAMPLE_GAP, ENTRY_GAP = 16.0, 3.5, 9.0
CAPTION_LINES = 30
ROLE_LINE = 6.2


@dataclass(frozen=True)
class Look:
    """The look of a figure: theme, width in points (or as wide as needed), caption, insets, thick frames."""

    theme: style.Theme = style.LIGHT
    width: float | None = None
    caption: str = ""
    insets: Mapping[str, Inset] = field(default_factory=dict)
    highlight: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Page:
    """The axes, and the position of the drawing's origin on them."""

    axes: Axes
    placed: Placed
    look: Look
    origin: Point
    width: float

    @property
    def theme(self) -> style.Theme:
        """Its colours."""
        return self.look.theme

    def at(self, place: Point) -> Point:
        """From the drawing's units to the page's."""
        return place[0] + self.origin[0], place[1] + self.origin[1]

    def write(self, place: Point, text: str, size: float, **look: Any) -> None:
        """Set a text, by default in the middle of its place."""
        usual = {"fontsize": size, "color": self.theme.ink, "ha": "center", "va": "center_baseline", "zorder": 4}
        self.axes.text(*place, text, **usual | look)


def room_for_drawing(width: float) -> float:
    """How much of a figure's width the drawing may take."""
    return width - LEFT - 2 * MARGIN


def paint(placed: Placed, look: Look) -> Figure:
    """Draw a placed plan. Call within ``canvas.figure_style``."""
    from matplotlib.figure import Figure

    drawing_width, drawing_height = placed.size
    width = look.width or max(COLUMN, drawing_width + LEFT + 2 * MARGIN)
    legend = _flow(groups(placed, look.theme), width - 2 * MARGIN)
    lines = _wrap(look.caption, width - 2 * MARGIN)
    below = 2 * MARGIN + LINE * (len(legend) + len(lines)) + (MARGIN if lines else 0.0)
    above = HEADS if placed.plan.columns != ("",) else 0.0
    height = below + drawing_height + above + 3 * MARGIN
    figure = Figure(figsize=(width / 72, height / 72), facecolor=look.theme.paper)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height))
    origin = (LEFT + MARGIN + (width - LEFT - 2 * MARGIN - drawing_width) / 2, below + 2 * MARGIN)
    page = Page(axes, placed, look, origin, width)
    for layer in (_bands, _columns, _tints, _strands, _arrows, _nodes, _insets):
        layer(page)
    _legend(page, legend, top=below - MARGIN)
    for index, line in enumerate(lines):
        page.write((MARGIN, MARGIN + LINE * (len(lines) - index - 0.5)), line, style.TEXT_SIZE, ha="left")
    return figure


# ---- behind the strands


def _bands(page: Page) -> None:
    from matplotlib.patches import Rectangle

    layers: dict[int, list[float]] = {}
    for row, line in zip(page.placed.plan.rows, page.placed.lines, strict=True):
        if row.layer is not None:
            layers.setdefault(row.layer, []).extend((line.bottom + page.origin[1], line.top + page.origin[1]))
    for layer, heights in layers.items():
        bottom, top = min(heights) - BAND, max(heights) + BAND
        band = Rectangle((0, bottom), page.width, top - bottom, facecolor=page.theme.band, edgecolor="none", zorder=0)
        page.axes.add_patch(band)
        page.write((MARGIN, (bottom + top) / 2), f"layer {layer}", style.TEXT_SIZE, color=page.theme.faint, ha="left")


def _columns(page: Page) -> None:
    """Heads of the token positions' columns, and thin lines between these."""
    from matplotlib.lines import Line2D

    columns = page.placed.columns
    if page.placed.plan.columns == ("",):
        return
    top = page.origin[1] + page.placed.size[1]
    for name, left, right in columns:
        place = (page.origin[0] + (left + right) / 2, top + HEADS / 2 + 2)
        text = shortened(plain_text(name), style.LABEL_SIZE, right - left + 8)
        page.write(place, text, style.LABEL_SIZE, weight="bold")
    for (_, _, right), (_, left, _) in pairwise(columns):
        x = page.origin[0] + (left + right) / 2
        line = Line2D([x, x], [page.origin[1] - MARGIN, top + HEADS], color=page.theme.rule, linewidth=0.5, zorder=0.5)
        page.axes.add_line(line)


def _tints(page: Page) -> None:
    """Rounded boxes behind the nodes of a role, with its name left of them."""
    from matplotlib.patches import FancyBboxPatch

    plan = page.placed.plan
    for each in page.placed.tints:
        line = page.placed.lines[each.row]
        x, middle = page.at((each.left, line.middle))
        patch = FancyBboxPatch(
            (x, middle - each.height / 2),
            each.right - each.left,
            each.height,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor=tint(plan, each.role, page.theme),
            edgecolor="none",
            zorder=0.8,
        )
        page.axes.add_patch(patch)
        for place, text in enumerate(each.label):
            y = middle + ROLE_LINE * ((len(each.label) - 1) / 2 - place)
            page.write((x + 3.5, y), text, style.ROLE_SIZE, ha="left")


# ---- strands


def _strands(page: Page) -> None:
    """Weakest first, so that the strongest are on top."""
    from matplotlib.patches import PathPatch

    placed, strands = page.placed, page.placed.plan.strands
    order = sorted(
        range(len(strands)), key=lambda index: (index not in placed.gathered, abs(strands[index].strength or 0))
    )
    for depth, index in enumerate(order):
        strand = strands[index]
        path = _path([page.at(corner) for corner in placed.strands[index]])
        gid, zorder = f"{strand.writer}->{strand.reader}", 1 + depth / len(order)
        look = _line(page, strand, index)
        page.axes.add_patch(PathPatch(path, fill=False, zorder=zorder, gid=gid, **look))
        if strand.replaceable:
            page.axes.add_patch(PathPatch(path, fill=False, zorder=zorder, **_core(page, look)))


def _line(page: Page, strand: Strand, index: int) -> dict[str, Any]:
    """Colour, width and pattern of a strand; one that runs in a trunk is thin and faint."""
    placed, colour = page.placed, page.theme.lines[strand.says]
    gathered = index in placed.gathered and len(placed.gathered) < len(placed.plan.strands)
    look = style.pattern(strand.dash)
    if gathered:
        return look | {"color": style.faded(colour, page.theme.paper), "linewidth": style.GATHERED}
    width = max(style.width(strand.strength, placed.plan.strongest), style.HOLLOW if strand.replaceable else 0.0)
    return look | {"color": colour, "linewidth": max(width, style.PLAIN) if placed.plan.sides else width}


def _core(page: Page, line: dict[str, Any]) -> dict[str, Any]:
    """What is left open in a hollow line."""
    return {"color": page.theme.paper, "linewidth": style.CORE * line["linewidth"]}


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


def _arrows(page: Page) -> None:
    """Attention between columns: thin, grey, with round corners."""
    from matplotlib.patches import PathPatch, Polygon

    look = {"color": page.theme.faint, "linewidth": 0.7, "capstyle": "butt"}
    for (source, target), corners in zip(page.placed.plan.arrows, page.placed.arrows, strict=True):
        places = [page.at(corner) for corner in corners]
        x, y = places[-1]
        path = _rounded([*places[:-1], (x, y + 2.0)])
        page.axes.add_patch(PathPatch(path, fill=False, zorder=2.2, gid=f"{source}=>{target}", **look))
        tip = [(x, y + 0.2), (x - 1.5, y + 3.4), (x + 1.5, y + 3.4)]
        page.axes.add_patch(Polygon(tip, facecolor=page.theme.faint, edgecolor="none", zorder=2.2))


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


# ---- nodes


def _nodes(page: Page) -> None:
    bar = _logits_bar(page)
    for name, place in page.placed.nodes.items():
        x, y = page.at(place)
        if bar and style.label(name) == LOGITS:
            continue
        _frame(page, name, (x, y), style.NODE_WIDTH)
        middle = y + (style.node_height(name) - style.NODE_HEIGHT) / 2
        label = style.label(name)
        size = style.LABEL_SIZE * min(1.0, (style.NODE_WIDTH - 3) / text_width(label, style.LABEL_SIZE))
        page.write((x, middle), label, size, weight="bold" if name in page.look.highlight else "normal")
        for port in sorted(page.placed.plan.ports[name] & {"q", "k", "v"}):
            at = (x + style.port_offset(port), y - style.node_height(name) / 2 + style.PORT_HEIGHT / 2)
            page.write(at, port, style.PORT_SIZE, color=page.theme.faint)
    if bar:
        _frame(page, LOGITS, bar[0], bar[1])
        page.write(bar[0], LOGITS, style.LABEL_SIZE, weight="bold" if LOGITS in page.look.highlight else "normal")


def _frame(page: Page, name: str, middle: Point, width: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    height = style.node_height(name)
    writes = name in page.placed.plan.writing or style.label(name) == LOGITS
    box = FancyBboxPatch(
        (middle[0] - width / 2, middle[1] - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=2.6",
        facecolor=page.theme.fills[style.kind(name)],
        edgecolor=page.theme.ink if writes else page.theme.faint,
        linewidth=1.5 if name in page.look.highlight else 0.55 if writes else 0.35,
        zorder=3,
        gid=name,
    )
    page.axes.add_patch(box)


def _logits_bar(page: Page) -> tuple[Point, float] | None:
    """Middle and width of the one bar for the logits over all columns that feed them."""
    ends = sorted(page.at(place) for name, place in page.placed.nodes.items() if name.startswith(f"{LOGITS}@"))
    if not ends:
        return None
    (left, height), (right, _) = ends[0], ends[-1]
    return ((left + right) / 2, height), right - left + style.NODE_WIDTH


def _insets(page: Page) -> None:
    for name, inset in page.look.insets.items():
        x, y = page.at(page.placed.nodes[name])
        paint_inset(page.axes, inset, x + style.NODE_WIDTH / 2, y, page.theme, f"attention {name}")


# ---- words


def _legend(page: Page, lines: list[list[Entry]], top: float) -> None:
    for row, line in enumerate(lines):
        x, y = MARGIN, top - (row + 0.5) * LINE
        for entry in line:
            _sample(page, entry, x, y)
            x += SAMPLE + SAMPLE_GAP if entry.sampled else 0.0
            page.write((x, y), entry.text, style.TEXT_SIZE, ha="left")
            x += text_width(entry.text, style.TEXT_SIZE) + ENTRY_GAP


def _sample(page: Page, entry: Entry, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
    from matplotlib.path import Path

    end = x + SAMPLE
    if entry.line is not None:
        page.axes.add_patch(PathPatch(Path([(x, y), (end, y)]), fill=False, **entry.line))
        if entry.hollow:
            core = _core(page, entry.line)
            page.axes.add_patch(PathPatch(Path([(x, y), (end, y)]), fill=False, **core))
    elif entry.tint is not None:
        shape = "round,pad=0,rounding_size=2"
        patch = FancyBboxPatch((x, y - 3.2), SAMPLE, 6.4, boxstyle=shape, facecolor=entry.tint, edgecolor="none")
        page.axes.add_patch(patch)
    elif entry.arrow:
        path = Path([(x, y), (end - 2, y)])
        page.axes.add_patch(PathPatch(path, fill=False, color=page.theme.faint, linewidth=0.7))
        tip = [(end, y), (end - 3.2, y + 1.5), (end - 3.2, y - 1.5)]
        page.axes.add_patch(Polygon(tip, facecolor=page.theme.faint, edgecolor="none"))


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
    sample = SAMPLE + SAMPLE_GAP if entry.sampled else 0.0
    return sample + text_width(entry.text, style.TEXT_SIZE) + ENTRY_GAP


def _wrap(text: str, width: float) -> list[str]:
    """Lines of a caption, by their measured widths; one that would fill pages ends in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", style.TEXT_SIZE) <= width:
            lines[-1] += f" {word}"
        elif len(lines) == CAPTION_LINES:
            return [*lines[:-1], shortened(f"{lines[-1]} …{word}", style.TEXT_SIZE, width)]
        else:
            lines.append(shortened(word, style.TEXT_SIZE, width))
    return lines
