"""The published configurations of well-known checkpoints, scaled down: one or more of each model family.

``CHECKPOINTS`` has ``name: (model_type, fields, checkpoint)``, the fields named as in the checkpoint's config.json. They are
written down by hand, since no hub is at hand; what is left out is the default of the family's class.

As published: activations, epsilons, bases and scaling of the rotary embedding, soft caps, norms of queries and keys,
ties, biases, multipliers, routing, the order of windowed and full layers, the ratio of query to key-value heads, and,
about, that of all heads' width to the residual stream's. Scaled down: layers, widths, heads, experts, vocabulary, windows
(so that prompts of a few tokens leave them) and, with the width of a head, the rotary part and what is derived from that
width (``query_pre_attn_scalar``, ``attention_multiplier``). Special tokens are left out, but for the padding of OPT and
XGLM. Only transformers is needed.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig

if TYPE_CHECKING:
    from transformers import PreTrainedConfig  # which transformers 4 does not name so

VOCABULARY = 100  # no width below, so that no matrix of the vocabulary is square
_TOKENS: dict[str, Any] = dict(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=None, pad_token_id=None)
_SIZES: dict[str, Any] = _TOKENS | dict(
    hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128
)
_LLAMA3: dict[str, Any] = dict(
    rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192
)
_DEEPSEEK_YARN: dict[str, Any] = dict(
    type="yarn", factor=40, beta_fast=32, beta_slow=1, original_max_position_embeddings=4096
)
_LLLG = ["sliding_attention"] * 3 + ["full_attention"]

Checkpoint = tuple[str, dict[str, Any], str]

# fmt: off
CHECKPOINTS: dict[str, Checkpoint] = {
    "gpt2": ("gpt2", _TOKENS | dict(
        n_embd=64, n_layer=2, n_head=4, n_positions=128, activation_function="gelu_new", layer_norm_epsilon=1e-5,
    ), "openai-community/gpt2"),
    "gpt2-stanford": ("gpt2", _TOKENS | dict(
        n_embd=64, n_layer=3, n_head=4, n_positions=128, activation_function="gelu_new", layer_norm_epsilon=1e-5,
        scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True,
    ), "stanford-crfm/alias-gpt2-small-x21"),
    "openai-gpt": ("openai-gpt", _TOKENS | dict(
        n_embd=64, n_layer=2, n_head=4, n_positions=128, afn="gelu", layer_norm_epsilon=1e-5,
    ), "openai-community/openai-gpt"),
    "gpt-neo": ("gpt_neo", _TOKENS | dict(
        hidden_size=64, num_layers=4, num_heads=4, max_position_embeddings=128, window_size=5,
        attention_types=[[["global", "local"], 2]], activation_function="gelu_new", layer_norm_epsilon=1e-5,
    ), "EleutherAI/gpt-neo-125m"),
    "gpt-j": ("gptj", _TOKENS | dict(
        n_embd=64, n_layer=2, n_head=4, n_positions=128, rotary_dim=4, activation_function="gelu_new",
        layer_norm_epsilon=1e-5, tie_word_embeddings=False,
    ), "EleutherAI/gpt-j-6b"),
    "codegen": ("codegen", _TOKENS | dict(
        n_embd=64, n_layer=2, n_head=4, n_positions=128, n_ctx=128, rotary_dim=8, activation_function="gelu_new",
        layer_norm_epsilon=1e-5, tie_word_embeddings=False,
    ), "Salesforce/codegen-350M-mono"),
    "starcoderbase": ("gpt_bigcode", _TOKENS | dict(
        n_embd=64, n_layer=2, n_head=4, n_positions=128, n_inner=256, multi_query=True,
        activation_function="gelu_pytorch_tanh", layer_norm_epsilon=1e-5, scale_attn_weights=True,
        attention_softmax_in_fp32=True, scale_attention_softmax_in_fp32=True,
    ), "bigcode/starcoderbase-1b"),
    "pythia": ("gpt_neox", _SIZES | dict(
        hidden_act="gelu", layer_norm_eps=1e-5, rotary_pct=0.25, rotary_emb_base=10000, use_parallel_residual=True,
        tie_word_embeddings=False,
    ), "EleutherAI/pythia-70m"),
    "gpt-neox": ("gpt_neox", _SIZES | dict(
        hidden_act="gelu_fast", layer_norm_eps=1e-5, rotary_pct=0.25, rotary_emb_base=10000, use_parallel_residual=True,
        tie_word_embeddings=False,
    ), "EleutherAI/gpt-neox-20b"),
    "redpajama": ("gpt_neox", _SIZES | dict(
        hidden_act="gelu", layer_norm_eps=1e-5, rotary_pct=1.0, rotary_emb_base=10000, use_parallel_residual=False,
        tie_word_embeddings=False,
    ), "togethercomputer/RedPajama-INCITE-Base-3B-v1"),
    "opt": ("opt", _TOKENS | dict(
        hidden_size=64, ffn_dim=256, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128,
        word_embed_proj_dim=64, activation_function="relu", do_layer_norm_before=True, pad_token_id=1,
    ), "facebook/opt-125m"),
    "opt-350m": ("opt", _TOKENS | dict(
        hidden_size=64, ffn_dim=256, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128,
        word_embed_proj_dim=32, activation_function="relu", do_layer_norm_before=False, pad_token_id=1,
    ), "facebook/opt-350m"),
    "xglm": ("xglm", _TOKENS | dict(
        d_model=64, ffn_dim=256, num_layers=2, attention_heads=4, max_position_embeddings=128,
        activation_function="gelu", scale_embedding=True, pad_token_id=1,
    ), "facebook/xglm-564M"),
    "bloom": ("bloom", _TOKENS | dict(
        hidden_size=64, n_layer=2, n_head=4, layer_norm_epsilon=1e-5, apply_residual_connection_post_layernorm=False,
    ), "bigscience/bloom-560m"),
    "mpt": ("mpt", _TOKENS | dict(
        d_model=64, n_layers=2, n_heads=4, expansion_ratio=4, max_seq_len=128, no_bias=True, layer_norm_epsilon=1e-5,
        attn_config=dict(attn_type="multihead_attention", alibi=True, alibi_bias_max=8, qk_ln=False, clip_qkv=None),
    ), "mosaicml/mpt-7b"),
    "falcon-7b": ("falcon", _TOKENS | dict(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, multi_query=True, parallel_attn=True,
        new_decoder_architecture=False, bias=False, alibi=False, layer_norm_epsilon=1e-5, rope_theta=10000.0,
        max_position_embeddings=128,
    ), "tiiuae/falcon-7b"),
    "falcon-40b": ("falcon", _TOKENS | dict(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=16, num_kv_heads=1, multi_query=True,
        parallel_attn=True, new_decoder_architecture=True, bias=False, alibi=False, layer_norm_epsilon=1e-5,
        rope_theta=10000.0, max_position_embeddings=128,
    ), "tiiuae/falcon-40b"),
    "falcon-rw": ("falcon", _TOKENS | dict(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, multi_query=False, parallel_attn=False,
        new_decoder_architecture=False, bias=True, alibi=True, layer_norm_epsilon=1e-5, max_position_embeddings=128,
    ), "tiiuae/falcon-rw-1b"),
    "phi-2": ("phi", _SIZES | dict(
        hidden_size=80, num_key_value_heads=4, hidden_act="gelu_new", layer_norm_eps=1e-5, partial_rotary_factor=0.4,
        qk_layernorm=False, rope_theta=10000.0, tie_word_embeddings=False,
    ), "microsoft/phi-2"),
    "phi-3-mini": ("phi3", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=10000.0, rope_scaling=None,
        sliding_window=5, original_max_position_embeddings=128, tie_word_embeddings=False,
    ), "microsoft/Phi-3-mini-4k-instruct"),
    "phi-4": ("phi3", _SIZES | dict(
        num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=250000.0, rope_scaling=None,
        sliding_window=None, original_max_position_embeddings=128, tie_word_embeddings=False,
    ), "microsoft/phi-4"),
    "stablelm-2-1.6b": ("stablelm", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", layer_norm_eps=1e-5, partial_rotary_factor=0.25, rope_theta=10000.0,
        use_qkv_bias=True, qk_layernorm=False, use_parallel_residual=False, tie_word_embeddings=False,
    ), "stabilityai/stablelm-2-1_6b"),
    "stablelm-2-12b": ("stablelm", _SIZES | dict(
        num_key_value_heads=1, hidden_act="silu", layer_norm_eps=1e-5, partial_rotary_factor=0.25, rope_theta=10000.0,
        use_qkv_bias=False, qk_layernorm=True, use_parallel_residual=True, tie_word_embeddings=False,
    ), "stabilityai/stablelm-2-12b"),
    "llama-2": ("llama", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False,
    ), "meta-llama/Llama-2-7b-hf"),
    "llama-3.1": ("llama", _SIZES | dict(
        num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=500000.0, rope_scaling=_LLAMA3,
        tie_word_embeddings=False, max_position_embeddings=131072,
    ), "meta-llama/Llama-3.1-8B"),
    "llama-3.2": ("llama", _SIZES | dict(
        num_key_value_heads=1, head_dim=16, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=500000.0,
        rope_scaling=_LLAMA3 | dict(factor=32.0), tie_word_embeddings=True, max_position_embeddings=131072,
    ), "meta-llama/Llama-3.2-1B"),
    "llama-4-scout": ("llama4_text", _SIZES | dict(
        num_hidden_layers=4, hidden_size=80, num_attention_heads=5, num_key_value_heads=1, head_dim=16,
        intermediate_size=48, intermediate_size_mlp=160, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=500000.0,
        rope_scaling=_LLAMA3 | dict(factor=16.0, high_freq_factor=1.0), num_local_experts=4, num_experts_per_tok=1,
        interleave_moe_layer_step=1, use_qk_norm=True, attention_chunk_size=8, attention_bias=False,
        attn_temperature_tuning=True, floor_scale=8192, attn_scale=0.1, tie_word_embeddings=False,
        max_position_embeddings=10485760,
    ), "meta-llama/Llama-4-Scout-17B-16E"),
    "mistral-v0.1": ("mistral", _SIZES | dict(
        num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=10000.0, sliding_window=5,
        tie_word_embeddings=False,
    ), "mistralai/Mistral-7B-v0.1"),
    "mistral-nemo": ("mistral", _SIZES | dict(
        hidden_size=80, num_key_value_heads=1, head_dim=16, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=1000000.0,
        sliding_window=None, tie_word_embeddings=False,
    ), "mistralai/Mistral-Nemo-Base-2407"),
    "ministral-3": ("ministral3", _SIZES | dict(
        num_key_value_heads=1, head_dim=16, hidden_act="silu", rms_norm_eps=1e-5, sliding_window=None,
        rope_parameters=dict(
            rope_type="yarn", rope_theta=1000000.0, factor=16.0, original_max_position_embeddings=16384, beta_fast=32.0,
            beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1,
        ), max_position_embeddings=262144, tie_word_embeddings=False,
    ), "mistralai/Ministral-3-8B-Base-2512"),
    "mixtral": ("mixtral", _SIZES | dict(
        num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=1000000.0, sliding_window=None,
        num_local_experts=8, num_experts_per_tok=2, tie_word_embeddings=False,
    ), "mistralai/Mixtral-8x7B-v0.1"),
    "qwen2.5": ("qwen2", _SIZES | dict(
        hidden_size=112, num_attention_heads=7, num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-6,
        rope_theta=1000000.0, use_sliding_window=False, sliding_window=5, max_window_layers=2, tie_word_embeddings=True,
    ), "Qwen/Qwen2.5-0.5B"),
    "qwen1.5-moe": ("qwen2_moe", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=1000000.0, use_sliding_window=False,
        moe_intermediate_size=24, shared_expert_intermediate_size=160, num_experts=8, num_experts_per_tok=2,
        norm_topk_prob=False, decoder_sparse_step=1, tie_word_embeddings=False,
    ), "Qwen/Qwen1.5-MoE-A2.7B"),
    "qwen3": ("qwen3", _SIZES | dict(
        num_key_value_heads=2, head_dim=32, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=1000000.0,
        attention_bias=False, use_sliding_window=False, sliding_window=None, tie_word_embeddings=True,
    ), "Qwen/Qwen3-0.6B"),
    "qwen3-moe": ("qwen3_moe", _SIZES | dict(
        num_attention_heads=8, num_key_value_heads=1, head_dim=16, hidden_act="silu", rms_norm_eps=1e-6,
        rope_theta=1000000.0, attention_bias=False, use_sliding_window=False, moe_intermediate_size=24, num_experts=8,
        num_experts_per_tok=2, norm_topk_prob=True, decoder_sparse_step=1, tie_word_embeddings=False,
    ), "Qwen/Qwen3-30B-A3B"),
    "gemma": ("gemma", _SIZES | dict(
        num_key_value_heads=1, head_dim=16, hidden_act="gelu_pytorch_tanh", rms_norm_eps=1e-6, rope_theta=10000.0,
        tie_word_embeddings=True,
    ), "google/gemma-2b"),
    "gemma-2": ("gemma2", _SIZES | dict(
        hidden_size=72, num_hidden_layers=4, num_key_value_heads=2, head_dim=16, hidden_activation="gelu_pytorch_tanh",
        rms_norm_eps=1e-6, rope_theta=10000.0, query_pre_attn_scalar=16, sliding_window=5, attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0, tie_word_embeddings=True,
    ), "google/gemma-2-2b"),
    "gemma-3-1b": ("gemma3_text", _SIZES | dict(
        hidden_size=72, num_hidden_layers=6, num_key_value_heads=1, head_dim=16, hidden_activation="gelu_pytorch_tanh",
        rms_norm_eps=1e-6, rope_theta=1000000.0, rope_local_base_freq=10000.0, query_pre_attn_scalar=16,
        sliding_window=5, sliding_window_pattern=6, attn_logit_softcapping=None, final_logit_softcapping=None,
        tie_word_embeddings=True,
    ), "google/gemma-3-1b-pt"),
    "gemma-3-4b": ("gemma3_text", _SIZES | dict(
        hidden_size=80, num_hidden_layers=6, num_key_value_heads=2, head_dim=16, hidden_activation="gelu_pytorch_tanh",
        rms_norm_eps=1e-6, rope_theta=1000000.0, rope_local_base_freq=10000.0, query_pre_attn_scalar=16,
        rope_scaling=dict(rope_type="linear", factor=8.0), sliding_window=5, sliding_window_pattern=6,
        attn_logit_softcapping=None, final_logit_softcapping=None, tie_word_embeddings=True,
    ), "google/gemma-3-4b-pt (its text model)"),
    "olmo-1b": ("olmo", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rope_theta=10000.0, clip_qkv=None, tie_word_embeddings=True,
    ), "allenai/OLMo-1B-hf"),
    "olmo-7b-0424": ("olmo", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rope_theta=10000.0, clip_qkv=8.0, tie_word_embeddings=False,
    ), "allenai/OLMo-7B-0424-hf"),
    "olmo-2": ("olmo2", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=500000.0, tie_word_embeddings=False,
    ), "allenai/OLMo-2-1124-7B"),
    "olmo-3": ("olmo3", _SIZES | dict(
        num_hidden_layers=4, num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=500000.0,
        rope_scaling=dict(
            rope_type="yarn", factor=8.0, original_max_position_embeddings=8192, beta_fast=32.0, beta_slow=1.0,
            attention_factor=1.2079441541679836,
        ), sliding_window=5, layer_types=_LLLG, max_position_embeddings=65536, tie_word_embeddings=False,
    ), "allenai/Olmo-3-1025-7B"),
    "olmoe": ("olmoe", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=10000.0, clip_qkv=None, num_experts=8,
        num_experts_per_tok=2, norm_topk_prob=False, tie_word_embeddings=False,
    ), "allenai/OLMoE-1B-7B-0924"),
    "granite-3.1": ("granite", _SIZES | dict(
        num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=5000000.0, attention_multiplier=0.0625,
        embedding_multiplier=12.0, residual_multiplier=0.22, logits_scaling=8.0, tie_word_embeddings=True,
    ), "ibm-granite/granite-3.1-2b-base"),
    "granite-moe": ("granitemoe", _SIZES | dict(
        num_key_value_heads=2, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=10000.0, attention_multiplier=0.0625,
        embedding_multiplier=12.0, residual_multiplier=0.22, logits_scaling=6.0, num_local_experts=8,
        num_experts_per_tok=2, tie_word_embeddings=True,
    ), "ibm-granite/granite-3.0-1b-a400m-base"),
    "gpt-oss": ("gpt_oss", _SIZES | dict(
        num_attention_heads=8, num_key_value_heads=1, head_dim=12, hidden_act="silu", rms_norm_eps=1e-5,
        rope_theta=150000.0, rope_scaling=dict(
            rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
            original_max_position_embeddings=4096,
        ), sliding_window=5, layer_types=["sliding_attention", "full_attention"], attention_bias=True,
        num_local_experts=8, num_experts_per_tok=2, swiglu_limit=7.0, tie_word_embeddings=False,
        max_position_embeddings=131072,
    ), "openai/gpt-oss-20b"),
    "command-r": ("cohere", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", layer_norm_eps=1e-5, rope_theta=8000000.0, logit_scale=0.0625,
        use_qk_norm=False, tie_word_embeddings=True,
    ), "CohereForAI/c4ai-command-r-v01"),
    "command-r-plus": ("cohere", _SIZES | dict(
        hidden_size=96, num_attention_heads=12, num_key_value_heads=1, hidden_act="silu", layer_norm_eps=1e-5,
        rope_theta=75000000.0, logit_scale=0.8333333333333334, use_qk_norm=True, tie_word_embeddings=True,
    ), "CohereForAI/c4ai-command-r-plus"),
    "command-r7b": ("cohere2", _SIZES | dict(
        num_hidden_layers=4, num_key_value_heads=1, hidden_act="silu", layer_norm_eps=1e-5, rope_theta=50000.0,
        logit_scale=0.25, sliding_window=5, layer_types=_LLLG, tie_word_embeddings=True,
    ), "CohereForAI/c4ai-command-r7b-12-2024"),
    "starcoder2": ("starcoder2", _SIZES | dict(
        hidden_size=96, num_attention_heads=12, num_key_value_heads=1, hidden_act="gelu_pytorch_tanh",
        norm_epsilon=1e-5, rope_theta=999999.4420358813, use_bias=True, sliding_window=5, tie_word_embeddings=True,
    ), "bigcode/starcoder2-3b"),
    "smollm3": ("smollm3", _SIZES | dict(
        num_hidden_layers=4, num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=5000000.0,
        no_rope_layer_interval=4, use_sliding_window=False, tie_word_embeddings=True,
    ), "HuggingFaceTB/SmolLM3-3B"),
    "glm-4": ("glm", _SIZES | dict(
        hidden_size=128, num_attention_heads=16, num_key_value_heads=1, head_dim=8, hidden_act="silu",
        rms_norm_eps=1.5625e-07, rope_theta=10000.0, partial_rotary_factor=0.5, attention_bias=True,
        tie_word_embeddings=False,
    ), "THUDM/glm-4-9b-hf"),
    "glm-4-0414": ("glm4", _SIZES | dict(
        hidden_size=128, num_attention_heads=16, num_key_value_heads=1, head_dim=8, hidden_act="silu",
        rms_norm_eps=1e-5, rope_theta=10000.0, partial_rotary_factor=0.5, attention_bias=True,
        tie_word_embeddings=False,
    ), "THUDM/GLM-4-9B-0414"),
    "glm-4.5-air": ("glm4_moe", _SIZES | dict(
        num_attention_heads=12, num_key_value_heads=1, head_dim=16, hidden_act="silu", rms_norm_eps=1e-5,
        rope_theta=1000000.0, partial_rotary_factor=0.5, attention_bias=True, use_qk_norm=False,
        first_k_dense_replace=1, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=2,
        moe_intermediate_size=24, n_group=1, topk_group=1, norm_topk_prob=True, routed_scaling_factor=1.0,
        tie_word_embeddings=False,
    ), "zai-org/GLM-4.5-Air"),
    "ernie-4.5": ("ernie4_5", _SIZES | dict(
        num_attention_heads=8, num_key_value_heads=1, head_dim=16, hidden_act="silu", rms_norm_eps=1e-5,
        rope_theta=500000.0, use_bias=False, tie_word_embeddings=True,
    ), "baidu/ERNIE-4.5-0.3B-PT"),
    "ernie-4.5-moe": ("ernie4_5_moe", _SIZES | dict(
        hidden_size=80, num_attention_heads=5, num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-5,
        rope_theta=500000.0, use_bias=False, moe_intermediate_size=24, moe_num_experts=8, moe_k=2,
        moe_num_shared_experts=2, moe_layer_start_index=1, moe_layer_interval=1, tie_word_embeddings=True,
    ), "baidu/ERNIE-4.5-21B-A3B-PT"),
    "exaone-4": ("exaone4", _SIZES | dict(
        hidden_size=80, num_hidden_layers=4, num_attention_heads=5, num_key_value_heads=1, head_dim=16,
        hidden_act="silu", rms_norm_eps=1e-5, rope_theta=1000000.0, rope_scaling=_LLAMA3 | dict(factor=16.0),
        sliding_window=5, sliding_window_pattern=4, layer_types=_LLLG, tie_word_embeddings=False,
        max_position_embeddings=131072,
    ), "LGAI-EXAONE/EXAONE-4.0-32B"),
    "nemotron": ("nemotron", _SIZES | dict(
        hidden_size=96, num_attention_heads=6, num_key_value_heads=2, head_dim=16, hidden_act="relu2", norm_eps=1e-5,
        rope_theta=10000.0, partial_rotary_factor=0.5, attention_bias=False, mlp_bias=False, tie_word_embeddings=False,
    ), "nvidia/Nemotron-Mini-4B-Instruct"),
    "afm": ("arcee", _SIZES | dict(
        hidden_size=80, num_attention_heads=5, num_key_value_heads=1, head_dim=16, hidden_act="relu2",
        rms_norm_eps=1e-5, rope_theta=10000.0, rope_scaling=dict(
            rope_type="yarn", factor=20.0, original_max_position_embeddings=4096, beta_fast=32.0, beta_slow=1.0,
            mscale=1.0,
        ), attention_bias=False, mlp_bias=False, max_position_embeddings=65536, tie_word_embeddings=False,
    ), "arcee-ai/AFM-4.5B"),
    "apertus": ("apertus", _SIZES | dict(
        num_key_value_heads=1, hidden_act="xielu", rms_norm_eps=1e-5, rope_theta=12000000.0, rope_scaling=_LLAMA3,
        attention_bias=False, tie_word_embeddings=False, max_position_embeddings=65536,
    ), "swiss-ai/Apertus-8B-2509"),
    "seed-oss": ("seed_oss", _SIZES | dict(
        num_attention_heads=10, num_key_value_heads=1, head_dim=12, hidden_act="silu", rms_norm_eps=1e-6,
        rope_theta=10000000.0, attention_bias=True, attention_out_bias=False, mlp_bias=False, tie_word_embeddings=False,
    ), "ByteDance-Seed/Seed-OSS-36B-Base"),
    "bitnet": ("bitnet", _SIZES | dict(
        num_key_value_heads=1, hidden_act="relu2", rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=True,
    ), "microsoft/bitnet-b1.58-2B-4T (its weights as plain numbers)"),
    "deepseek-v2-lite": ("deepseek_v2", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=10000.0,
        rope_scaling=_DEEPSEEK_YARN | dict(mscale=0.707, mscale_all_dim=0.707), q_lora_rank=None, kv_lora_rank=32,
        qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, first_k_dense_replace=1, n_routed_experts=8,
        n_shared_experts=2, num_experts_per_tok=2, moe_intermediate_size=24, topk_method="greedy", n_group=1,
        topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.0, tie_word_embeddings=False,
        max_position_embeddings=163840,
    ), "deepseek-ai/DeepSeek-V2-Lite"),
    "deepseek-v3": ("deepseek_v3", _SIZES | dict(
        num_key_value_heads=4, hidden_act="silu", rms_norm_eps=1e-6, rope_theta=10000.0,
        rope_scaling=_DEEPSEEK_YARN | dict(mscale=1.0, mscale_all_dim=1.0), q_lora_rank=48, kv_lora_rank=32,
        qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, first_k_dense_replace=1, n_routed_experts=16,
        n_shared_experts=1, num_experts_per_tok=4, moe_intermediate_size=24, n_group=4, topk_group=2,
        norm_topk_prob=True, routed_scaling_factor=2.5, tie_word_embeddings=False, max_position_embeddings=163840,
    ), "deepseek-ai/DeepSeek-V3"),
    "minimax-m2": ("minimax_m2", _SIZES | dict(
        num_attention_heads=6, num_key_value_heads=1, head_dim=16, rotary_dim=8, hidden_act="silu", rms_norm_eps=1e-6,
        rope_theta=5000000.0, num_local_experts=8, num_experts_per_tok=2, tie_word_embeddings=False,
    ), "MiniMaxAI/MiniMax-M2"),
}
# fmt: on


def configuration(name: str, **changes: Any) -> PreTrainedConfig:
    """The configuration of one of the checkpoints, as transformers reads it, with other values of some fields."""
    model_type, fields, _ = CHECKPOINTS[name]
    return AutoConfig.for_model(model_type, **deepcopy(fields | changes))  # transformers writes into nested fields
