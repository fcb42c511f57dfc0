"""Rows of the families whose blocks hold attention and one MLP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from circuitsearch.errors import InputError
from circuitsearch.models.arch import Block, Family, head_by_head, one_after_another


def group_by_group(heads: int, kv_heads: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """One projection: the query heads of the first key-value head, its key, its value, then those of the second, ..."""
    features = torch.arange((heads + 2 * kv_heads) * width).view(kv_heads, heads // kv_heads + 2, width)
    return features[:, :-2].reshape(heads, width), features[:, -2], features[:, -1]


def four_shards(heads: int, kv_heads: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """One projection in four parts, one for each quarter of the heads: all of q, then v, then k."""
    q, v, k = rearrange(torch.arange(3 * heads * width), "(s three h k) -> three (s h) k", s=4, three=3, k=width)
    return q, k, v


def fused(path: str) -> dict[str, Any]:
    """One projection for q, k and v."""
    return {"q": path, "k": path, "v": path}


def projections(attention: str, o: str = "o_proj") -> dict[str, Any]:
    """A projection each, under their usual names."""
    return {name: f"{attention}.{name}_proj" for name in "qkv"} | {"o": f"{attention}.{o}"}


# ---- rows that several families share, or change a little

GPT2_BLOCK = Block(
    attn_norm="ln_1",
    mlp_norm="ln_2",
    **fused("attn.c_attn"),
    o="attn.c_proj",
    layout=one_after_another,
    down="mlp.c_proj",
)
LLAMA_BLOCK = Block(
    attn_norm="input_layernorm",
    mlp_norm="post_attention_layernorm",
    **projections("self_attn"),
    activation="mlp.act_fn",
    down="mlp.down_proj",
    gated=True,
)
_OPT_BLOCK = Block(
    attn_norm="self_attn_layer_norm",
    mlp_norm="final_layer_norm",
    **projections("self_attn", "out_proj"),
    mlp=("fc1", "activation_fn", "fc2"),
    activation="activation_fn",
    down="fc2",
)
NORMS_AFTER: dict[str, Any] = {
    "attn_post_norm": "post_attention_layernorm",
    "mlp_post_norm": "post_feedforward_layernorm",
}


def llama_like(block: Block | Callable[[Any, nn.Module], Block] = LLAMA_BLOCK, **changes: Any) -> Family:
    """A family with Llama's paths but for some changes of its block."""
    return Family("model.layers", "model.norm", replace(block, **changes) if isinstance(block, Block) else block)


def _gpt(block: Block | Callable[[Any, nn.Module], Block]) -> Family:
    return Family("transformer.h", "transformer.ln_f", block)


def residual_multiplier(config: Any) -> float:
    """Granite's multiplier of outputs before they are added to the stream."""
    return config.residual_multiplier


ONLY_NORMS_AFTER = replace(LLAMA_BLOCK, attn_norm=None, mlp_norm=None, **NORMS_AFTER)
_OLMO2 = llama_like(ONLY_NORMS_AFTER)
_GEMMA2 = llama_like(mlp_norm="pre_feedforward_layernorm", **NORMS_AFTER)
_COHERE = llama_like(parts="heads+mlp", mlp_norm="input_layernorm")
_GRANITE = llama_like(attn_factor=residual_multiplier, mlp_factor=residual_multiplier)


# ---- rows that depend on the configuration


def _gpt_neox(config: Any, block: nn.Module) -> Block:
    return Block(
        parts="heads+mlp" if config.use_parallel_residual else "heads>mlp",
        attn_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        **fused("attention.query_key_value"),
        o="attention.dense",
        layout=head_by_head,
        down="mlp.dense_4h_to_h",
    )


def _gpt_bigcode(config: Any, block: nn.Module) -> Block:
    return replace(GPT2_BLOCK, layout=one_after_another if config.multi_query else head_by_head)


def _stablelm(config: Any, block: nn.Module) -> Block:
    if config.use_parallel_residual:
        return replace(LLAMA_BLOCK, parts="heads+mlp", mlp_norm="input_layernorm")
    return LLAMA_BLOCK


def _falcon(config: Any, block: nn.Module) -> Block:
    parallel = config.new_decoder_architecture or config.parallel_attn
    two_norms = hasattr(block, "ln_mlp")  # Falcon-40B; it is not in the configuration
    one_for_all = one_after_another if config.multi_query else head_by_head
    return Block(
        parts="heads+mlp" if parallel else "heads>mlp",
        attn_norm="ln_attn" if two_norms else "input_layernorm",
        mlp_norm="ln_mlp" if two_norms else "input_layernorm" if parallel else "post_attention_layernorm",
        **fused("self_attention.query_key_value"),
        o="self_attention.dense",
        layout=group_by_group if config.new_decoder_architecture else one_for_all,
        down="mlp.dense_4h_to_h",
        in_place=parallel,  # adds what attention wrote to what the MLP wrote
    )


def _hyperclovax(config: Any, block: nn.Module) -> Block:
    row = replace(LLAMA_BLOCK, attn_factor=residual_multiplier, mlp_factor=residual_multiplier)
    return replace(row, attn_post_norm="post_norm1", mlp_post_norm="post_norm2") if config.use_post_norm else row


def _olmo(config: Any, block: nn.Module) -> Block:
    return replace(LLAMA_BLOCK, in_place=config.clip_qkv is not None)  # clamps q, k and v


def _opt(config: Any, block: nn.Module) -> Block:
    if not config.do_layer_norm_before:
        raise InputError(
            "an OPT with do_layer_norm_before=False (opt-350m) norms the stream itself after each part, so that there is"
            " no residual stream to read: take another size"
        )
    return _OPT_BLOCK


def _bloom(config: Any, block: nn.Module) -> Block:
    if config.apply_residual_connection_post_layernorm or (config.pretraining_tp > 1 and config.slow_but_exact):
        raise InputError(
            "a BLOOM with apply_residual_connection_post_layernorm, or with slow_but_exact and pretraining_tp above 1, cannot"
            " be read: no published checkpoint needs them; set them to False"
        )
    return Block(
        attn_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        **fused("self_attention.query_key_value"),
        o="self_attention.dense",
        layout=head_by_head,
        mlp=("mlp.dense_h_to_4h", "mlp.gelu_impl", "mlp.dense_4h_to_h"),  # the MLP itself adds the stream
        activation="mlp.gelu_impl",
        down="mlp.dense_4h_to_h",
    )


DENSE: dict[str, Family] = {
    "gpt2": _gpt(GPT2_BLOCK),
    "gpt_bigcode": _gpt(_gpt_bigcode),
    "gpt_neo": _gpt(
        Block(attn_norm="ln_1", mlp_norm="ln_2", **projections("attn.attention", "out_proj"), down="mlp.c_proj")
    ),
    "gptj": _gpt(
        Block("heads+mlp", attn_norm="ln_1", mlp_norm="ln_1", **projections("attn", "out_proj"), down="mlp.fc_out")
    ),
    "codegen": _gpt(
        Block(
            "heads+mlp",
            attn_norm="ln_1",
            mlp_norm="ln_1",
            **fused("attn.qkv_proj"),
            o="attn.out_proj",
            layout=four_shards,
            down="mlp.fc_out",
        )
    ),
    "gpt_neox": Family("gpt_neox.layers", "gpt_neox.final_layer_norm", _gpt_neox),
    "opt": Family("model.decoder.layers", "model.decoder.final_layer_norm", _opt),
    "biogpt": Family("biogpt.layers", "biogpt.layer_norm", _OPT_BLOCK),
    "bloom": _gpt(_bloom),
    "falcon": _gpt(_falcon),
    "mpt": Family(
        "transformer.blocks",
        "transformer.norm_f",
        Block(
            attn_norm="norm_1",
            mlp_norm="norm_2",
            **fused("attn.Wqkv"),
            o="attn.out_proj",
            layout=one_after_another,
            mlp=("ffn.up_proj", "ffn.act", "ffn.down_proj"),  # the module itself adds the stream
            activation="ffn.act",
            down="ffn.down_proj",
        ),
    ),
    # Llama's row. These families differ in Hugging Face's own code only: windows, rotary positions in some layers only,
    # norms of queries and keys, biases, gains.
    **dict.fromkeys(
        (
            *(
                "llama",
                "mistral",
                "ministral",
                "ministral3",
                "qwen2",
                "qwen3",
                "gemma",
                "smollm3",
                "helium",
                "ernie4_5",
            ),
            *("seed_oss", "cwm", "internlm3", "iquestcoder", "hunyuan_v1_dense"),
        ),
        llama_like(),
    ),
    "olmo": llama_like(_olmo),
    **dict.fromkeys(("olmo2", "olmo3", "exaone4"), _OLMO2),
    **dict.fromkeys(("gemma2", "gemma3_text"), _GEMMA2),
    "vaultgemma": llama_like(mlp_norm="pre_feedforward_layernorm"),
    **dict.fromkeys(("cohere", "cohere2"), _COHERE),
    **dict.fromkeys(("granite", "granite_swa"), _GRANITE),
    "hyperclovax": llama_like(_hyperclovax),
    "glm": llama_like(activation="mlp.activation_fn"),
    "glm4": llama_like(
        activation="mlp.activation_fn",
        attn_post_norm="post_self_attn_layernorm",
        mlp_post_norm="post_mlp_layernorm",
    ),
    "phi3": llama_like(**fused("self_attn.qkv_proj"), layout=one_after_another, activation="mlp.activation_fn"),
    **dict.fromkeys(("nemotron", "jais2", "arcee"), llama_like(gated=False)),
    "apertus": llama_like(gated=False, attn_norm="attention_layernorm", mlp_norm="feedforward_layernorm"),
    "nanochat": llama_like(gated=False, activation="mlp.activation_fn", down="mlp.fc2"),
    "starcoder2": llama_like(gated=False, activation="mlp.act", down="mlp.c_proj"),
    "stablelm": llama_like(_stablelm),
    "phi": Family(
        "model.layers",
        "model.final_layernorm",
        replace(
            LLAMA_BLOCK,
            parts="heads+mlp",
            mlp_norm="input_layernorm",
            o="self_attn.dense",
            activation="mlp.activation_fn",
            down="mlp.fc2",
            gated=False,
        ),
    ),
    "persimmon": Family(
        "model.layers",
        "model.final_layernorm",
        replace(
            LLAMA_BLOCK,
            **fused("self_attn.query_key_value"),
            o="self_attn.dense",
            layout=head_by_head,
            activation="mlp.act",
            down="mlp.dense_4h_to_h",
            gated=False,
        ),
    ),
}
