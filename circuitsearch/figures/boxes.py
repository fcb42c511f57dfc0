"""Boxes that are placed as one: a node with its inset, or the nodes of one role in a row, with their label."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from circuitsearch.figures import style
from circuitsearch.figures.canvas import shortened, text_width
from circuitsearch.figures.plan import Plan, Row

NODE_GAP = 7.0
ROLE_PAD = 3.0
ROLE_LINES, ROLE_ROOM = 3, 44.0  # of a role's label: lines, and the widest one


@dataclass(frozen=True)
class Box:
    """Neighbouring nodes that are placed together.

    Attributes
    ----------
    members : tuple of str
        From left to right.
    beside : tuple of float
        Width right of each member, for its inset.
    role : str
        What its members do; empty if they have no role.
    label : tuple of str
        Lines of the role's label, left of the members; empty where the role is in the legend.
    label_room : float
        Width of the label.
    """

    members: tuple[str, ...]
    beside: tuple[float, ...]
    role: str = ""
    label: tuple[str, ...] = ()
    label_room: float = 0.0

    @property
    def width(self) -> float:
        """Width of the whole box, with the gap to the next."""
        pads = 2 * ROLE_PAD if self.role else 0.0
        nodes = len(self.members) * (style.NODE_WIDTH + NODE_GAP) + sum(self.beside)
        return nodes + pads + self.label_room

    def middles(self) -> Iterable[tuple[str, float]]:
        """Each member, and how far its middle is right of the box's middle."""
        x = -self.width / 2 + NODE_GAP / 2 + (ROLE_PAD if self.role else 0.0) + self.label_room
        for name, beside in zip(self.members, self.beside, strict=True):
            yield name, x + style.NODE_WIDTH / 2
            x += style.NODE_WIDTH + NODE_GAP + beside


Insets = Mapping[str, tuple[float, float]]  # node -> width and height of its inset


def box(members: Iterable[str], role: str, insets: Insets, labelled: bool) -> Box:
    """Put nodes into one box."""
    names = tuple(members)
    beside = tuple(insets[name][0] if name in insets else 0.0 for name in names)
    lines = role_lines(role) if role and labelled else ()
    room = max((text_width(line, style.ROLE_SIZE) for line in lines), default=-NODE_GAP / 2) + NODE_GAP / 2
    return Box(names, beside, role, lines, room)


def role_lines(role: str) -> tuple[str, ...]:
    """A role's label in short lines; what does not fit is left out, with an ellipsis.

    Examples
    --------
    >>> role_lines("duplicate token")
    ('duplicate', 'token')
    """
    lines = textwrap.wrap(role, 11, break_long_words=False) or [role]
    if len(lines) > ROLE_LINES:
        lines = [*lines[: ROLE_LINES - 1], " ".join(lines[ROLE_LINES - 1 :])]
    return tuple(shortened(line, style.ROLE_SIZE, ROLE_ROOM) for line in lines)


def boxes_of(plan: Plan, row: Row, column: str, insets: Insets, labelled: bool) -> list[Box]:
    """Boxes of a row in a column: nodes of one role together, every other node in one of its own."""
    together: dict[str, list[str]] = {}
    for name in row.nodes:
        if name.partition("@")[2] == column:
            together.setdefault(plan.roles.get(name) or f"@{name}", []).append(name)
    return [box(names, plan.roles.get(names[0], ""), insets, labelled) for names in together.values()]


def fold(plan: Plan, rooms: Mapping[str, float], insets: Insets, labelled: bool) -> Plan:
    """Break rows that are too wide for their columns; nodes that differ only in their span stay on one line."""
    rows = [part for row in plan.rows for part in _folded(plan, row, rooms, insets, labelled)]
    return replace(plan, rows=tuple(rows))


def _folded(plan: Plan, row: Row, rooms: Mapping[str, float], insets: Insets, labelled: bool) -> Iterable[Row]:
    units = _units(plan, row)

    def fits(names: list[str], share: float) -> bool:
        trial = Row(tuple(names))
        return all(
            sum(each.width for each in boxes_of(plan, trial, column, insets, labelled)) <= share * room
            for column, room in rooms.items()
        )

    def filled(share: float) -> list[list[str]]:
        lines: list[list[str]] = [[]]
        for unit in units:
            whole = [name for names in unit for name in names]
            for names in [whole] if fits(whole, share) else unit:
                if lines[-1] and not fits([*lines[-1], *names], share):
                    lines.append([])
                lines[-1] += names
        return lines

    lines = filled(1.0)
    for share in (0.5, 0.6, 0.7, 0.8, 0.9):  # as few lines as possible, of equal lengths
        if len(lines) > 1 and len(trial := filled(share)) == len(lines):
            lines = trial
            break
    order = {name: place for place, name in enumerate(row.nodes)}
    return [Row(tuple(sorted(names, key=order.__getitem__))) for names in lines]


def _units(plan: Plan, row: Row) -> list[list[list[str]]]:
    """Nodes that should stay on one line: those of a role, each with the nodes that differ from it only in their span."""
    units: dict[str, dict[str, list[str]]] = {}
    for name in row.nodes:
        label = style.label(name)
        units.setdefault(plan.roles.get(name) or f"@{label}", {}).setdefault(label, []).append(name)
    return [list(unit.values()) for unit in units.values()]
