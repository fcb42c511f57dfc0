"""Tiny configurations of the families with experts, and of those with recurrent mixers."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

_HEADLESS: dict[str, Any] = dict(
    vocab_size=40, hidden_size=32, num_hidden_layers=2, bos_token_id=None, eos_token_id=None, pad_token_id=None
)
_TINY: dict[str, Any] = dict(
    **_HEADLESS, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32,
    experts_implementation="eager",  # the default one, grouped matrix products, knows no float64
)  # fmt: skip
_FOUR_EXPERTS: dict[str, Any] = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
_FOUR_LOCAL_EXPERTS: dict[str, Any] = dict(num_local_experts=4, num_experts_per_tok=2)
# All groups take part in the choice: the defaults keep fewer experts than four.
_ROUTED: dict[str, Any] = dict(
    n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, n_shared_experts=1, n_group=2, topk_group=2,
)  # fmt: skip
_LATENT: dict[str, Any] = dict(
    num_key_value_heads=4, kv_lora_rank=16, qk_rope_head_dim=4, qk_nope_head_dim=8, v_head_dim=6
)
_GRANITE: dict[str, Any] = dict(
    residual_multiplier=0.7, embedding_multiplier=1.5, attention_multiplier=0.3, logits_scaling=2.0
)
# A stream rounded to float32 in every block would drown differences of 1e-12.
_MAMBA: dict[str, Any] = dict(**_HEADLESS, state_size=8, residual_in_fp32=False)
_MAMBA2: dict[str, Any] = dict(
    mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=2, mamba_d_state=8, mamba_chunk_size=4, mamba_expand=2
)
_DELTA_NET: dict[str, Any] = dict(
    linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=8,
    linear_conv_kernel_dim=3, layer_types=["linear_attention", "full_attention"],
)  # fmt: skip


def _tiny(model_type: str, *parts: dict[str, Any], **settings: Any) -> PreTrainedConfig:
    """A configuration of two layers of width 32; later settings take the place of earlier ones."""
    merged = dict(_TINY)
    for part in (*parts, settings):
        merged |= part
    return AutoConfig.for_model(model_type, **merged)


# Families whose heads cannot be told apart, so that their attention is one node.
UNDIVIDED = {
    *("deepseek_v2", "deepseek_v3", "glm4_moe_lite", "youtu", "axk1", "afmoe", "laguna", "mimo_v2_flash", "jetmoe"),
    *("lfm3", "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "kimi_linear", "bailing_hybrid"),
}

EXPERTS: dict[str, PreTrainedConfig] = {
    "mixtral": _tiny("mixtral", _FOUR_LOCAL_EXPERTS),
    "qwen2_moe": _tiny("qwen2_moe", _FOUR_EXPERTS, shared_expert_intermediate_size=40),
    "qwen2_moe-first-dense": _tiny(
        "qwen2_moe", _FOUR_EXPERTS, shared_expert_intermediate_size=40, mlp_only_layers=[0], norm_topk_prob=True
    ),
    "qwen2_moe-every-second": _tiny(
        "qwen2_moe", _FOUR_EXPERTS, shared_expert_intermediate_size=40, decoder_sparse_step=2
    ),
    "qwen3_moe": _tiny("qwen3_moe", _FOUR_EXPERTS, head_dim=16),
    "qwen3_moe-first-dense": _tiny("qwen3_moe", _FOUR_EXPERTS, head_dim=16, mlp_only_layers=[0], norm_topk_prob=True),
    "gpt_oss": _tiny("gpt_oss", _FOUR_LOCAL_EXPERTS, head_dim=16, sliding_window=4),
    "granitemoe": _tiny("granitemoe", _FOUR_LOCAL_EXPERTS, _GRANITE),
    "granitemoe_swa": _tiny(
        "granitemoe_swa", _FOUR_LOCAL_EXPERTS, _GRANITE, shared_intermediate_size=40, sliding_window=4
    ),
    "granitemoeshared": _tiny("granitemoeshared", _FOUR_LOCAL_EXPERTS, _GRANITE, shared_intermediate_size=40),
    "granitemoeshared-none": _tiny("granitemoeshared", _FOUR_LOCAL_EXPERTS, _GRANITE, shared_intermediate_size=0),
    "olmoe": _tiny("olmoe", _FOUR_EXPERTS),
    "olmoe-clipped": _tiny("olmoe", _FOUR_EXPERTS, clip_qkv=0.5),
    "flex_olmo": _tiny("flex_olmo", _FOUR_EXPERTS),
    "deepseek_v2": _tiny(
        "deepseek_v2", _ROUTED, _LATENT, q_lora_rank=12, first_k_dense_replace=1, topk_method="group_limited_greedy"
    ),
    "deepseek_v2-lite": _tiny(
        "deepseek_v2", _ROUTED, _LATENT, q_lora_rank=None, first_k_dense_replace=1, topk_method="greedy"
    ),
    "deepseek_v3": _tiny("deepseek_v3", _ROUTED, _LATENT, q_lora_rank=12, first_k_dense_replace=1),
    "glm4_moe_lite": _tiny("glm4_moe_lite", _ROUTED, _LATENT, q_lora_rank=12, mlp_layer_types=["dense", "sparse"]),
    "youtu": _tiny("youtu", _LATENT, q_lora_rank=12),
    "phimoe": _tiny("phimoe", _FOUR_LOCAL_EXPERTS, attention_bias=True, lm_head_bias=True),
    "ernie4_5_moe": _tiny(
        "ernie4_5_moe",
        moe_num_experts=4,
        moe_k=2,
        moe_intermediate_size=24,
        moe_num_shared_experts=1,
        moe_layer_start_index=1,
    ),
    "dots1": _tiny(
        "dots1",
        _ROUTED,
        first_k_dense_replace=1,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "glm4_moe": _tiny("glm4_moe", _ROUTED, first_k_dense_replace=1, use_qk_norm=True, head_dim=16),
    "glm4_moe-no-head-norms": _tiny("glm4_moe", _ROUTED, first_k_dense_replace=1, use_qk_norm=False, head_dim=8),
    "solar_open": _tiny("solar_open", _ROUTED, head_dim=8),
    "hunyuan_v1_moe": _tiny(
        "hunyuan_v1_moe", num_experts=4, moe_topk=2, head_dim=16, eod_token_id=None, sep_token_id=None
    ),
    "minimax_m2": _tiny("minimax_m2", _FOUR_LOCAL_EXPERTS, head_dim=16),
    "mellum": _tiny(
        "mellum",
        _FOUR_EXPERTS,
        head_dim=16,
        sliding_window=4,
        mlp_layer_types=["dense", "sparse"],
        layer_types=["sliding_attention", "full_attention"],
    ),
    "exaone_moe": _tiny(
        "exaone_moe",
        _FOUR_EXPERTS,
        num_shared_experts=1,
        n_group=1,
        topk_group=1,
        sliding_window=4,
        mlp_layer_types=["dense", "sparse"],
        layer_types=["sliding_attention", "full_attention"],
    ),
    "hy_v3": _tiny("hy_v3", _FOUR_EXPERTS, num_shared_experts=1, head_dim=16, mlp_layer_types=["dense", "sparse"]),
    "llama4_text": _tiny(
        "llama4_text",
        num_local_experts=4,
        num_experts_per_tok=2,
        head_dim=8,
        intermediate_size_mlp=40,
        moe_layers=[1],
        no_rope_layers=[1, 0],
        attention_chunk_size=4,
        floor_scale=4,
    ),
    "dbrx": AutoConfig.for_model(
        "dbrx",
        d_model=32,
        n_heads=4,
        n_layers=2,
        max_seq_len=32,
        vocab_size=40,
        attn_config=dict(kv_n_heads=2, clip_qkv=0.5, rope_theta=1e4),
        ffn_config=dict(hidden_size=32, ffn_hidden_size=24, moe_num_experts=4, moe_top_k=2),
    ),
    "afmoe": _tiny(
        "afmoe",
        _FOUR_EXPERTS,
        num_dense_layers=1,
        num_shared_experts=1,
        head_dim=16,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"],
        mup_enabled=True,
    ),
    "cohere2_moe": _tiny(
        "cohere2_moe",
        _FOUR_EXPERTS,
        num_shared_experts=1,
        head_dim=8,
        sliding_window=4,
        mlp_layer_types=["dense", "sparse"],
        layer_types=["sliding_attention", "full_attention"],
        prefix_dense_intermediate_size=40,
    ),
    "jetmoe": _tiny("jetmoe", _FOUR_LOCAL_EXPERTS, kv_channels=8),
    "mimo_v2_flash": _tiny(
        "mimo_v2_flash",
        _ROUTED,
        head_dim=16,
        v_head_dim=8,
        num_key_value_heads=2,
        sliding_window=4,
        layer_types=["full_attention", "sliding_attention"],
        mlp_layer_types=["dense", "sparse"],
    ),
    "laguna": _tiny(
        "laguna",
        _FOUR_EXPERTS,
        shared_expert_intermediate_size=40,
        head_dim=8,
        sliding_window=4,
        num_attention_heads_per_layer=[4, 2],
        mlp_layer_types=["dense", "sparse"],
        layer_types=["sliding_attention", "full_attention"],
    ),
    "axk1": _tiny("axk1", _ROUTED, _LATENT, q_lora_rank=12, mlp_layer_types=["dense", "sparse"]),
    "longcat_flash": _tiny(
        "longcat_flash",
        _LATENT,
        num_layers=2,
        ffn_hidden_size=48,
        q_lora_rank=12,
        head_dim=4,
        moe_topk=2,
        n_routed_experts=4,
        zero_expert_num=1,
        expert_ffn_hidden_size=24,
    ),
    "lfm2_moe": _tiny(
        "lfm2_moe", _FOUR_EXPERTS, num_dense_layers=1, layer_types=["conv", "full_attention"], conv_L_cache=3
    ),
    "qwen3_next": _tiny("qwen3_next", _FOUR_EXPERTS, _DELTA_NET, shared_expert_intermediate_size=40, head_dim=16),
    "qwen3_5_moe_text": _tiny(
        "qwen3_5_moe_text", _FOUR_EXPERTS, _DELTA_NET, shared_expert_intermediate_size=40, head_dim=16
    ),
}

RECURRENT: dict[str, PreTrainedConfig] = {
    "mamba": AutoConfig.for_model("mamba", **_MAMBA),
    "falcon_mamba": AutoConfig.for_model("falcon_mamba", **_MAMBA),
    "mamba2": AutoConfig.for_model("mamba2", **_MAMBA, num_heads=4, head_dim=16, n_groups=2, chunk_size=4),
    "rwkv": AutoConfig.for_model("rwkv", **_HEADLESS, context_length=32, rescale_every=0),
    "jamba": _tiny(
        "jamba",
        num_experts=4,
        num_experts_per_tok=2,
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        mamba_d_state=8,
    ),
    "bamba": _tiny("bamba", _MAMBA2, attn_layer_indices=[1]),
    "falcon_h1": _tiny(
        "falcon_h1",
        _MAMBA2,
        mamba_d_ssm=64,
        embedding_multiplier=1.5,
        lm_head_multiplier=0.5,
        attention_in_multiplier=0.8,
        attention_out_multiplier=0.6,
        ssm_in_multiplier=1.2,
        ssm_out_multiplier=0.7,
        key_multiplier=0.9,
        mlp_multipliers=[0.8, 1.3],
        ssm_multipliers=[0.9, 1.1, 0.8, 1.2, 0.7],
    ),
    "granitemoehybrid": _tiny(
        "granitemoehybrid",
        _MAMBA2,
        _GRANITE,
        _FOUR_LOCAL_EXPERTS,
        shared_intermediate_size=40,
        layer_types=["mamba", "attention"],
        position_embedding_type="rope",
    ),
    "granitemoehybrid-dense": _tiny(
        "granitemoehybrid",
        _MAMBA2,
        _GRANITE,
        num_local_experts=0,
        shared_intermediate_size=40,
        layer_types=["mamba", "attention"],
    ),
    "nemotron_h": _tiny(
        "nemotron_h",
        num_hidden_layers=4,
        layers_block_type=["linear_attention", "moe", "full_attention", "mlp"],
        head_dim=16,
        ssm_state_size=8,
        mamba_num_heads=4,
        mamba_head_dim=16,
        n_groups=2,
        chunk_size=4,
        n_routed_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=24,
        moe_shared_expert_intermediate_size=40,
    ),
    "recurrent_gemma": _tiny(
        "recurrent_gemma", lru_width=32, attention_window_size=4, block_types=("recurrent", "attention"), head_dim=8
    ),
    "lfm2": _tiny("lfm2", layer_types=["conv", "full_attention"], conv_L_cache=3),
    "lfm3": _tiny("lfm3", layer_types=["conv", "full_attention"], conv_L_cache=3, head_dim=8),
    "bailing_hybrid": _tiny(
        "bailing_hybrid",
        _ROUTED,
        _LATENT,
        num_local_experts=4,
        q_lora_rank=12,
        head_dim=8,
        conv_kernel_size=3,
        layer_types=["linear_attention", "full_attention"],
        mlp_layer_types=["dense", "sparse"],
    ),
    "qwen3_next-dense": _tiny(
        "qwen3_next", _DELTA_NET, num_experts=0, num_experts_per_tok=2, mlp_only_layers=[0, 1], head_dim=16
    ),
    "qwen3_5_text": _tiny("qwen3_5_text", _DELTA_NET, head_dim=16),
    "olmo_hybrid": _tiny("olmo_hybrid", _DELTA_NET),
    "kimi_linear": _tiny(
        "kimi_linear",
        _ROUTED,
        _LATENT,
        num_local_experts=4,
        q_lora_rank=None,
        linear_num_heads=4,
        linear_head_dim=8,
        linear_conv_kernel_dim=3,
        layer_types=["linear_attention", "full_attention"],
        mlp_layer_types=["dense", "sparse"],
    ),
    "zamba": _tiny(
        "zamba",
        num_hidden_layers=3,
        layers_block_type=["linear_attention", "hybrid", "hybrid"],
        num_key_value_heads=4,
        mamba_d_state=8,
        n_mamba_heads=2,
    ),
    "zamba2": _tiny(
        "zamba2",
        num_hidden_layers=3,
        layers_block_type=["linear_attention", "hybrid", "hybrid"],
        num_key_value_heads=4,
        mamba_d_state=8,
        n_mamba_heads=4,
        chunk_size=4,
        adapter_rank=4,
    ),
    "minimax": _tiny(
        "minimax", _FOUR_LOCAL_EXPERTS, head_dim=8, block_size=4, layer_types=["linear_attention", "full_attention"]
    ),
    "xlstm": AutoConfig.for_model(
        "xlstm", **_HEADLESS, num_blocks=2, embedding_dim=32, num_heads=4, chunk_size=8, use_cache=False
    ),
}
