"""The columns of a diagram: Graphviz orders each row of each one and chooses every x.

An edge that passes rows on its way up gets a lane through each of them, so that it never runs behind a node it has
nothing to do with. Where what Graphviz chose is wider than the page, each row is drawn together as far as nodes and lanes
allow. All units are points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import graphviz
import numpy as np
from scipy.optimize import isotonic_regression

from circuitsearch.errors import InputError
from circuitsearch.figures.boxes import Box, Insets, box, boxes_of
from circuitsearch.figures.page import POINTS
from circuitsearch.figures.placed import Column
from circuitsearch.figures.plan import Plan
from circuitsearch.figures.render import positions
from circuitsearch.figures.ways import Ways, weakest_gathered

NODES_SHARE, NODES_SHARE_IN_COLUMNS = 0.82, 0.76  # share of a row's width for nodes; the rest is for lanes
ROOMIEST = 1.35  # by how much a wide page may stretch Graphviz's layout
LARGE = 800  # boxes and lanes; of more Graphviz takes only a quarter of its steps, which are a third of its time
COLUMN_GAP, LANES_ROOM = 12.0, 1.6  # between columns; in one, for each of its strands


def column_rooms(plan: Plan, room: float, insets: Insets) -> dict[str, float]:
    """Divide the width among the columns: each fits one node a row, and the rest goes to columns with long rows."""
    if len(plan.columns) == 1:
        return {plan.columns[0]: room}
    left = room - COLUMN_GAP * (len(plan.columns) - 1)
    needs = {}
    strands = Counter(column_of(plan, strand.writer) for strand in plan.strands)
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


def labels_fit(plan: Plan, rooms: Mapping[str, float], insets: Insets) -> bool:
    """Whether every role's label fits beside its nodes; else the roles are in the legend."""
    return all(
        box([name], plan.roles[name], insets, True).width <= NODES_SHARE * rooms[column_of(plan, name)]
        for name in plan.row_of
        if name in plan.roles
    )


def column_of(plan: Plan, name: str) -> str:
    span = name.partition("@")[2]
    return span if span in plan.columns else plan.columns[0]


def placed_column(plan: Plan, name: str, room: float, insets: Insets, labelled: bool, fill: bool) -> Column:
    boxes = [tuple(boxes_of(plan, row, name, insets, labelled)) for row in plan.rows]
    members = [index for index, strand in enumerate(plan.strands) if column_of(plan, strand.writer) == name]
    ways = weakest_gathered(plan, boxes, members, room)
    items = [_items(row, index, ways) for index, row in enumerate(boxes)]
    raw = positions(skeleton(items, _links(plan, boxes, ways)))
    boxes = [tuple(_sorted(plan, each, ways, raw) for each in row) for row in boxes]
    drawn = [_tightened(row, room) for row in items]
    x = _settled(drawn, raw, room, fill)
    breadths = {lane: width for row in drawn for lane, width in row.items()}
    return Column(name, tuple(boxes), ways, x | _middles(boxes, x), breadths, _right(drawn, x))


def skeleton(items: Sequence[Mapping[str, float]], links: Mapping[tuple[str, str], int]) -> str:
    """DOT of boxes and lanes as shapes of fixed size, without text, so that the machine's fonts do not matter."""
    graph = graphviz.Digraph()
    care = "2" if sum(map(len, items)) < LARGE else "0.5"
    graph.attr(rankdir="BT", nodesep="0.02", splines="none", nslimit=care)
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
    return {key(each): each.width for each in boxes} | ways.by_row.get(row, {})


def key(box: Box) -> str:
    return f"box {min(box.members)}"


def _links(plan: Plan, boxes: Sequence[Sequence[Box]], ways: Ways) -> dict[tuple[str, str], int]:
    """Weights of the links between neighbouring rows: the further from a node, the straighter."""
    key_of = {name: key(each) for row in boxes for each in row for name in each.members}
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
    mean = {name: sum(x) / len(x) if x else raw[key(box)] for name, x in ends.items()}
    order = sorted(range(len(box.members)), key=lambda place: mean[box.members[place]])
    return replace(box, members=tuple(box.members[at] for at in order), beside=tuple(box.beside[at] for at in order))


def _tightened(items: Mapping[str, float], room: float) -> dict[str, float]:
    """A row's widths with its lanes narrowed, if needed; nodes keep their size."""
    nodes = sum(width for name, width in items.items() if name.startswith("box "))
    lanes = sum(items.values()) - nodes
    tight = min(1.0, max(room - nodes, 0.0) / lanes) if lanes else 1.0
    return {name: width if name.startswith("box ") else width * tight for name, width in items.items()}


def _middles(boxes: Iterable[Sequence[Box]], x: Mapping[str, float]) -> dict[str, float]:
    return {name: x[key(each)] + shift for row in boxes for each in row for name, shift in each.middles()}


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
