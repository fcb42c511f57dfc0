"""Granularity: whether nodes are heads or whole attentions, MLPs or neurons, at all tokens together or per span."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from circuitsearch.errors import InputError
from circuitsearch.files import STRICT

REST = "rest"  # the span of the tokens that belong to no named span


@dataclass(frozen=True)
class Granularity:
    """What the nodes of the graph are; by default every head and every MLP, over all positions.

    Attributes
    ----------
    merged_heads : bool
        A block's heads are one node, ``a3``, with one q, k and v port.
    query_heads : bool
        If heads share keys and values, each has k and v ports of its own; the score of a group is the sum over its heads.
    neurons : tuple of int
        Blocks whose MLP has one node per neuron, ``m3.n17``; the neurons share the MLP's port.
    experts : bool
        In a mixture each expert is a node, ``m3.e5``, with a port of its own. The router's port ``m3.router<in>`` feeds all
        experts. An expert writes its output, weighted by the router. An expert that all tokens share is a node too,
        ``m3.shared``.
    spans : tuple of str
        Token spans that the task names (``"IO"``, ``"END"``); each has nodes of its own: ``a0.h1@IO``. All other tokens
        belong to the span ``"rest"``.
    positions : int
        If each position has nodes of its own, ``a0.h1@t3``: the number of tokens of every prompt.

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

    @property
    def in_words(self) -> str:
        """What the nodes are, for captions.

        Examples
        --------
        >>> Granularity().in_words, Granularity(neurons=(3,), spans=("IO", "END")).in_words
        ('heads and MLPs', 'heads, MLPs and the neurons of block 3, at each of the token spans IO, END')
        """
        heads = "whole attentions" if self.merged_heads else "heads"
        parts = [f"{heads} with keys and values of their own" if self.query_heads else heads, "MLPs"]
        blocks = ", ".join(map(str, self.neurons))
        parts += [f"the neurons of block{'s' * (len(self.neurons) > 1)} {blocks}"] if self.neurons else []
        parts += ["experts"] if self.experts else []
        places = f", at each of the token spans {', '.join(self.spans)}" if self.spans else ""
        places = f", at each of {self.positions} positions" if self.positions else places
        return f"{', '.join(parts[:-1])} and {parts[-1]}{places}"

    def __repr__(self) -> str:
        chosen = {
            each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) != each.default
        }
        return f"Granularity({', '.join(f'{name}={value!r}' for name, value in chosen.items())})"


WHOLE = Granularity()
MERGED = Granularity(merged_heads=True)  # as which every model can be read, whether or not its heads can be separated
