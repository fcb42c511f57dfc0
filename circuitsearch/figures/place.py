"""Where everything in a diagram lies. Graphviz orders each row and chooses every x; heights follow from those.

An edge that passes rows on its way up gets a lane through each of them, so that it never runs behind a node it has
nothing to do with. Strands of one writer into one head share their lanes, side by side; in a crowded diagram all strands of a writer run in
one lane, and part from it where they turn off. All units are points.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import graphviz

from circuitsearch.figures import style
from circuitsearch.figures.plan import Plan
from circuitsearch.figures.render import positions

Point = tuple[float, float]
Lanes = dict[tuple[str, str], dict[int, str]]  # (writer, head) -> row that is passed -> name of the lane there

POINTS_PER_INCH = 72
NODE_GAP, LANE_GAP, LANE_PITCH, EXIT_PITCH = 10.0, 2.0, 2.6, 2.6
LOWEST_GAP, HIGHEST_GAP, GAP_PER_SHIFT = 22.0, 56.0, 0.12


@dataclass(frozen=True)
class Placed:
    """Middles of the nodes, and each strand's corners from its writer's top to its reader's port.

    Between two corners a strand is vertical if their x are equal, else S-shaped.
    """

    nodes: dict[str, Point]
    strands: tuple[tuple[Point, ...], ...]

    @cached_property
    def size(self) -> Point:
        """Width and height from the origin."""
        x, y = zip(*self.nodes.values(), *(corner for corners in self.strands for corner in corners), strict=True)
        return max(x) + style.NODE_WIDTH / 2, max(y) + style.ROW_HEIGHT / 2


def place(plan: Plan) -> Placed:
    """Place the nodes and strands of a plan; an InputError says if there is no Graphviz."""
    lanes = _lanes(plan)
    x = _from_zero(positions(skeleton(plan, lanes)))
    tracks = [_track(plan, lanes, x, index) for index in range(len(plan.strands))]
    heights = _heights(plan, tracks)
    nodes = {name: (x[name], heights[row]) for name, row in plan.row_of.items()}
    return Placed(nodes, tuple(_corners(plan, tracks, heights)))


def _from_zero(x: dict[str, float]) -> dict[str, float]:
    left = min(x.values()) - style.NODE_WIDTH / 2
    return {name: value - left for name, value in x.items()}


# ---- what Graphviz is asked


def skeleton(plan: Plan, lanes: Lanes) -> str:
    """DOT of nodes and lanes as boxes of fixed size, without text, so that no font of the machine has a say."""
    graph = graphviz.Digraph()
    graph.attr(rankdir="BT", nodesep="0.02", splines="none", nslimit="2")
    graph.attr("node", shape="box", fixedsize="true", label="", height="0.3")
    for index, row in enumerate(plan.rows):
        boxes = dict.fromkeys(row.nodes, style.NODE_WIDTH + NODE_GAP)
        boxes |= {passed[index]: _breadth(plan, bundle) for bundle, passed in lanes.items() if index in passed}
        rank = graphviz.Digraph(graph_attr={"rank": "same"})
        for name, width in boxes.items():
            rank.node(name, width=f"{width / POINTS_PER_INCH:.4f}")
        graph.subgraph(rank)
    for below, above in pairwise(plan.rows):  # rows that no edge connects keep their order, too
        graph.edge(below.nodes[0], above.nodes[0], weight="0")
    for (below, above), weight in _links(lanes).items():
        graph.edge(below, above, weight=str(weight))
    return graph.source


def _lanes(plan: Plan) -> Lanes:
    lanes = {}
    for writer, head in plan.bundles:
        rows = range(plan.row_of[writer] + 1, plan.row_of[head])
        lanes[writer, head] = {row: f"{writer}-{row}" if plan.crowded else f"{writer}-{head}-{row}" for row in rows}
    return lanes


def _breadth(plan: Plan, bundle: tuple[str, str]) -> float:
    side_by_side = 1 if plan.crowded else len(plan.bundles[bundle])
    return LANE_GAP + LANE_PITCH * side_by_side


def _links(lanes: Lanes) -> dict[tuple[str, str], int]:
    """Weights of the links between neighbouring rows: the further from a node, the straighter."""
    weights: dict[tuple[str, str], int] = {}
    for (writer, head), passed in lanes.items():
        links = list(pairwise([writer, *passed.values(), head]))
        for link in links:
            at_node = link in (links[0], links[-1])
            weights[link] = 1 if len(links) == 1 else 2 if at_node else 8
    return weights


# ---- from x to corners


def _track(plan: Plan, lanes: Lanes, x: dict[str, float], index: int) -> list[tuple[int, float]]:
    """Rows that a strand touches, each with its x there; the ends are not yet spread."""
    strand = plan.strands[index]
    bundle = plan.bundles[strand.writer, strand.head]
    shift = 0.0 if plan.crowded else (bundle.index(strand.port) - (len(bundle) - 1) / 2) * LANE_PITCH
    inner = [(row, x[lane] + shift) for row, lane in lanes[strand.writer, strand.head].items()]
    start = (plan.row_of[strand.writer], x[strand.writer])
    return [start, *inner, (plan.row_of[strand.head], x[strand.head] + style.port_offset(strand.port))]


def _heights(plan: Plan, tracks: list[list[tuple[int, float]]]) -> list[float]:
    """Middle of each row: two rows stand the further apart, the further a strand moves sideways between them."""
    shift = [0.0] * len(plan.rows)
    for track in tracks:
        for (below, x0), (_, x1) in pairwise(track):
            shift[below] = max(shift[below], abs(x1 - x0))
    heights = [style.ROW_HEIGHT / 2]
    for widest in shift[:-1]:
        gap = min(LOWEST_GAP + GAP_PER_SHIFT * widest, HIGHEST_GAP)
        heights.append(heights[-1] + style.ROW_HEIGHT + gap)
    return heights


def _corners(plan: Plan, tracks: list[list[tuple[int, float]]], heights: list[float]) -> Iterable[tuple[Point, ...]]:
    exits = _spread([(s.writer, track[1][1]) for s, track in zip(plan.strands, tracks, strict=True)])
    entries = _spread([(f"{s.head}<{s.port}>", track[-2][1]) for s, track in zip(plan.strands, tracks, strict=True)])
    half = style.ROW_HEIGHT / 2
    for index, strand in enumerate(plan.strands):
        (first, x0), *inner, (last, x1) = tracks[index]
        lanes = [(x, heights[row] + side) for row, x in inner for side in (-half, half)]
        start = (x0 + exits[index], heights[first] + style.node_height(strand.writer) / 2)
        end = (x1 + entries[index], heights[last] - style.node_height(strand.head) / 2)
        yield (start, *lanes, end)


def _spread(ends: list[tuple[str, float]]) -> dict[int, float]:
    """Shift strands that meet at one place apart, in the order in which they come from left to right."""
    groups: dict[str, list[int]] = {}
    for index in sorted(range(len(ends)), key=lambda index: ends[index][1]):
        groups.setdefault(ends[index][0], []).append(index)
    shifts = {}
    for place, members in groups.items():
        room = style.PORT_ROOM if place.endswith(("q>", "k>", "v>")) else style.NODE_ROOM
        pitch = min(EXIT_PITCH, room / max(len(members) - 1, 1))
        shifts |= {index: (rank - (len(members) - 1) / 2) * pitch for rank, index in enumerate(members)}
    return shifts
