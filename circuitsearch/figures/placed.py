"""A diagram with the place of everything in it. All units are points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from circuitsearch.figures.boxes import Box
from circuitsearch.figures.plan import Plan
from circuitsearch.figures.ways import Ways

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Heights of a row: its bottom, the middle of its nodes, and its top."""

    bottom: float
    middle: float
    top: float


@dataclass(frozen=True)
class Lane:
    """A way through a row for strands that pass it: its row, its middle, and its breadth."""

    row: int
    x: float
    breadth: float


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

    Between two corners a strand is vertical if their x are equal, else S-shaped. ``passed`` are the lanes that each strand takes,
    from the lowest.
    """

    plan: Plan
    nodes: dict[str, Point]
    strands: tuple[tuple[Point, ...], ...]
    gathered: frozenset[int]
    lanes: dict[str, Lane]
    passed: tuple[tuple[str, ...], ...]
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
class Column:
    """One column, from x = 0: its boxes in each row, the x of each box, node and lane, and the lanes' breadths."""

    name: str
    boxes: tuple[tuple[Box, ...], ...]
    ways: Ways
    x: Mapping[str, float]
    breadths: Mapping[str, float]
    width: float
