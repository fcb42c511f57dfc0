"""The parts of a decoder's blocks: the rows and columns of each in the graph, and which of its readers feed which writers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from circuitsearch.errors import InputError, shortened

_LETTERS = {"heads": "a", "mlp": "m", "neurons": "m", "experts": "m", "shared": "m", "mixer": "s", "shifted": "m"}
_WORD = re.compile(r"heads|mlp|mixer|shifted|shared|(neurons|experts):[1-9]\d{0,8}")


@dataclass(frozen=True)
class Part:
    """One part of a block, with its rows and columns in the graph.

    Attributes
    ----------
    kind : str
        ``heads`` (attention: one writer per head, and q, k and v ports), ``mlp``, ``neurons`` (an MLP: one writer per
        neuron), ``experts`` (a mixture: one writer and one port per expert, and a port of the router), ``shared`` (the
        expert that all tokens share), or ``mixer`` (moves information between positions without heads: Mamba, RWKV ...).
    letter : str
        The first letter of its nodes' names: ``a`` attention, ``m`` MLP, ``s`` any other mixer.
    layer, stage : int
        Its block, and its stage in the block: parts of one stage read the same stream.
    size : int
        Heads, neurons or experts; 1 otherwise.
    rows, columns : slice
        Of its writers and its readers.
    seen : int
        How many writers, counted from the first, come before it in the stream.
    """

    kind: str
    letter: str
    layer: int
    stage: int
    size: int
    rows: slice
    columns: slice
    seen: int

    @property
    def mixes(self) -> bool:
        """Whether it moves information from one position to another."""
        return self.kind in ("heads", "mixer")


def check_block(block: str) -> None:
    """Raise an InputError unless a block's text lists parts whose nodes have different names."""
    words = re.split("[>+]", block)
    kinds = [word.partition(":")[0] for word in words if _WORD.fullmatch(word)]
    prefixes = {"shared" if kind == "shared" else _LETTERS[kind] for kind in kinds}
    if len(prefixes) < len(words):
        raise InputError(f"the block {shortened(repr(block))} is not valid: write it as 'heads>mlp'")


def parts_of(
    blocks: Sequence[str], n_heads: int, width: Callable[[str, int], tuple[int, int]], first: int
) -> list[Part]:
    """Read the parts of ``blocks``, each a text such as ``"heads>mlp"``, in the stream's order.

    ``width`` gives the number of writers and readers of a kind and size; ``first`` writers come before the first part.
    """
    parts: list[Part] = []
    written, read = first, 0
    for layer, block in enumerate(blocks):
        for stage, together in enumerate(block.split(">")):
            seen = written
            for word in together.split("+"):
                kind, _, count = word.partition(":")
                size = n_heads if kind == "heads" else int(count or 1)
                n_rows, n_columns = width(kind, size)
                rows, columns = slice(written, written + n_rows), slice(read, read + n_columns)
                written, read = rows.stop, columns.stop
                name = "mixer" if kind == "shifted" else kind
                parts.append(Part(name, _LETTERS[kind], layer, stage, size, rows, columns, seen))
    return parts


def feeds_within(part: Part, heads: int, groups: int) -> tuple[Tensor, Tensor]:
    """Which of a part's readers feed which of its writers, and which readers feed later positions too.

    Parameters
    ----------
    heads, groups : int
        Numbers of q ports and of k ports of attention.

    Returns
    -------
    tuple of Tensor
        Boolean (readers, writers) and (readers,).
    """
    if part.kind == "heads":
        each = torch.eye(heads, dtype=torch.bool)
        shared = each.unflatten(0, (groups, -1)).any(1)
        moves = torch.tensor([False] * heads + [True] * 2 * groups)
        return torch.cat([each, shared, shared]), moves
    router = torch.ones(1, part.size, dtype=torch.bool)
    feeds = torch.cat([torch.eye(part.size, dtype=torch.bool), router]) if part.kind == "experts" else router
    return feeds, torch.full((len(feeds),), part.mixes)


def feeds_between(feeds: Tensor, moves: Tensor, spans: int, ordered: bool) -> Tensor:
    """The same with a node for each span: boolean (readers x spans, writers x spans).

    Keys and values feed all spans that may come after theirs: the later ones if the spans are ``ordered`` (positions), and
    all of them if they are named, since their order differs from prompt to prompt.
    """
    here = torch.eye(spans, dtype=torch.bool)
    beyond = torch.ones_like(here).triu() if ordered else torch.ones_like(here)
    between = here | (moves[:, None, None] & beyond)  # (readers, S, S)
    spread = feeds[:, None, :, None] & between[:, :, None, :]  # (readers, S, writers, S)
    return spread.flatten(2).flatten(0, 1)
