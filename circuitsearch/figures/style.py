"""The look of a diagram: what a sign, a strength, a port and a kind of node look like, on light paper and on dark.

What supports has more contrast with the paper than what opposes. ``tests/figures/test_style.py`` simulates colour
blindness and grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from circuitsearch.colours import OPPOSES, SUPPORTS, UNKNOWN
from circuitsearch.errors import unknown
from circuitsearch.names import EMBED, LOGITS, PORTS

INK, FAINT, RULE, BAND = "#1a1a1a", "#6b6b6b", "#cccccc", "#f4f4f4"
FILL_ATTENTION, FILL_MLP, FILL_MIXER, FILL_END = "#ffffff", "#dfe9dc", "#f6e0c0", "#e4e4e4"

# What a line shows: the edge's sign, or where two circuits are compared, which of them have the edge.
SIGNS = ("supports", "opposes", "unknown")
SHARED, FIRST, SECOND = "shared", "first", "second"


@dataclass(frozen=True)
class Theme:
    """Colours of a figure.

    Attributes
    ----------
    name : str
        Its name.
    paper, ink, faint, rule, band : str
        Background; text and frames; secondary text; thin lines; bands behind layers.
    fills : dict
        Of a node, by its kind: ``a``, ``m``, ``s`` (the first letter of its name), ``end``.
    lines : dict
        Of an edge, by what it shows: :data:`SIGNS`, or :data:`SHARED`, :data:`FIRST`, :data:`SECOND`.
    tints : tuple of str
        Behind nodes of one role; with more roles they repeat.
    heat : str
        Full attention in an inset.
    halo : str
        Behind highlighted edges.
    """

    name: str
    paper: str
    ink: str
    faint: str
    rule: str
    band: str
    fills: dict[str, str]
    lines: dict[str, str]
    tints: tuple[str, ...]
    heat: str
    halo: str


LIGHT = Theme(
    "light",
    "#ffffff",
    INK,
    FAINT,
    RULE,
    BAND,
    {"a": FILL_ATTENTION, "m": FILL_MLP, "s": FILL_MIXER, "end": FILL_END},
    {
        "supports": SUPPORTS,
        "opposes": OPPOSES,
        "unknown": UNKNOWN,
        SHARED: "#3c3c3c",
        FIRST: "#0a78c2",
        SECOND: "#e07b00",
    },
    ("#dad0ff", "#f8caa9", "#d7f7d2", "#bdd6df", "#faf3b8", "#aee6d2"),
    "#1b4f9c",
    "#ffe27a",
)
DARK = Theme(
    "dark",
    "#15171c",
    "#ececec",
    "#a2a7b0",
    "#3d424c",
    "#1e2128",
    {"a": "#2a2e37", "m": "#2c4032", "s": "#3b3350", "end": "#40444e"},
    {
        "supports": "#5c9dff",
        "opposes": "#ffc46b",
        "unknown": "#8d929c",
        SHARED: "#e2e2e2",
        FIRST: "#4aa8ff",
        SECOND: "#ff9d2e",
    },
    ("#25384a", "#4a2915", "#1d624d", "#4b2a66", "#645024", "#4c5869"),
    "#8fc1ff",
    "#6e5d16",
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}

# Sizes in points.
NODE_WIDTH, NODE_HEIGHT, PORT_HEIGHT, LOOK_HEIGHT = 36.0, 13.0, 7.5, 7.5
ROW_HEIGHT = NODE_HEIGHT + PORT_HEIGHT
NODE_ROOM, PORT_ROOM = 26.0, 8.0  # how wide strands that meet at a node or a port may spread
SMALLEST = 6.0  # that a printed page leaves legible
LABEL_SIZE, TEXT_SIZE, PORT_SIZE, ROLE_SIZE, TOKEN_SIZE = 7.0, 6.5, SMALLEST, SMALLEST, SMALLEST
THINNEST, THICKEST, PLAIN, GATHERED = 0.5, 3.0, 0.9, 0.4
HOLLOW, CORE = 1.8, 0.45  # width, at least, of a hollow line, and what share of it is left open
ARROW, HALO = 0.7, 4.5  # width of arrows between columns, and of what is behind a highlighted edge
FADE = 0.5  # how far a gathered line goes towards the paper

DASHES = {"q": "dashed", "k": "dotted", "router": "dash-dot", FIRST: "dashed", SECOND: "dotted"}
CERTAIN = {"solid": 1.0, "dashed": 0.5, "dotted": 0.0}  # the least inclusion of a line's style
PATTERNS = {  # in line widths; dots are round
    "dashed": (0, (3.2, 1.8)),
    "dotted": (0, (0.01, 2.0)),
    "dash-dot": (0, (4.0, 1.6, 0.8, 1.6)),
    "solid": "solid",
}


def theme_named(name: str) -> Theme:
    """Find a theme; an InputError lists the known ones."""
    if name not in THEMES:
        raise unknown("theme", name, THEMES)
    return THEMES[name]


def sign(score: float | None) -> str:
    """The meaning of a score: the edge supports the behaviour or opposes it, or there is no score with a sign.

    Examples
    --------
    >>> sign(0.3), sign(-0.3), sign(None)
    ('supports', 'opposes', 'unknown')
    """
    if score is None:
        return "unknown"
    return "supports" if score >= 0 else "opposes"


def width(score: float | None, strongest: float) -> float:
    """Line width in points, linear in the strength |score|.

    Examples
    --------
    >>> width(-2.0, strongest=2.0) == THICKEST, width(0.0, strongest=2.0) == THINNEST, width(None, 0.0) == PLAIN
    (True, True, True)
    """
    if score is None:
        return PLAIN
    return THINNEST + (THICKEST - THINNEST) * (abs(score) / strongest if strongest else 0.0)


def dash(port: str) -> str:
    """Line style by the port that is entered: dashed for q, dotted for k, solid for v, MLPs and logits."""
    return DASHES.get(port, "solid")


def certainty(inclusion: float) -> str:
    """Line style by the share of repeated searches that found an edge: solid if all did, dashed if half or more, else dotted.

    Examples
    --------
    >>> certainty(1.0), certainty(0.5), certainty(0.2)
    ('solid', 'dashed', 'dotted')
    """
    return next(name for name, least in CERTAIN.items() if inclusion >= least)


def pattern(name: str) -> dict[str, Any]:
    """A line style as Matplotlib's keywords."""
    return {"linestyle": PATTERNS[name], "capstyle": "round" if name == "dotted" else "butt"}


def faded(colour: str, paper: str) -> str:
    """A colour part of the way to the paper; no transparency, which printers and viewers treat differently.

    Examples
    --------
    >>> faded("#000000", "#ffffff")
    '#808080'
    """
    pairs = [(int(colour[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(one + FADE * (other - one)):02x}" for one, other in pairs)


def kind(name: str) -> str:
    """Kind of a node, as :attr:`Theme.fills` names it."""
    return "end" if label(name) in (EMBED, LOGITS) else name[0]


def label(name: str) -> str:
    """A node's name without its span, which its column shows."""
    return name.partition("@")[0]


def port_offset(port: str) -> float:
    """A port's distance right of its node's middle, in points."""
    return (PORTS.index(port) - 1) * NODE_WIDTH / 3 if port in PORTS else 0.0


def node_height(name: str) -> float:
    """Height of a node: heads have a strip for their ports."""
    return ROW_HEIGHT if name.startswith("a") else NODE_HEIGHT
