"""A family's row: the module names of its parts.

A row names modules only: attention, rotary positions, q/k norms, soft caps and sliding windows remain Hugging Face's code. To add
a family, add a row to one of the ``families_*.py`` in this folder and a tiny configuration to ``tests/families_*.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

# Layout of a projection's output features: (query heads, key-value heads, head width) -> features (heads, width) of q, k, v
Layout = Callable[[int, int, int], tuple[Tensor, Tensor, Tensor]]


def separate(heads: int, kv_heads: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v each have a projection of their own."""
    kv = torch.arange(kv_heads * width).view(kv_heads, width)
    return torch.arange(heads * width).view(heads, width), kv, kv


def one_after_another(heads: int, kv_heads: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """One projection: all of q, then all of k, then all of v."""
    q = torch.arange(heads * width).view(heads, width)
    k = torch.arange(kv_heads * width).view(kv_heads, width) + q.numel()
    return q, k, k + k.numel()


def head_by_head(heads: int, kv_heads: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """One projection: q, k and v of the first head, then of the second, ..."""
    q, k, v = rearrange(torch.arange(3 * heads * width), "(h three k) -> three h k", h=heads, three=3)
    return q, k, v


def one_factor(config: Any) -> float:
    """No multiplier."""
    return 1.0


@dataclass(frozen=True)
class Block:
    """Module paths of a block's parts, relative to the block.

    Attributes
    ----------
    parts : str
        Its parts, as :class:`circuitsearch.graph.Graph` writes them: ``"heads>mlp"``, ``"heads+mlp"``, ``"mixer>mlp"`` ...
    attn_norm, mlp_norm, mixer_norm : str, optional
        The norm before each part; None if it reads the stream itself.
    q, k, v, o : str
        Projections of the heads.
    layout : Layout
        Which features of these belong to which head.
    attn_post_norm, mlp_post_norm : str, optional
        Norms of their outputs, before these are added to the stream.
    mlp, mixer : tuple of str
        Modules applied one after another; the last one's output is added to the stream.
    beside : str, optional
        A module that the block calls before the MLP, on the same input; its output is added to the MLP's.
    activation : str, optional
        The MLP's nonlinearity.
    down : str, optional
        The linear module that reads the MLP's neurons.
    gated : bool
        Whether the neurons are the product of a gate and the gated values.
    attn_factor, mlp_factor, mixer_factor : callable
        From the configuration, the multiplier of the output before it is added to the stream.
    attn_input_factor : callable
        From the configuration, the multiplier of the normalised stream before q, k and v are projected.
    undivided : str, optional
        Why the heads of its attention cannot be separated, if the attention is read as a mixer for that reason.
    in_place : bool
        Whether the block changes the output of a projection or of the MLP in place.
    """

    parts: str = "heads>mlp"
    attn_norm: str | None = None
    mlp_norm: str | None = None
    mixer_norm: str | None = None
    q: str = ""
    k: str = ""
    v: str = ""
    o: str = ""
    layout: Layout = separate
    attn_post_norm: str | None = None
    mlp_post_norm: str | None = None
    mlp: tuple[str, ...] = ("mlp",)
    mixer: tuple[str, ...] = ()
    beside: str | None = None
    activation: str | None = "mlp.act"
    down: str | None = None
    gated: bool = False
    attn_factor: Callable[[Any], float] = one_factor
    mlp_factor: Callable[[Any], float] = one_factor
    mixer_factor: Callable[[Any], float] = one_factor
    attn_input_factor: Callable[[Any], float] = one_factor
    undivided: str | None = None
    in_place: bool = False


@dataclass(frozen=True)
class Family:
    """Module paths outside the blocks, and the row of a block.

    Attributes
    ----------
    blocks, final_norm : str
        The list of blocks, and the norm before the unembedding.
    block : Block or callable
        The row of a block, or a function of the configuration and the block that returns it.
    embedding : str, optional
        The module whose output is the stream before the first block, if that is not the first block's input.
    options : mapping
        Options with which its models must be loaded.
    """

    blocks: str
    final_norm: str
    block: Block | Callable[[Any, nn.Module], Block]
    embedding: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def of(self, config: Any, block: nn.Module) -> Block:
        """The row of one block."""
        return self.block if isinstance(self.block, Block) else self.block(config, block)
