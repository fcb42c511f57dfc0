"""The lanes of strands past the rows between their ends.

The strongest strands have lanes of their own, as many as fit the figure's width. The weaker ones into a row are bundled in one
trunk, which they join on their way, thin and faint, so that a circuit of hundreds of edges stays legible and shows all of them. Strands from one writer
into one head share their lanes, side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from circuitsearch.figures.boxes import Box
from circuitsearch.figures.plan import Plan

LANE_GAP, LANE_PITCH = 2.0, 2.4
TRUNK_GAP, TRUNK_PITCH, BROADEST = 3.0, 0.7, 13.0
FOLLOWED = 90  # strands; more cannot be followed by eye
CLOSEST = 0.65  # how far lanes may be drawn together
STEPS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Ways:
    """Lanes of the strands of one column.

    Attributes
    ----------
    lanes : dict
        For each strand's index, the lane that it takes past each row.
    breadths : dict
        Width of each lane.
    gathered : frozenset of int
        Strands that run in trunks.
    """

    lanes: Mapping[int, Mapping[int, str]]
    breadths: Mapping[str, float]
    gathered: frozenset[int]

    @cached_property
    def by_row(self) -> dict[int, dict[str, float]]:
        """Lanes, with their widths, past each row."""
        rows: dict[int, dict[str, float]] = {}
        for passed in self.lanes.values():
            for row, lane in passed.items():
                rows.setdefault(row, {})[lane] = self.breadths[lane]
        return rows


def weakest_gathered(plan: Plan, boxes: Sequence[Sequence[Box]], members: Sequence[int], room: float) -> Ways:
    """Choose the lanes of the strands ``members`` of a column: as many separate ones as fit its width."""
    ranking = sorted(members, key=lambda index: (-abs(plan.strands[index].strength or 0.0), index))
    needs = [sum(box.width for box in row) for row in boxes]
    most = min(len(ranking), FOLLOWED)
    for share in STEPS:
        own = _strongest(plan, ranking, round(share * most))
        found = _ways(plan, members, own)
        widths = (needs[row] + CLOSEST * sum(lanes.values()) for row, lanes in found.by_row.items())
        if max(widths, default=0.0) <= room:
            return found
    return _ways(plan, members, frozenset())


def _strongest(plan: Plan, ranking: Sequence[int], n: int) -> frozenset[int]:
    """The first n, without those that are as weak as the first one left out: ties are treated alike."""
    if n >= len(ranking):
        return frozenset(ranking)
    limit = abs(plan.strands[ranking[n]].strength or 0.0)
    return frozenset(index for index in ranking[:n] if abs(plan.strands[index].strength or 0.0) > limit)


def _ways(plan: Plan, members: Sequence[int], own: frozenset[int]) -> Ways:
    lanes: dict[int, dict[int, str]] = {}
    users: dict[str, int] = {}
    for index in members:
        strand = plan.strands[index]
        below, above = plan.row_of[strand.writer], plan.row_of[strand.head]
        key = f"{strand.writer}-{strand.head}" if index in own else f"trunk {above}"
        lanes[index] = {row: f"{key}-{row}" for row in range(below + 1, above)}
        for lane in lanes[index].values():
            users[lane] = users.get(lane, 0) + 1
    breadths = {lane: _breadth(lane, n) for lane, n in users.items()}
    return Ways(lanes, breadths, frozenset(members) - own)


def _breadth(lane: str, n: int) -> float:
    if lane.startswith("trunk"):
        return TRUNK_GAP + min(TRUNK_PITCH * n, BROADEST)
    return LANE_GAP + LANE_PITCH * n
