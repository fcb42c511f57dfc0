"""Small attention patterns beside heads, as vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.figures import style
from circuitsearch.figures.canvas import shortened, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL, PLAIN_SIDE, LEAST_CELL = 6.4, 44.0, 1.0  # points: a token's place with its name; a side without names
NAMED, LONGEST = 24, 256  # tokens: with names, and at all
TOKEN_ROOM, GAP = 26.0, 4.0
SEEN = 0.02  # smaller weights are not drawn


@dataclass(frozen=True)
class Inset:
    """A pattern and how it is drawn: from query (row) to key (column), with or without the tokens' names.

    Attributes
    ----------
    weights : Tensor
        (T, T), each from 0 to 1.
    tokens : tuple of str
        Names, T or none.
    cell, names : float
        Side of a token's cell; width of the names, left and below.
    """

    weights: Tensor
    tokens: tuple[str, ...]
    cell: float
    names: float

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, with a gap to the node and to the next."""
        side = self.names + self.cell * len(self.weights)
        return side + 2 * GAP, side + 2 * GAP


def insets_of(patterns: Mapping[str, Any], tokens: Sequence[str], room: float) -> dict[str, Inset]:
    """Read patterns by node; they are drawn with the tokens' names where these fit. Call within ``figure_style``.

    Raises
    ------
    InputError
        If a pattern is not a square of weights, or the number of tokens differs.
    """
    names = tuple(shortened(plain_text(token) or "␣", style.TOKEN_SIZE, TOKEN_ROOM) for token in tokens)
    return {node: _inset(node, pattern, names, room) for node, pattern in patterns.items()}


def _inset(node: str, pattern: Any, names: tuple[str, ...], room: float) -> Inset:
    weights = torch.as_tensor(pattern).detach().to("cpu", torch.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not 0 < len(weights) <= LONGEST:
        raise InputError(
            f"the inset of {node} must be the attention of each token to each, (T, T) with T up to {LONGEST},"
            f" not of shape {tuple(weights.shape)}"
        )
    if not bool(((weights >= 0) & (weights <= 1.000001)).all()):
        raise InputError(f"the inset of {node} has numbers outside 0 and 1: give attention weights after the softmax")
    n = len(weights)
    if names and len(names) != n:
        raise InputError(f"the inset of {node} is of {n} tokens, but {len(names)} are named: give as many")
    longest = max((text_width(name, style.TOKEN_SIZE) for name in names), default=0.0) + 2
    if names and n <= NAMED and CELL * n + longest + 2 * GAP <= room:
        return Inset(weights, names, CELL, longest)
    side = min(PLAIN_SIDE, room - 2 * GAP)
    if side < LEAST_CELL * 4:
        raise InputError(f"the inset of {node} does not fit: give the figure a larger width")
    return Inset(weights, (), side / n, 0.0)


def paint_inset(axes: Axes, inset: Inset, left: float, middle: float, theme: style.Theme, gid: str) -> None:
    """Draw a pattern right of ``left``, at the height ``middle``."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    side = inset.cell * len(inset.weights)
    x0, top = left + GAP + inset.names, middle + (side + inset.names) / 2
    places = (inset.weights >= SEEN).nonzero().tolist()
    cells = [Rectangle((x0 + k * inset.cell, top - (q + 1) * inset.cell), inset.cell, inset.cell) for q, k in places]
    shades = [blend(theme.paper, theme.heat, min(float(inset.weights[q, k]), 1.0)) for q, k in places]
    frame = Rectangle((x0, top - side), side, side, facecolor=theme.paper, edgecolor="none", zorder=3)
    axes.add_patch(frame)
    grid = PatchCollection(cells, facecolors=shades, edgecolors="none", zorder=3.1)
    grid.set_gid(gid)
    axes.add_collection(grid)
    axes.add_patch(
        Rectangle((x0, top - side), side, side, fill=False, edgecolor=theme.faint, linewidth=0.4, zorder=3.2)
    )
    look = {"fontsize": style.TOKEN_SIZE, "color": theme.ink, "zorder": 4}
    for place, token in enumerate(inset.tokens):
        along = (place + 0.5) * inset.cell
        axes.text(x0 - 1.5, top - along, token, ha="right", va="center_baseline", **look)
        axes.text(x0 + along, top - side - 1.5, token, ha="center", va="top", rotation=90, **look)


def blend(low: str, high: str, share: float) -> str:
    """A colour between two.

    Examples
    --------
    >>> blend("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = [(int(low[i : i + 2], 16), int(high[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(one + share * (other - one)):02x}" for one, other in pairs)
