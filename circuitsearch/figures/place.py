"""The layout of a diagram. Graphviz orders each row of each column and chooses every x; heights follow.

An edge that passes rows on its way up gets a lane through each of them, so that it never runs behind a node it has
nothing to do with. Where what Graphviz chose is wider than the page, each row is drawn together as far as nodes and lanes
allow. All units are points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import graphviz
import numpy as np
from scipy.optimize import isotonic_regression

from circuitsearch.errors import InputError
from circuitsearch.figures import style
from circuitsearch.figures.boxes import ROLE_PAD, Box, Insets, box, boxes_of, fold
from circuitsearch.figures.page import POINTS, WIDTHS
from circuitsearch.figures.plan import Plan, Strand, compacted, with_ends
from circuitsearch.figures.render import positions
from circuitsearch.figures.ways import LANE_GAP, TRUNK_GAP, Ways, weakest_gathered

Point = tuple[float, float]

EXIT_PITCH = 2.4
LOWEST_GAP, HIGHEST_GAP, GAP_PER_SHIFT = 16.0, 44.0, 0.1
TALLEST, LEAST_GAPS = 580.0, 0.5  # a height that leaves space for the caption on a page; how far gaps may shrink for it
NODES_SHARE, NODES_SHARE_IN_COLUMNS = 0.82, 0.76  # share of a row's width for nodes; the rest is for lanes
ROOMIEST = 1.35  # by how much a wide page may stretch Graphviz's layout
COLUMN_GAP, LANES_ROOM = 12.0, 1.6  # between columns; in one, for each of its strands
CHANNEL_GAP, CHANNEL_PITCH, CORNER = 5.0, 3.0, 4.0  # of arrows: above the nodes, between them, from a node's side


@dataclass(frozen=True)
class Line:
    """Heights of a row: its bottom, the middle of its nodes, and its top."""

    bottom: float
    middle: float
    top: float


@dataclass(frozen=True)
class Tint:
    """A role's box: its row, left and right end, height, and label."""

    role: str
    row: int
    left: float
    right: float
    height: float
    label: tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """Middles of the nodes, and each strand's corners from its writer's top to its head's port.

    Between two corners a strand is vertical if their x are equal, else S-shaped.
    """

    plan: Plan
    nodes: dict[str, Point]
    strands: tuple[tuple[Point, ...], ...]
    gathered: frozenset[int]
    lines: tuple[Line, ...]
    columns: tuple[tuple[str, float, float], ...]
    tints: tuple[Tint, ...]
    arrows: tuple[tuple[Point, ...], ...]
    labelled: bool

    @property
    def size(self) -> Point:
        """Width and height from the origin."""
        return self.columns[-1][2], self.lines[-1].top


@dataclass(frozen=True)
class _Column:
    """One column, from x = 0: its boxes in each row, the x of each box, node and lane, and the lanes' breadths."""

    name: str
    boxes: tuple[tuple[Box, ...], ...]
    ways: Ways
    x: Mapping[str, float]
    breadths: Mapping[str, float]
    width: float


def place(
    plan: Plan, room: float = POINTS * WIDTHS["two-column"], insets: Insets | None = None, *, fill: bool = False
) -> Placed:
    """Place the nodes and strands of a plan in a width in points; with ``fill``, use all of it.

    Raises
    ------
    InputError
        If Graphviz is not installed, or the columns do not fit.
    """
    placed = _placed(with_ends(plan), room, insets or {}, fill)
    if placed.size[1] <= TALLEST:
        return placed
    return min(placed, _placed(compacted(with_ends(plan)), room, insets or {}, fill), key=lambda each: each.size[1])


def _placed(plan: Plan, room: float, insets: Insets, fill: bool) -> Placed:
    rooms = column_rooms(plan, room, insets)
    labelled = _labels_fit(plan, rooms, insets)
    share = NODES_SHARE if len(rooms) == 1 else NODES_SHARE_IN_COLUMNS
    plan = fold(plan, {name: share * width for name, width in rooms.items()}, insets, labelled)
    columns = [_column(plan, name, rooms[name], insets, labelled, fill) for name in plan.columns]
    return _assembled(plan, columns, insets, labelled)


# ---- columns


def column_rooms(plan: Plan, room: float, insets: Insets) -> dict[str, float]:
    """Divide the width among the columns: each fits one node a row, and the rest goes to columns with long rows."""
    if len(plan.columns) == 1:
        return {plan.columns[0]: room}
    left = room - COLUMN_GAP * (len(plan.columns) - 1)
    needs = {}
    strands = Counter(_column_of(plan, strand.writer) for strand in plan.strands)
    for column in plan.columns:
        rows = [boxes_of(plan, row, column, insets, False) for row in plan.rows]
        single = [
            box([name], plan.roles.get(name, ""), insets, False) for row in rows for one in row for name in one.members
        ]
        needs[column] = [max((each.width for each in single), default=0.0) / NODES_SHARE_IN_COLUMNS]
        needs[column].append(
            max(sum(each.width for each in row) for row in rows) + LANES_ROOM * strands[column] - needs[column][0]
        )
    least, more = (sum(need[which] for need in needs.values()) for which in (0, 1))
    if least > left:
        holds = int((room + COLUMN_GAP) / (least / len(needs) + COLUMN_GAP))
        raise InputError(
            f"{len(needs)} columns of token positions are too many for {room / POINTS:.1f} inches, where {holds} fit:"
            f" give a width of {(least + room - left) / POINTS + 1:.0f} inches, or merge positions into fewer spans"
        )
    share = min(1.0, (left - least) / more) if more else 0.0
    return {column: need[0] + share * need[1] for column, need in needs.items()}


def _labels_fit(plan: Plan, rooms: Mapping[str, float], insets: Insets) -> bool:
    """Whether every role's label fits beside its nodes; else the roles are in the legend."""
    return all(
        box([name], plan.roles[name], insets, True).width <= NODES_SHARE * rooms[_column_of(plan, name)]
        for name in plan.row_of
        if name in plan.roles
    )


def _column_of(plan: Plan, name: str) -> str:
    span = name.partition("@")[2]
    return span if span in plan.columns else plan.columns[0]


def _column(plan: Plan, name: str, room: float, insets: Insets, labelled: bool, fill: bool) -> _Column:
    boxes = [tuple(boxes_of(plan, row, name, insets, labelled)) for row in plan.rows]
    members = [index for index, strand in enumerate(plan.strands) if _column_of(plan, strand.writer) == name]
    ways = weakest_gathered(plan, boxes, members, room)
    items = [_items(row, index, ways) for index, row in enumerate(boxes)]
    raw = positions(skeleton(items, _links(plan, boxes, ways)))
    boxes = [tuple(_sorted(plan, each, ways, raw) for each in row) for row in boxes]
    drawn = [_tightened(row, room) for row in items]
    x = _settled(drawn, raw, room, fill)
    breadths = {lane: width for row in drawn for lane, width in row.items()}
    return _Column(name, tuple(boxes), ways, x | _middles(boxes, x), breadths, _right(drawn, x))


def skeleton(items: Sequence[Mapping[str, float]], links: Mapping[tuple[str, str], int]) -> str:
    """DOT of boxes and lanes as shapes of fixed size, without text, so that the machine's fonts do not matter."""
    graph = graphviz.Digraph()
    graph.attr(rankdir="BT", nodesep="0.02", splines="none", nslimit="2")
    graph.attr("node", shape="box", fixedsize="true", label="", height="0.3")
    rows = [row for row in items if row]
    for row in rows:
        rank = graphviz.Digraph(graph_attr={"rank": "same"})
        for name, width in row.items():
            rank.node(name, width=f"{width / POINTS:.4f}")
        graph.subgraph(rank)
    for below, above in pairwise(rows):  # rows that no edge connects keep their order, too
        graph.edge(next(iter(below)), next(iter(above)), weight="0")
    for (below, above), weight in links.items():
        graph.edge(below, above, weight=str(weight))
    return graph.source


def _items(boxes: Sequence[Box], row: int, ways: Ways) -> dict[str, float]:
    """Boxes and lanes of a row with their widths."""
    return {_key(each): each.width for each in boxes} | ways.by_row.get(row, {})


def _key(box: Box) -> str:
    return f"box {min(box.members)}"


def _links(plan: Plan, boxes: Sequence[Sequence[Box]], ways: Ways) -> dict[tuple[str, str], int]:
    """Weights of the links between neighbouring rows: the further from a node, the straighter."""
    key_of = {name: _key(each) for row in boxes for each in row for name in each.members}
    weights: dict[tuple[str, str], int] = {}
    for index, passed in ways.lanes.items():
        strand = plan.strands[index]
        links = list(pairwise([key_of[strand.writer], *passed.values(), key_of[strand.head]]))
        for link in links:
            at_node = link in (links[0], links[-1])
            own = 1 if len(links) == 1 else 2 if at_node else 8
            weights[link] = 1 if index in ways.gathered and at_node else own
    return weights


def _sorted(plan: Plan, box: Box, ways: Ways, raw: Mapping[str, float]) -> Box:
    """A box with its members in the order of what they are linked to, so that strands cross less."""
    if len(box.members) == 1:
        return box
    ends: dict[str, list[float]] = {name: [] for name in box.members}
    for index, passed in ways.lanes.items():
        strand, lanes = plan.strands[index], list(passed.values())
        if lanes and strand.writer in ends:
            ends[strand.writer].append(raw[lanes[0]])
        if lanes and strand.head in ends:
            ends[strand.head].append(raw[lanes[-1]])
    mean = {name: sum(x) / len(x) if x else raw[_key(box)] for name, x in ends.items()}
    order = sorted(range(len(box.members)), key=lambda place: mean[box.members[place]])
    return replace(box, members=tuple(box.members[at] for at in order), beside=tuple(box.beside[at] for at in order))


def _tightened(items: Mapping[str, float], room: float) -> dict[str, float]:
    """A row's widths with its lanes narrowed, if needed; nodes keep their size."""
    nodes = sum(width for name, width in items.items() if name.startswith("box "))
    lanes = sum(items.values()) - nodes
    tight = min(1.0, max(room - nodes, 0.0) / lanes) if lanes else 1.0
    return {name: width if name.startswith("box ") else width * tight for name, width in items.items()}


def _middles(boxes: Iterable[Sequence[Box]], x: Mapping[str, float]) -> dict[str, float]:
    return {name: x[_key(each)] + shift for row in boxes for each in row for name, shift in each.middles()}


def _right(items: Sequence[Mapping[str, float]], x: Mapping[str, float]) -> float:
    return max((x[name] + width / 2 for row in items for name, width in row.items()), default=0.0)


# ---- from what Graphviz chose to what the page allows


def _settled(
    items: Sequence[Mapping[str, float]], raw: Mapping[str, float], room: float, fill: bool
) -> dict[str, float]:
    """Every x from 0 on: as Graphviz chose where the page is wide enough, else with each row compressed."""
    left = min(raw[name] - width / 2 for row in items for name, width in row.items())
    natural = max(raw[name] + width / 2 for row in items for name, width in row.items()) - left
    scale = min(room / natural, ROOMIEST if fill else 1.0)
    space = min(room, natural * scale)
    settled: dict[str, float] = {}
    for row in items:
        settled |= settle({name: (raw[name] - left) * scale for name in row}, row, space)
    return settled


def settle(targets: Mapping[str, float], widths: Mapping[str, float], room: float) -> dict[str, float]:
    """Middles as near to their targets as widths, order and the total width allow, in least squares.

    Without the widths this is isotonic regression.

    Examples
    --------
    >>> settle({"a": 5.0, "b": 6.0}, {"a": 4.0, "b": 4.0}, 20.0)
    {'a': 3.5, 'b': 7.5}
    """
    names = sorted(targets, key=lambda name: targets[name])
    across = np.array([widths[name] for name in names])
    packed = across.cumsum() - across / 2
    shifts = isotonic_regression(np.array([targets[name] for name in names]) - packed).x
    middles = packed + shifts.clip(0.0, max(room - across.sum(), 0.0))
    return dict(zip(names, middles.tolist(), strict=True))


# ---- from x to corners


def _assembled(plan: Plan, columns: Sequence[_Column], insets: Insets, labelled: bool) -> Placed:
    starts, x, lanes, gathered, right = {}, {}, {}, frozenset(), 0.0
    for column in columns:
        starts[column.name] = right
        x |= {name: value + right for name, value in column.x.items() if name in plan.row_of}
        lanes |= _lane_places(plan, column, right)
        gathered |= column.ways.gathered
        right += column.width + COLUMN_GAP
    tracks = [_track(plan, x, lanes[index], strand) for index, strand in enumerate(plan.strands)]
    channels = _channels(plan, x)
    lines = _lines(plan, tracks, insets, channels)
    nodes = {name: (x[name], lines[row].middle) for name, row in plan.row_of.items()}
    return Placed(
        plan,
        nodes,
        tuple(_corners(plan, tracks, lines)),
        gathered,
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


def _lane_places(plan: Plan, column: _Column, start: float) -> dict[int, list[tuple[int, float]]]:
    """Rows that each strand of a column passes, each with its x there: side by side within a lane."""
    users: dict[str, list[int]] = {}
    for index, passed in column.ways.lanes.items():
        for lane in passed.values():
            users.setdefault(lane, []).append(index)
    shifts: dict[tuple[int, str], float] = {}
    for lane, members in users.items():
        members.sort(key=lambda index: (_slant(plan, column, index), index))
        gap = LANE_GAP if members[0] not in column.ways.gathered else TRUNK_GAP
        pitch = max(column.breadths[lane] - gap, 0.2 * column.breadths[lane]) / len(members)
        for rank, index in enumerate(members):
            shifts[index, lane] = (rank - (len(members) - 1) / 2) * pitch
    return {
        index: [(row, start + column.x[lane] + shifts[index, lane]) for row, lane in passed.items()]
        for index, passed in column.ways.lanes.items()
    }


def _slant(plan: Plan, column: _Column, index: int) -> float:
    """Positions of a strand's ends, from left to right."""
    strand = plan.strands[index]
    return column.x[strand.writer] + column.x[strand.head] + style.port_offset(strand.port)


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


def _tints(plan: Plan, column: _Column, start: float, insets: Insets) -> Iterable[Tint]:
    for index, row in enumerate(column.boxes):
        for each in row:
            if each.role:
                middle, half = start + column.x[_key(each)], each.width / 2 - 1.0
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
