"""The sheet that a diagram is painted on: how it is to look, and where its origin is. Units are points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from circuitsearch.figures import style
from circuitsearch.figures.insets import Inset
from circuitsearch.figures.placed import Placed, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN, LEFT, LINE = 4.0, 34.0, 9.5


@dataclass(frozen=True)
class Look:
    """The look of a diagram.

    Attributes
    ----------
    theme : Theme
        Its colours.
    width : float, optional
        In points; by default as wide as needed.
    title, caption, prompt : str
        Above it; below it; and between diagram and legend, an example of the prompts.
    spans : dict
        What stands in the example at the token span of each column.
    insets : dict
        Attention patterns, by node.
    highlight : frozenset of str
        Nodes with thick frames, and edges, ``"a0.h1->a2.h3<q>"``, with a halo.
    labels : str
        How heads are written: one of :data:`circuitsearch.names.LABELS`.
    """

    theme: style.Theme = style.LIGHT
    width: float | None = None
    title: str = ""
    caption: str = ""
    prompt: str = ""
    spans: Mapping[str, str] = field(default_factory=dict)
    insets: Mapping[str, Inset] = field(default_factory=dict)
    highlight: frozenset[str] = frozenset()
    labels: str = "a9.h9"


@dataclass(frozen=True)
class Sheet:
    """The axes, and the position of the drawing's origin on them."""

    axes: Axes
    placed: Placed
    look: Look
    origin: Point
    width: float

    @property
    def theme(self) -> style.Theme:
        """Its colours."""
        return self.look.theme

    def at(self, place: Point) -> Point:
        """From the drawing's units to the sheet's."""
        return place[0] + self.origin[0], place[1] + self.origin[1]

    def write(self, place: Point, text: str, size: float, **look: Any) -> None:
        """Set a text, by default in the middle of its place."""
        usual = {"fontsize": size, "color": self.theme.ink, "ha": "center", "va": "center_baseline", "zorder": 4}
        self.axes.text(*place, text, **usual | look)
