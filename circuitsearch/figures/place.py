"""The layout of a diagram: heights, and the way of each strand, from the columns that Graphviz ordered. All units are points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from circuitsearch.figures import style
from circuitsearch.figures.boxes import ROLE_PAD, Insets, fold
from circuitsearch.figures.columns import (
    COLUMN_GAP,
    NODES_SHARE,
    NODES_SHARE_IN_COLUMNS,
    column_rooms,
    key,
    labels_fit,
    placed_column,
)
from circuitsearch.figures.page import POINTS, WIDTHS
from circuitsearch.figures.placed import Column, Lane, Line, Placed, Point, Tint
from circuitsearch.figures.plan import Plan, Strand, compacted, with_ends
from circuitsearch.figures.ways import LANE_GAP, TRUNK_GAP

EXIT_PITCH = 2.4
LOWEST_GAP, HIGHEST_GAP, GAP_PER_SHIFT = 16.0, 44.0, 0.1
TALLEST, LEAST_GAPS = 580.0, 0.5  # a height that leaves space for the caption on a page; how far gaps may shrink for it
CHANNEL_GAP, CHANNEL_PITCH, CORNER = 5.0, 3.0, 4.0  # of arrows: above the nodes, between them, from a node's side


def place(
    plan: Plan, room: float = POINTS * WIDTHS["two-column"], insets: Insets | None = None, *, fill: bool = False
) -> Placed:
    """Place the nodes and strands of a plan in a width in points; with ``fill``, use all of it.

    Raises
    ------
    InputError
        If Graphviz is not installed, or the columns do not fit.
    """
    plan = with_ends(plan)
    if _least_height(plan) > TALLEST:
        return _placed(compacted(plan), room, insets or {}, fill)
    placed = _placed(plan, room, insets or {}, fill)
    if placed.size[1] <= TALLEST:
        return placed
    return min(placed, _placed(compacted(plan), room, insets or {}, fill), key=lambda each: each.size[1])


def _least_height(plan: Plan) -> float:
    """A height that the drawing has at least, if no rows are joined."""
    return sum(max(map(plan.height, row.nodes)) + LEAST_GAPS * LOWEST_GAP for row in plan.rows)


def _placed(plan: Plan, room: float, insets: Insets, fill: bool) -> Placed:
    rooms = column_rooms(plan, room, insets)
    labelled = labels_fit(plan, rooms, insets)
    share = NODES_SHARE if len(rooms) == 1 else NODES_SHARE_IN_COLUMNS
    plan = fold(plan, {name: share * width for name, width in rooms.items()}, insets, labelled)
    columns = [placed_column(plan, name, rooms[name], insets, labelled, fill) for name in plan.columns]
    return _assembled(plan, columns, insets, labelled)


# ---- from x to corners


def _assembled(plan: Plan, columns: Sequence[Column], insets: Insets, labelled: bool) -> Placed:
    starts, x, gathered, right = {}, {}, frozenset(), 0.0
    lanes: dict[str, Lane] = {}
    passed: dict[int, list[str]] = {}
    for column in columns:
        starts[column.name] = right
        x |= {name: value + right for name, value in column.x.items() if name in plan.row_of}
        for index, taken in column.ways.lanes.items():
            passed[index] = [f"{column.name} {lane}" for lane in taken.values()]
            lanes |= {
                f"{column.name} {lane}": Lane(row, right + column.x[lane], column.breadths[lane])
                for row, lane in taken.items()
            }
        gathered |= column.ways.gathered
        right += column.width + COLUMN_GAP
    shifts = _lane_shifts(plan, x, lanes, passed, gathered)
    tracks = [
        _track(plan, x, [(lanes[lane].row, lanes[lane].x + shifts[index, lane]) for lane in passed[index]], strand)
        for index, strand in enumerate(plan.strands)
    ]
    channels = _channels(plan, x)
    lines = _lines(plan, tracks, insets, channels)
    nodes = {name: (x[name], lines[row].middle) for name, row in plan.row_of.items()}
    return Placed(
        plan,
        nodes,
        tuple(_corners(plan, tracks, lines)),
        gathered,
        lanes,
        tuple(tuple(passed[index]) for index in range(len(plan.strands))),
        lines,
        tuple((column.name, starts[column.name], starts[column.name] + column.width) for column in columns),
        tuple(tint for column in columns for tint in _tints(plan, column, starts[column.name], insets)),
        tuple(_arrow(nodes, lines, plan, arrow, channels) for arrow in plan.arrows),
        labelled,
    )


def _track(
    plan: Plan, x: Mapping[str, float], lanes: list[tuple[int, float]], strand: Strand
) -> list[tuple[int, float]]:
    """Rows that a strand touches, each with its x there; the ends are not yet spread."""
    end = (plan.row_of[strand.head], x[strand.head] + style.port_offset(strand.port))
    return [(plan.row_of[strand.writer], x[strand.writer]), *lanes, end]


def _lane_shifts(
    plan: Plan,
    x: Mapping[str, float],
    lanes: Mapping[str, Lane],
    passed: Mapping[int, Sequence[str]],
    gathered: frozenset[int],
) -> dict[tuple[int, str], float]:
    """How far each strand is from the middle of each of its lanes, which it shares with others side by side."""
    users: dict[str, list[int]] = {}
    for index, taken in passed.items():
        for lane in taken:
            users.setdefault(lane, []).append(index)
    shifts: dict[tuple[int, str], float] = {}
    for lane, members in users.items():
        members.sort(key=lambda index: (_slant(plan, x, index), index))
        gap, breadth = TRUNK_GAP if members[0] in gathered else LANE_GAP, lanes[lane].breadth
        pitch = max(breadth - gap, 0.2 * breadth) / len(members)
        for rank, index in enumerate(members):
            shifts[index, lane] = (rank - (len(members) - 1) / 2) * pitch
    return shifts


def _slant(plan: Plan, x: Mapping[str, float], index: int) -> float:
    """Positions of a strand's ends, from left to right."""
    strand = plan.strands[index]
    return x[strand.writer] + x[strand.head] + style.port_offset(strand.port)


def _lines(
    plan: Plan, tracks: Sequence[list[tuple[int, float]]], insets: Insets, channels: Mapping[tuple[str, str], int]
) -> tuple[Line, ...]:
    """Heights of the rows: the further a strand moves sideways between two rows, the larger their distance."""
    shift = [0.0] * len(plan.rows)
    for track in tracks:
        for (below, x0), (_, x1) in pairwise(track):
            shift[below] = max(shift[below], abs(x1 - x0))
    gaps = [min(LOWEST_GAP + GAP_PER_SHIFT * widest, HIGHEST_GAP) for widest in shift]
    lines = _stacked(plan, gaps, insets, channels)
    excess = lines[-1].top - TALLEST
    if excess > 0:  # close together rather than beyond the page
        share = max(1 - excess / sum(gaps[:-1]), LEAST_GAPS)
        lines = _stacked(plan, [share * gap for gap in gaps], insets, channels)
    return lines


def _stacked(
    plan: Plan, gaps: Sequence[float], insets: Insets, channels: Mapping[tuple[str, str], int]
) -> tuple[Line, ...]:
    lines: list[Line] = []
    bottom = 0.0
    for index, row in enumerate(plan.rows):
        half = max(max(plan.height(name), insets.get(name, (0.0, 0.0))[1]) for name in row.nodes) / 2
        half += ROLE_PAD if any(name in plan.roles for name in row.nodes) else 0.0
        levels = [channels[arrow] for arrow in plan.arrows if plan.row_of[arrow[1]] == index]
        above = CHANNEL_GAP + CHANNEL_PITCH * (max(levels) + 1) if levels else 0.0
        lines.append(Line(bottom, bottom + half, bottom + 2 * half + above))
        bottom = lines[-1].top + gaps[index]
    return tuple(lines)


def _corners(
    plan: Plan, tracks: Sequence[list[tuple[int, float]]], lines: Sequence[Line]
) -> Iterable[tuple[Point, ...]]:
    exits = _spread([(s.writer, track[1][1]) for s, track in zip(plan.strands, tracks, strict=True)])
    entries = _spread([(f"{s.head} {s.port}", track[-2][1]) for s, track in zip(plan.strands, tracks, strict=True)])
    for index, strand in enumerate(plan.strands):
        (first, x0), *inner, (last, x1) = tracks[index]
        x0, x1 = x0 + exits[index], x1 + entries[index]
        start = (x0, lines[first].middle + plan.height(strand.writer) / 2)
        end = (x1, lines[last].middle - plan.height(strand.head) / 2)
        lanes = [(x, height) for row, x in inner for height in (lines[row].bottom, lines[row].top)]
        stubs = [(x0, lines[first].top), *lanes, (x1, lines[last].bottom)]
        yield (start, *(corner for corner in stubs if start[1] < corner[1] < end[1]), end)


def _spread(ends: list[tuple[str, float]]) -> dict[int, float]:
    """Spread strands that end at one point, in their order from left to right."""
    groups: dict[str, list[int]] = {}
    for index in sorted(range(len(ends)), key=lambda index: ends[index][1]):
        groups.setdefault(ends[index][0], []).append(index)
    shifts = {}
    for place, members in groups.items():
        room = style.PORT_ROOM if place.endswith((" q", " k", " v")) else style.NODE_ROOM
        pitch = min(EXIT_PITCH, room / max(len(members) - 1, 1))
        shifts |= {index: (rank - (len(members) - 1) / 2) * pitch for rank, index in enumerate(members)}
    return shifts


# ---- roles and arrows


def _tints(plan: Plan, column: Column, start: float, insets: Insets) -> Iterable[Tint]:
    for index, row in enumerate(column.boxes):
        for each in row:
            if each.role:
                middle, half = start + column.x[key(each)], each.width / 2 - 1.0
                heights = [max(plan.height(name), insets.get(name, (0.0, 0.0))[1]) for name in each.members]
                height = max(heights) + 2 * ROLE_PAD
                yield Tint(each.role, index, middle - half, middle + half, height, each.label)


def _channels(plan: Plan, x: Mapping[str, float]) -> dict[tuple[str, str], int]:
    """Height of each arrow above its row, counted from the lowest; those into one node from one side share it."""
    taken: dict[int, list[list[tuple[float, float, tuple[str, bool]]]]] = {}
    levels = {}
    for arrow in sorted(plan.arrows, key=lambda arrow: (abs(x[arrow[0]] - x[arrow[1]]), arrow)):
        left, right = sorted((x[arrow[0]], x[arrow[1]]))
        into = (arrow[1], x[arrow[0]] < x[arrow[1]])
        row = taken.setdefault(plan.row_of[arrow[1]], [])
        level = next((n for n, others in enumerate(row) if _is_free(others, left, right, into)), len(row))
        row.extend([[]] * (level + 1 - len(row)))
        row[level] = [*row[level], (left, right, into)]
        levels[arrow] = level
    return levels


def _is_free(
    others: list[tuple[float, float, tuple[str, bool]]], left: float, right: float, into: tuple[str, bool]
) -> bool:
    return all(other == into or right < low or high < left for low, high, other in others)


def _arrow(
    nodes: Mapping[str, Point],
    lines: Sequence[Line],
    plan: Plan,
    arrow: tuple[str, str],
    channels: Mapping[tuple[str, str], int],
) -> tuple[Point, ...]:
    """Corners of an arrow: up from its source's near side, along its channel, and down onto its target."""
    (x0, y0), (x1, y1) = nodes[arrow[0]], nodes[arrow[1]]
    side = (style.NODE_WIDTH / 2 - CORNER) * (1 if x0 < x1 else -1)
    row = plan.row_of[arrow[1]]
    highest = max(channels[other] for other in plan.arrows if plan.row_of[other[1]] == row)
    height = lines[row].top - CHANNEL_PITCH * (highest - channels[arrow] + 1)
    start, end = (x0 + side, y0 + plan.height(arrow[0]) / 2), (x1 - side, y1 + plan.height(arrow[1]) / 2)
    return start, (x0 + side, height), (x1 - side, height), end
