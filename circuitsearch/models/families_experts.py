"""Rows of the families whose MLPs are mixtures of experts. A mixture is one node, with its router and shared expert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from circuitsearch.models.arch import Block, Family, one_after_another
from circuitsearch.models.families_dense import (
    LLAMA_BLOCK,
    ONLY_NORMS_AFTER,
    fused,
    llama_like,
    residual_multiplier,
)

LATENT = "keys and values are read from the stream through one latent, and a part of the key is shared by all heads"
GATED = "a gate that reads the stream multiplies what each head gives"


def sparse_or_dense(row: Block = LLAMA_BLOCK) -> Callable[[Any, nn.Module], Block]:
    """A row whose MLP is a mixture in some blocks, which have no single nonlinearity."""

    def of(config: Any, block: nn.Module) -> Block:
        dense = getattr(block.get_submodule(row.mlp[0]), "experts", None) is None
        return row if dense else replace(row, activation=None, down=None, gated=False)

    return of


def undivided(reason: str, row: Block = LLAMA_BLOCK, attention: str = "self_attn") -> Block:
    """A row whose attention is one node, a mixer, because its heads cannot be separated."""
    return replace(row, parts="mixer>mlp", mixer=(attention,), mixer_norm=row.attn_norm, undivided=reason)


def _shared_beside(config: Any, block: nn.Module) -> Block:
    """Experts and, in some models, an MLP that all tokens share; both read through the same norm."""
    row = replace(
        LLAMA_BLOCK,
        attn_factor=residual_multiplier,
        mlp_factor=residual_multiplier,
        activation=None,
        down=None,
        gated=False,
    )
    if getattr(block, "shared_mlp", None) is None:
        return replace(row, mlp=("block_sparse_moe",))
    return replace(row, mlp=("shared_mlp",), beside="block_sparse_moe")


def _olmoe(config: Any, block: nn.Module) -> Block:
    row = sparse_or_dense()(config, block)
    return replace(row, in_place=config.clip_qkv is not None)  # clamps q, k and v


_LLAMA_SPARSE = llama_like(sparse_or_dense())
_LATENT = llama_like(sparse_or_dense(undivided(LATENT)))
_GRANITE = llama_like(_shared_beside)

EXPERTS: dict[str, Family] = {
    # Llama's row. These families differ only inside attention or inside the mixture.
    **dict.fromkeys(
        (
            *(
                "mixtral",
                "phimoe",
                "qwen2_moe",
                "qwen3_moe",
                "mellum",
                "gpt_oss",
                "minimax_m2",
                "ernie4_5_moe",
                "dots1",
            ),
            *("glm4_moe", "solar_open", "hy_v3", "exaone_moe", "hunyuan_v1_moe"),
        ),
        _LLAMA_SPARSE,
    ),
    **dict.fromkeys(("granitemoe", "granitemoeshared", "granitemoe_swa"), _GRANITE),
    "olmoe": llama_like(_olmoe),
    "flex_olmo": llama_like(sparse_or_dense(ONLY_NORMS_AFTER)),
    "cohere2_moe": llama_like(sparse_or_dense(replace(LLAMA_BLOCK, parts="heads+mlp", mlp_norm="input_layernorm"))),
    "llama4_text": llama_like(
        sparse_or_dense(
            replace(
                LLAMA_BLOCK,
                mlp=("feed_forward",),
                activation="feed_forward.activation_fn",
                down="feed_forward.down_proj",
            )
        )
    ),
    "dbrx": Family(
        "transformer.blocks",
        "transformer.norm_f",
        Block(
            attn_norm="norm_attn_norm.norm_1",
            mlp_norm="norm_attn_norm.norm_2",
            **fused("norm_attn_norm.attn.Wqkv"),
            o="norm_attn_norm.attn.out_proj",
            layout=one_after_another,
            mlp=("ffn",),
            activation=None,
        ),
    ),
    # Attention as one node.
    **dict.fromkeys(("deepseek_v2", "deepseek_v3", "glm4_moe_lite", "youtu", "axk1"), _LATENT),
    "afmoe": llama_like(
        sparse_or_dense(
            replace(
                undivided(GATED),
                mixer=("self_attn", "post_attention_layernorm"),
                mlp_norm="pre_mlp_layernorm",
                mlp_post_norm="post_mlp_layernorm",
            )
        )
    ),
    "laguna": llama_like(sparse_or_dense(undivided(GATED))),
    "mimo_v2_flash": llama_like(
        sparse_or_dense(undivided("values are narrower than keys, and blocks differ in how many heads share them"))
    ),
    "jetmoe": llama_like(
        replace(
            undivided("each token chooses the experts that make its queries", attention="self_attention"),
            activation=None,
            down=None,
            gated=False,
        )
    ),
}
