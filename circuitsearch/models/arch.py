"""What a family's row says: what it calls its parts.

A row names modules and nothing else: attention, rotary positions, q/k norms, soft caps and windows stay
Hugging Face's own code. To add a family, add a row to one of the ``families_*.py`` beside this file and a tiny configuration to the tests'.
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
    """What the parts write is added to the stream as it is."""
    return 1.0


@dataclass(frozen=True)
class Block:
    """Where a block keeps its parts, as module paths that start at the block.

    Attributes
    ----------
    parts : str
        What it holds, as :class:`circuitsearch.graph.Graph` writes it: ``"heads>mlp"``, ``"heads+mlp"``, ``"mixer>mlp"`` ...
    attn_norm, mlp_norm, mixer_norm : str, optional
        What each reads the stream through; None where it reads it as it is.
    q, k, v, o : str
        Projections of the heads.
    layout : Layout
        Which features of these belong to which head.
    attn_post_norm, mlp_post_norm : str, optional
        Norms of what they write, before it is added to the stream.
    mlp, mixer : tuple of str
        Modules applied one after another; the last one's output is added to the stream.
    beside : str, optional
        A module that the block calls before the MLP, on the same input; its output is added to the MLP's.
    activation : str, optional
        The MLP's nonlinearity.
    down : str, optional
        The linear module that reads the MLP's neurons.
    gated : bool
        Whether what it reads is the product of a gate and what it gates.
    attn_factor, mlp_factor, mixer_factor : callable
        From the configuration to what the output is multiplied with before it is added to the stream.
    attn_input_factor : callable
        From the configuration to what the normalised stream is multiplied with before q, k and v are projected.
    undivided : str, optional
        Why the heads of its attention cannot be told apart, where the attention stands as a mixer for that reason.
    in_place : bool
        Whether the block changes what a projection or the MLP gives in place.
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
    """Where a family keeps what is common to all blocks, and what its blocks look like.

    Attributes
    ----------
    blocks, final_norm : str
        The list of blocks, and the norm before the unembedding.
    block : Block or callable
        The parts of a block, or how to tell them from the configuration and the block itself.
    embedding : str, optional
        The module whose output is the stream's beginning, where that is not what enters the first block.
    options : mapping
        What to load its models with, so that they can be read.
    """

    blocks: str
    final_norm: str
    block: Block | Callable[[Any, nn.Module], Block]
    embedding: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def of(self, config: Any, block: nn.Module) -> Block:
        """The row of one block."""
        return self.block if isinstance(self.block, Block) else self.block(config, block)
