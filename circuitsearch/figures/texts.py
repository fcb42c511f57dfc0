"""The texts above and below a diagram: title, prompt, legend and caption."""

from __future__ import annotations

from typing import Any

from circuitsearch.figures import style
from circuitsearch.figures.canvas import shortened, text_width
from circuitsearch.figures.legend import Entry
from circuitsearch.figures.lines import core, dots, head
from circuitsearch.figures.sheet import LINE, MARGIN, Sheet

SAMPLE, SAMPLE_GAP, ENTRY_GAP = 16.0, 3.5, 9.0
MOST_LINES = 30


def paint_lines(sheet: Sheet, lines: list[str], top: float, **look: Any) -> float:
    """Write lines of text from a height on downwards; the height below them."""
    for row, line in enumerate(lines):
        sheet.write((MARGIN, top - (row + 0.5) * LINE), line, style.TEXT_SIZE, ha="left", **look)
    return top - LINE * len(lines) - (MARGIN if lines else 0.0)


def paint_legend(sheet: Sheet, lines: list[list[Entry]], top: float) -> float:
    """Write a legend from a height on downwards; the height below it."""
    for row, line in enumerate(lines):
        x, y = MARGIN, top - (row + 0.5) * LINE
        for entry in line:
            _sample(sheet, entry, x, y)
            x += SAMPLE + SAMPLE_GAP if entry.sampled else 0.0
            sheet.write((x, y), entry.text, style.TEXT_SIZE, ha="left")
            x += text_width(entry.text, style.TEXT_SIZE) + ENTRY_GAP
    return top - LINE * len(lines)


def _sample(sheet: Sheet, entry: Entry, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch, PathPatch
    from matplotlib.path import Path

    path = Path([(x, y), (x + SAMPLE, y)])
    if entry.halo:
        sheet.axes.add_patch(PathPatch(path, fill=False, color=sheet.theme.halo, linewidth=style.HALO))
    if entry.line is not None:
        sheet.axes.add_patch(PathPatch(path, fill=False, **entry.line))
    if entry.line is not None and entry.hollow:
        sheet.axes.add_patch(PathPatch(path, fill=False, **core(sheet, entry.line)))
    if entry.tint is not None:
        shape = "round,pad=0,rounding_size=2"
        patch = FancyBboxPatch((x, y - 3.2), SAMPLE, 6.4, boxstyle=shape, facecolor=entry.tint, edgecolor="none")
        sheet.axes.add_patch(patch)
    if entry.arrow:
        look = {"color": sheet.theme.faint, "linewidth": style.ARROW}
        sheet.axes.add_patch(PathPatch(Path([(x, y), (x + SAMPLE - 2, y)]), fill=False, **look))
        sheet.axes.add_patch(head((x + SAMPLE, y), style.ARROW, sheet.theme.faint, (-1, 0)))
    if entry.dots:
        dots(sheet, (x + SAMPLE / 2, y))


def flow(groups: list[list[Entry]], width: float) -> list[list[Entry]]:
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


def wrapped(text: str, width: float) -> list[str]:
    """Lines of a caption, by their measured widths; one that would fill pages ends in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", style.TEXT_SIZE) <= width:
            lines[-1] += f" {word}"
        elif len(lines) == MOST_LINES:
            return [*lines[:-1], shortened(f"{lines[-1]} …{word}", style.TEXT_SIZE, width)]
        else:
            lines.append(shortened(word, style.TEXT_SIZE, width))
    return lines
