"""Rows of the families whose blocks mix positions without heads: state spaces, linear attention, convolutions.

Such a mixer is one node. Many of these families have blocks of several kinds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from circuitsearch.errors import InputError
from circuitsearch.models.arch import Block, Family
from circuitsearch.models.families_dense import (
    LLAMA_BLOCK,
    ONLY_NORMS_AFTER,
    llama_like,
    projections,
    residual_multiplier,
)
from circuitsearch.models.families_experts import GATED, LATENT, sparse_or_dense, undivided

_ONLY_MIXER = Block(parts="mixer", mixer_norm="norm", mixer=("mixer",))
_MAMBA = Family("backbone.layers", "backbone.norm_f", _ONLY_MIXER)


def _has(block: Any, name: str) -> bool:
    return getattr(block, name, None) is not None


def _with_mixer(row: Block, *mixer: str) -> Block:
    """A row whose attention is replaced by a mixer."""
    return replace(row, parts="mixer>mlp", mixer=mixer, mixer_norm=row.attn_norm, undivided=None)


# ---- attention in some blocks, a mixer in the others

_FEED_FORWARD = replace(
    LLAMA_BLOCK,
    mlp_norm="pre_ff_layernorm",
    mlp=("feed_forward",),
    activation="feed_forward.act_fn",
    down="feed_forward.down_proj",
)


def _jamba(config: Any, block: nn.Module) -> Block:
    row = sparse_or_dense(_FEED_FORWARD)(config, block)
    return _with_mixer(row, "mamba") if _has(block, "mamba") else row


def _falcon_h1(config: Any, block: nn.Module) -> Block:
    return replace(
        _FEED_FORWARD,
        parts="heads+mixer>mlp",
        attn_input_factor=lambda config: config.attention_in_multiplier,
        attn_factor=lambda config: config.attention_out_multiplier,
        mixer=("mamba",),
        mixer_norm="input_layernorm",
        mixer_factor=lambda config: config.ssm_out_multiplier,
        down=None,  # its output is multiplied before it leaves the MLP
    )


def _granite_hybrid(config: Any, block: nn.Module) -> Block:
    row = replace(
        LLAMA_BLOCK,
        mlp=("shared_mlp",),
        activation="shared_mlp.activation",
        down="shared_mlp.output_linear",
        attn_factor=residual_multiplier,
        mlp_factor=residual_multiplier,
        mixer_factor=residual_multiplier,
    )
    if block.has_experts:
        row = replace(row, beside="block_sparse_moe", activation=None, down=None, gated=False)
    return _with_mixer(row, "mamba") if _has(block, "mamba") else row


def _nemotron_h(config: Any, block: nn.Module) -> Block:
    """One part per block."""
    if block.block_type == "linear_attention":
        return _ONLY_MIXER
    if block.block_type == "full_attention":
        return Block(parts="heads", attn_norm="norm", **projections("mixer"))
    mlp = Block(parts="mlp", mlp_norm="norm", mlp=("mixer",), activation=None)
    return mlp if block.block_type == "moe" else replace(mlp, activation="mixer.act_fn", down="mixer.down_proj")


def _recurrent_gemma(config: Any, block: nn.Module) -> Block:
    row = Block(
        attn_norm="temporal_pre_norm",
        mlp_norm="channel_pre_norm",
        **projections("temporal_block"),
        mlp=("mlp_block",),
        activation="mlp_block.act_fn",
        down="mlp_block.down_proj",
        gated=True,
    )
    return row if _has(block.temporal_block, "q_proj") else _with_mixer(row, "temporal_block")


def _lfm2(config: Any, block: nn.Module) -> Block:
    row = Block(
        attn_norm="operator_norm",
        mlp_norm="ffn_norm",
        **projections("self_attn", "out_proj"),
        mlp=("feed_forward",),
        activation=None,  # a function, no module
        down="feed_forward.w2",
        gated=True,
    )
    row = sparse_or_dense(row)(config, block)
    return row if _has(block, "self_attn") else _with_mixer(row, "conv")


def _lfm3(config: Any, block: nn.Module) -> Block:
    row = replace(
        undivided(GATED, replace(_lfm2(config, block), **projections("self_attn"))),
        mlp_post_norm="post_ffn_norm",
        mixer=("self_attn", "post_operator_norm"),
    )
    return row if _has(block, "self_attn") else _with_mixer(row, "conv", "post_operator_norm")


def _delta_net(config: Any, block: nn.Module) -> Block:
    """Qwen3-Next: in its attention each head's query comes with a gate of its own."""
    row = sparse_or_dense(undivided(GATED))(config, block)
    return _with_mixer(row, "linear_attn") if _has(block, "linear_attn") else row


def _olmo_hybrid(config: Any, block: nn.Module) -> Block:
    """Blocks with attention norm the outputs of parts, the other blocks their inputs."""
    if _has(block, "linear_attn"):
        return _with_mixer(LLAMA_BLOCK, "linear_attn")
    return ONLY_NORMS_AFTER


def _delta_or_latent(config: Any, block: nn.Module) -> Block:
    row = sparse_or_dense(undivided(LATENT))(config, block)
    return row if _has(block.self_attn, "kv_b_proj") else _with_mixer(row, "self_attn")


def _rwkv(config: Any, block: nn.Module) -> Block:
    if config.rescale_every > 0:
        raise InputError(
            f"an RWKV that halves its stream every {config.rescale_every} blocks cannot be read: load it with rescale_every=0, as"
            " circuitsearch.load does, or set model.config.rescale_every = 0 before its first run"
        )
    return Block(
        parts="mixer>shifted",
        mixer_norm="ln1",
        mixer=("attention",),
        mlp_norm="ln2",
        mlp=("feed_forward",),
        activation=None,
    )


_QWEN3_NEXT = llama_like(_delta_net)
_KIMI = llama_like(_delta_or_latent)
_LFM2 = Family("model.layers", "model.embedding_norm", _lfm2)

RECURRENT: dict[str, Family] = {
    **dict.fromkeys(("mamba", "mamba2", "falcon_mamba"), _MAMBA),
    **dict.fromkeys(("jamba", "bamba"), Family("model.layers", "model.final_layernorm", _jamba)),
    "falcon_h1": Family("model.layers", "model.final_layernorm", _falcon_h1),
    "granitemoehybrid": llama_like(_granite_hybrid),
    "nemotron_h": Family("model.layers", "model.norm_f", _nemotron_h),
    "recurrent_gemma": Family("model.layers", "model.final_norm", _recurrent_gemma),
    **dict.fromkeys(("lfm2", "lfm2_moe"), _LFM2),
    "lfm3": Family("model.layers", "model.embedding_norm", _lfm3),
    **dict.fromkeys(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"), _QWEN3_NEXT),
    "olmo_hybrid": llama_like(_olmo_hybrid),
    **dict.fromkeys(("kimi_linear", "bailing_hybrid"), _KIMI),
    "rwkv": Family("rwkv.blocks", "rwkv.ln_out", _rwkv, embedding="rwkv.blocks.0.pre_ln", options={"rescale_every": 0}),
    "xlstm": Family(
        "backbone.blocks",
        "backbone.out_norm",
        Block(
            parts="mixer>mlp",
            mixer_norm="norm_mlstm",
            mixer=("mlstm_layer",),
            mlp_norm="norm_ffn",
            mlp=("ffn",),
            activation="ffn.act_fn",
            down="ffn.proj_down",
            gated=True,
        ),
    ),
}
