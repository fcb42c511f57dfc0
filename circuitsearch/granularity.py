"""What counts as a node of the graph: heads or whole attentions, MLPs or neurons, all tokens or spans of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from circuitsearch.errors import InputError
from circuitsearch.files import STRICT

REST = "rest"  # the span of the tokens that are in no named one


@dataclass(frozen=True)
class Granularity:
    """What counts as a node of the graph; by default every head and every MLP, over all positions.

    Attributes
    ----------
    merged_heads : bool
        A block's heads are one node, ``a3``, with one q, k and v port.
    query_heads : bool
        Where heads share keys and values, each has k and v ports of its own; a group's share is the sum over its heads.
    neurons : tuple of int
        Blocks whose MLP is a node a neuron, ``m3.n17``; they share the MLP's port.
    experts : bool
        In a mixture of experts each is a node, ``m3.e5``, with a port of its own; so has the router, ``m3.router<in>``,
        which feeds them all. What it gives is what it adds to the stream: its output, weighted as it is routed. An expert
        that all tokens share is a node too, ``m3.shared``.
    spans : tuple of str
        Token spans that the task names (``"IO"``, ``"END"``), each of which has nodes of its own: ``a0.h1@IO``. Tokens in
        none of them are ``"rest"``.
    positions : int
        The number of tokens of every prompt, where each position has nodes of its own: ``a0.h1@t3``.

    Raises
    ------
    InputError
        If a span is named twice or ``"rest"``, or both spans and positions are given.
    """

    __pydantic_config__ = STRICT

    merged_heads: bool = False
    query_heads: bool = False
    neurons: tuple[int, ...] = ()
    experts: bool = False
    spans: tuple[str, ...] = ()
    positions: int = 0

    def __post_init__(self) -> None:
        for name in ("neurons", "spans"):  # lists, when they come from a file
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "neurons", tuple(sorted(set(self.neurons))))
        if len(set(self.spans)) < len(self.spans) or REST in self.spans:
            raise InputError(
                f"spans must be named once each, and {REST!r} is the name of all other tokens: {self.spans}"
            )
        if not all(re.fullmatch(r"[^\s@<>]+", name) and name.isprintable() for name in self.spans):
            raise InputError(
                f"a span's name must be a word of printable characters without '@', '<' and '>': {self.spans}"
            )
        if self.positions < 0 or (self.positions and self.spans):
            raise InputError(
                "give spans, or a number of positions above 0, not both: every position is a span of its own"
            )

    def __repr__(self) -> str:
        chosen = {
            each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) != each.default
        }
        return f"Granularity({', '.join(f'{name}={value!r}' for name, value in chosen.items())})"


WHOLE = Granularity()
