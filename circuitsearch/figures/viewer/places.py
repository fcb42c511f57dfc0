"""Where a page draws everything: the figure's own coordinates, as plain lists.

The found circuit lies as in its figure for a paper. The slider's sizes share one placement, that of the largest of them, so that no
node moves sideways when the size changes; the page leaves out rows that have no nodes. Units are the page's: y grows downwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.figures import style
from circuitsearch.figures.columns import column_of
from circuitsearch.figures.page import POINTS, WIDTHS
from circuitsearch.figures.paint import BAND
from circuitsearch.figures.place import EXIT_PITCH, place
from circuitsearch.figures.placed import Placed, Point, Tint
from circuitsearch.figures.plan import plan
from circuitsearch.figures.ways import LANE_GAP, TRUNK_GAP
from circuitsearch.names import LOGITS

PAPER = POINTS * WIDTHS["two-column"]  # of the found circuit, as of its figure
SCREEN = 1000.0  # points, of the slider's sizes, whose rows are longer
SCALE = 1.6  # from points to the page's units, in which the names of nodes are as large as its other text


def found_place(circuit: Circuit, roles: Mapping[str, str]) -> Placed | None:
    """Place a circuit as its figure does; None if it has no edges."""
    return place(plan(circuit, roles), PAPER) if len(circuit) else None


def sizes_place(circuit: Circuit) -> Placed | None:
    """Place the largest circuit of a slider; None if there is none."""
    return place(plan(circuit), SCREEN) if len(circuit) else None


def placement(placed: Placed | None, nodes: Mapping[str, int]) -> dict[str, Any] | None:
    """A placement as plain lists; ``nodes`` are the page's, by name.

    Strands that run in a trunk share the trunk's lanes: from wherever they come, they meet on the way to their row.
    """
    if placed is None:
        return None
    lane_of = {name: index for index, name in enumerate(placed.lanes)}
    own: dict[str, list[int]] = {}
    trunks: dict[str, dict[int, int]] = {}
    columns = [name for name, _, _ in placed.columns]
    for index, strand in enumerate(placed.plan.strands):
        passed = [lane_of[lane] for lane in placed.passed[index]]
        if index not in placed.gathered:
            own[f"{nodes[strand.writer]} {nodes[strand.head]} {port_of(strand.reader)}"] = passed
            continue
        column = columns.index(column_of(placed.plan, strand.writer))
        trunk = trunks.setdefault(f"{column} {placed.plan.row_of[strand.head]}", {})
        trunk |= {placed.lanes[name].row: lane for name, lane in zip(placed.passed[index], passed, strict=True)}
    return {
        "nodes": [
            [nodes[name], *_point(middle), _scaled(placed.plan.height(name)), placed.plan.row_of[name]]
            for name, middle in placed.nodes.items()
        ],
        "rows": [
            [*map(_down, (line.bottom, line.middle, line.top)), *(row.layers or (None, None))]
            for row, line in zip(placed.plan.rows, placed.lines, strict=True)
        ],
        "lanes": [[lane.row, _scaled(lane.x), _scaled(lane.breadth)] for lane in placed.lanes.values()],
        "own": own,
        "trunks": {key: sorted(trunk.items()) for key, trunk in trunks.items()},
        "columns": [[name, _scaled(left), _scaled(right)] for name, left, right in placed.columns],
        "arrows": [
            [nodes[source], nodes[target], [value for corner in corners for value in _point(corner)]]
            for (source, target), corners in zip(placed.plan.arrows, placed.arrows, strict=True)
        ],
        "roles": list(placed.plan.role_names),
        "boxes": _boxes(placed, nodes),
        "depth": placed.plan.depth,
        "faint": 0 < len(placed.gathered) < len(placed.plan.strands),
    }


def looks() -> dict[str, Any]:
    """Sizes of the figure, for the page to draw alike."""
    sizes = {
        "node": style.NODE_WIDTH,
        "name": style.NODE_HEIGHT,
        "band": BAND,
        "port": style.port_offset("v"),
        "port_room": style.PORT_ROOM,
        "node_room": style.NODE_ROOM,
        "exit_pitch": EXIT_PITCH,
        "lane_gap": LANE_GAP,
        "trunk_gap": TRUNK_GAP,
        "thinnest": style.THINNEST,
        "thickest": style.THICKEST,
        "plain": style.PLAIN,
        "gathered": style.GATHERED,
        "hollow": style.HOLLOW,
    }
    return {name: _scaled(size) for name, size in sizes.items()} | {"core": style.CORE, "scale": SCALE}


def port_of(reader: str) -> str:
    """The port of a reader, as the page names it.

    Examples
    --------
    >>> port_of("a1.h2<q>"), port_of("m0<in>"), port_of("logits")
    ('q', 'in', 'logits')
    """
    return reader.partition("<")[2].partition(">")[0] or LOGITS


def _boxes(placed: Placed, nodes: Mapping[str, int]) -> list[list[Any]]:
    """Boxes of roles: the role, its nodes, how far the box goes to the left and right of them, its height, and its label."""
    return [_box(placed, each, nodes) for each in placed.tints]


def _box(placed: Placed, tint: Tint, nodes: Mapping[str, int]) -> list[Any]:
    plan = placed.plan
    middles = {name: placed.nodes[name][0] for name in plan.rows[tint.row].nodes if plan.roles.get(name) == tint.role}
    inside = {name: x for name, x in middles.items() if tint.left < x < tint.right}
    left, right = min(inside.values()) - tint.left, tint.right - max(inside.values())
    role = plan.role_names.index(tint.role)
    return [role, [nodes[name] for name in inside], *map(_scaled, (left, right, tint.height)), list(tint.label)]


def _point(place: Point) -> tuple[float, float]:
    return _scaled(place[0]), _down(place[1])


def _down(height: float) -> float:
    return -_scaled(height)


def _scaled(value: float) -> float:
    return round(SCALE * value, 2)
