"""The look of a diagram: what a sign, a strength, a port and a kind of node look like.

Colours are told apart by hue in every common kind of colour blindness, and by lightness in grey: what supports is
dark, what opposes is light.
"""

from __future__ import annotations

from typing import Any

from circuitsearch.graph import EMBED, LOGITS, PORTS

SUPPORTS, OPPOSES, UNKNOWN = "#1b4f9c", "#f08a00", "#8a8a8a"
INK, FAINT, RULE, BAND = "#1a1a1a", "#6b6b6b", "#cccccc", "#f4f4f4"
FILL_ATTENTION, FILL_MLP, FILL_END = "#ffffff", "#dfe9dc", "#e4e4e4"

# Sizes in points.
NODE_WIDTH, NODE_HEIGHT, PORT_HEIGHT = 42, 15, 8
ROW_HEIGHT = NODE_HEIGHT + PORT_HEIGHT
NODE_ROOM, PORT_ROOM = 30.0, 9.0  # how wide strands that meet at a node or a port may spread
LABEL_SIZE, PORT_SIZE, TEXT_SIZE = 8.0, 5.5, 7.5
THINNEST, THICKEST, PLAIN = 0.5, 3.4, 0.9

DASHES = {"q": "dashed", "k": "dotted"}
PATTERNS = {"dashed": (0, (3.2, 1.8)), "dotted": (0, (0.01, 2.0)), "solid": "solid"}  # in line widths; dots are round


def colour(score: float | None) -> str:
    """Blue where the edge supports the behaviour, orange where it opposes it, grey where nobody knows.

    Examples
    --------
    >>> colour(0.3) == SUPPORTS, colour(-0.3) == OPPOSES, colour(None) == UNKNOWN
    (True, True, True)
    """
    if score is None:
        return UNKNOWN
    return SUPPORTS if score >= 0 else OPPOSES


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


def line(score: float | None, strongest: float, port: str) -> dict[str, Any]:
    """Colour, width and pattern of a line, as Matplotlib's keywords."""
    pattern = {"linestyle": PATTERNS[dash(port)], "capstyle": "round" if dash(port) == "dotted" else "butt"}
    return {"color": colour(score), "linewidth": width(score, strongest)} | pattern


def fill(name: str) -> str:
    """Fill of a node by its kind."""
    if name in (EMBED, LOGITS):
        return FILL_END
    return FILL_ATTENTION if name.startswith("a") else FILL_MLP


def port_offset(port: str) -> float:
    """How far right of its node's middle a port lies, in points."""
    return (PORTS.index(port) - 1) * NODE_WIDTH / 3 if port in PORTS else 0.0


def node_height(name: str) -> int:
    """Height of a node: heads have a strip for their ports."""
    return ROW_HEIGHT if name.startswith("a") else NODE_HEIGHT
