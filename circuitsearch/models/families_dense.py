"""Rows of the families whose blocks hold attention and one MLP."""

from __future__ import annotations

from typing import Any

from torch import nn

from circuitsearch.models.arch import Block, Family, head_by_head, one_after_another

_GPT2 = Family(
    blocks="transformer.h",
    final_norm="transformer.ln_f",
    block=Block(
        attn_norm="ln_1",
        mlp_norm="ln_2",
        q="attn.c_attn",
        k="attn.c_attn",
        v="attn.c_attn",
        o="attn.c_proj",
        layout=one_after_another,
        down="mlp.c_proj",
    ),
)
_LLAMA_BLOCK = Block(
    attn_norm="input_layernorm",
    mlp_norm="post_attention_layernorm",
    q="self_attn.q_proj",
    k="self_attn.k_proj",
    v="self_attn.v_proj",
    o="self_attn.o_proj",
    activation="mlp.act_fn",
    down="mlp.down_proj",
    gated=True,
)
_LLAMA = Family("model.layers", "model.norm", _LLAMA_BLOCK)


def _gpt_neox(config: Any, block: nn.Module) -> Block:
    fused = "attention.query_key_value"
    return Block(
        parts="heads+mlp" if config.use_parallel_residual else "heads>mlp",
        attn_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        q=fused,
        k=fused,
        v=fused,
        o="attention.dense",
        layout=head_by_head,
        down="mlp.dense_4h_to_h",
    )


DENSE: dict[str, Family] = {
    "gpt2": _GPT2,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gpt_neox": Family("gpt_neox.layers", "gpt_neox.final_layer_norm", _gpt_neox),
}
