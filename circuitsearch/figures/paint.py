"""From a placed plan to a Matplotlib figure: bands, columns, roles, strands, nodes, and texts above and below. Units are points."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from circuitsearch.escape import plain_text
from circuitsearch.figures import style
from circuitsearch.figures.canvas import shortened, text_width
from circuitsearch.figures.insets import paint_inset
from circuitsearch.figures.legend import gaps, groups, tint
from circuitsearch.figures.lines import dots, paint_arrows, paint_strands
from circuitsearch.figures.placed import Placed, Point
from circuitsearch.figures.sheet import LEFT, LINE, MARGIN, Look, Sheet
from circuitsearch.figures.texts import flow, paint_legend, paint_lines, wrapped
from circuitsearch.names import LOGITS, spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN = 234.0  # the narrowest figure: one column of a two-column page
BAND, HEADS = 5.0, 14.0  # how far a layer's band goes beyond its nodes; the columns' heads
ROLE_LINE = 7.0


def room_for_drawing(width: float) -> float:
    """How much of a figure's width the drawing may take."""
    return width - LEFT - 2 * MARGIN


def paint(placed: Placed, look: Look) -> Figure:
    """Draw a placed plan. Call within ``canvas.figure_style``."""
    from matplotlib.figure import Figure

    drawing_width, drawing_height = placed.size
    width = look.width or max(COLUMN, drawing_width + LEFT + 2 * MARGIN)
    title, prompt, caption = (wrapped(text, width - 2 * MARGIN) for text in (look.title, look.prompt, look.caption))
    legend = flow(groups(placed, look.theme, look.highlight), width - 2 * MARGIN)
    lines = len(legend) + len(prompt) + len(caption)
    below = 2 * MARGIN + LINE * (lines + bool(look.spans)) + MARGIN * (bool(prompt) + bool(caption))
    above = (HEADS if placed.plan.columns != ("",) else 0.0) + (LINE * len(title) + MARGIN if title else 0.0)
    height = below + drawing_height + above + 3 * MARGIN
    figure = Figure(figsize=(width / 72, height / 72), facecolor=look.theme.paper)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height))
    origin = (LEFT + MARGIN + (width - LEFT - 2 * MARGIN - drawing_width) / 2, below + 2 * MARGIN)
    sheet = Sheet(axes, placed, look, origin, width)
    for layer in (_bands, _columns, _tints, paint_strands, paint_arrows, _nodes, _insets):
        layer(sheet)
    paint_lines(sheet, title, height - MARGIN, weight="bold")
    top = paint_lines(sheet, prompt, below - MARGIN - LINE * bool(look.spans))
    bottom = paint_legend(sheet, legend, top)
    paint_lines(sheet, caption, bottom - MARGIN)
    return figure


# ---- behind the strands


def _bands(sheet: Sheet) -> None:
    from matplotlib.patches import Rectangle

    rows: dict[tuple[int, int], list[float]] = {}
    for row, line in zip(sheet.placed.plan.rows, sheet.placed.lines, strict=True):
        if row.layers is not None:
            rows.setdefault(row.layers, []).extend((line.bottom + sheet.origin[1], line.top + sheet.origin[1]))
    for (first, last), heights in rows.items():
        bottom, top = min(heights) - BAND, max(heights) + BAND
        band = Rectangle((0, bottom), sheet.width, top - bottom, facecolor=sheet.theme.band, edgecolor="none", zorder=0)
        sheet.axes.add_patch(band)
        text = f"layer {first}" if first == last else f"{first}–{last}"  # noqa: RUF001
        sheet.write((MARGIN, (bottom + top) / 2), text, style.TEXT_SIZE, color=sheet.theme.faint, ha="left")
    for below in gaps(sheet.placed.plan):
        lines = sheet.placed.lines[below : below + 2]
        dots(sheet, (MARGIN + 10.0, (lines[0].top + lines[1].bottom) / 2 + sheet.origin[1]))


def _columns(sheet: Sheet) -> None:
    """Heads of the token positions' columns, and thin lines between these."""
    from matplotlib.lines import Line2D

    columns = sheet.placed.columns
    if sheet.placed.plan.columns == ("",):
        return
    top = sheet.origin[1] + sheet.placed.size[1]
    for name, left, right in columns:
        place = (sheet.origin[0] + (left + right) / 2, top + HEADS / 2 + 2)
        text = shortened(plain_text(name), style.LABEL_SIZE, right - left + 8)
        sheet.write(place, text, style.LABEL_SIZE, weight="bold")
        said = shortened(plain_text(sheet.look.spans.get(name, "")), style.TEXT_SIZE, right - left + 8)
        sheet.write((place[0], sheet.origin[1] - MARGIN - LINE / 2), said, style.TEXT_SIZE)
    for (_, _, right), (_, left, _) in pairwise(columns):
        x = sheet.origin[0] + (left + right) / 2
        line = Line2D(
            [x, x], [sheet.origin[1] - MARGIN, top + HEADS], color=sheet.theme.rule, linewidth=0.5, zorder=0.5
        )
        sheet.axes.add_line(line)


def _tints(sheet: Sheet) -> None:
    """Rounded boxes behind the nodes of a role, with its name left of them."""
    from matplotlib.patches import FancyBboxPatch

    plan = sheet.placed.plan
    for each in sheet.placed.tints:
        line = sheet.placed.lines[each.row]
        x, middle = sheet.at((each.left, line.middle))
        patch = FancyBboxPatch(
            (x, middle - each.height / 2),
            each.right - each.left,
            each.height,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor=tint(plan, each.role, sheet.theme),
            edgecolor="none",
            zorder=0.8,
        )
        sheet.axes.add_patch(patch)
        for place, text in enumerate(each.label):
            y = middle + ROLE_LINE * ((len(each.label) - 1) / 2 - place)
            sheet.write((x + 3.5, y), text, style.ROLE_SIZE, ha="left")


# ---- nodes


def _nodes(sheet: Sheet) -> None:
    bar, plan = _logits_bar(sheet), sheet.placed.plan
    for name, place in sheet.placed.nodes.items():
        x, y = sheet.at(place)
        if bar and style.label(name) == LOGITS:
            continue
        _frame(sheet, name, (x, y), style.NODE_WIDTH)
        top, bottom = y + plan.height(name) / 2, y - plan.height(name) / 2
        _write_name(sheet, name, (x, top - style.NODE_HEIGHT / 2))
        if name in plan.looks:
            room = style.NODE_WIDTH - 3
            text = shortened(f"→ {plan.looks[name]}", style.TOKEN_SIZE, room)
            at = (x, top - style.NODE_HEIGHT - style.LOOK_HEIGHT / 2 + 2)
            sheet.write(at, text, style.TOKEN_SIZE, color=sheet.theme.faint)
        for port in sorted(plan.ports[name] & {"q", "k", "v"}):
            at = (x + style.port_offset(port), bottom + style.PORT_HEIGHT / 2)
            sheet.write(at, port, style.PORT_SIZE, color=sheet.theme.faint)
    if bar:
        _frame(sheet, LOGITS, bar[0], bar[1])
        _write_name(sheet, LOGITS, bar[0])


def _write_name(sheet: Sheet, name: str, place: Point) -> None:
    label = spelled(style.label(name), sheet.look.labels)
    fitting = style.LABEL_SIZE * min(1.0, (style.NODE_WIDTH - 3) / text_width(label, style.LABEL_SIZE))
    weight = "bold" if name in sheet.look.highlight else "normal"
    sheet.write(place, label, max(fitting, style.SMALLEST), weight=weight)


def _frame(sheet: Sheet, name: str, middle: Point, width: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    height = sheet.placed.plan.height(name)
    writes = name in sheet.placed.plan.writing or style.label(name) == LOGITS
    box = FancyBboxPatch(
        (middle[0] - width / 2, middle[1] - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=2.6",
        facecolor=sheet.theme.fills[style.kind(name)],
        edgecolor=sheet.theme.ink if writes else sheet.theme.faint,
        linewidth=1.5 if name in sheet.look.highlight else 0.55 if writes else 0.35,
        zorder=3,
        gid=name,
    )
    sheet.axes.add_patch(box)


def _logits_bar(sheet: Sheet) -> tuple[Point, float] | None:
    """Middle and width of the one bar for the logits over all columns that feed them."""
    ends = sorted(sheet.at(place) for name, place in sheet.placed.nodes.items() if name.startswith(f"{LOGITS}@"))
    if not ends:
        return None
    (left, height), (right, _) = ends[0], ends[-1]
    return ((left + right) / 2, height), right - left + style.NODE_WIDTH


def _insets(sheet: Sheet) -> None:
    for name, inset in sheet.look.insets.items():
        x, y = sheet.at(sheet.placed.nodes[name])
        paint_inset(sheet.axes, inset, x + style.NODE_WIDTH / 2, y, sheet.theme, f"attention {name}")
