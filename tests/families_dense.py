"""Tiny random models of dense decoder families, with the options that make their real checkpoints special."""

from __future__ import annotations

from typing import Any

from transformers import (
    ApertusConfig,
    ArceeConfig,
    BioGptConfig,
    BloomConfig,
    CodeGenConfig,
    Cohere2Config,
    CohereConfig,
    CwmConfig,
    Ernie4_5Config,
    Exaone4Config,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    Glm4Config,
    GlmConfig,
    GPTBigCodeConfig,
    GPTJConfig,
    GPTNeoConfig,
    GraniteConfig,
    GraniteSWAConfig,
    HeliumConfig,
    HunYuanDenseV1Config,
    HyperCLOVAXConfig,
    InternLM3Config,
    IQuestCoderConfig,
    Jais2Config,
    Ministral3Config,
    MinistralConfig,
    MptConfig,
    NanoChatConfig,
    NemotronConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoConfig,
    OPTConfig,
    PersimmonConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedConfig,
    SeedOssConfig,
    SmolLM3Config,
    StableLmConfig,
    Starcoder2Config,
    VaultGemmaConfig,
)

# No special tokens: their defaults lie outside so small a vocabulary.
NO_IDS: dict[str, Any] = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
SMALL: dict[str, Any] = dict(
    vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=32, **NO_IDS,
)  # fmt: skip
FULL: dict[str, Any] = dict(**SMALL, num_key_value_heads=4)
GROUPED: dict[str, Any] = dict(**SMALL, num_key_value_heads=2)
MULTIQUERY: dict[str, Any] = dict(**SMALL, num_key_value_heads=1)
# Older families spell sizes in their own ways.
GPT_SIZES: dict[str, Any] = dict(vocab_size=40, n_positions=32, n_embd=32, n_layer=2, n_head=4, n_inner=48, **NO_IDS)
GPT_NEO: dict[str, Any] = dict(
    vocab_size=40, hidden_size=32, intermediate_size=48, num_layers=2, num_heads=4, max_position_embeddings=32,
    **NO_IDS,
)  # fmt: skip
BLOOM: dict[str, Any] = dict(vocab_size=40, hidden_size=32, n_layer=2, n_head=4, **NO_IDS)
FALCON: dict[str, Any] = dict(
    vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_hidden_size=48,
    max_position_embeddings=32, **NO_IDS,
)  # fmt: skip
OPT: dict[str, Any] = dict(
    vocab_size=40, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32,
    **NO_IDS,
)  # fmt: skip
MPT: dict[str, Any] = dict(vocab_size=40, d_model=32, n_heads=4, n_layers=2, max_seq_len=32, **NO_IDS)

# Windows are shorter than the tests' prompts, so that they matter; real models mix layers with and without one.
WINDOW = 4
MIXED: dict[str, Any] = dict(sliding_window=WINDOW, layer_types=["sliding_attention", "full_attention"])
# Gemma's soft caps are low enough to bend the scores and logits of so small a model.
CAPS: dict[str, Any] = dict(attn_logit_softcapping=2.0, final_logit_softcapping=3.0)
GRANITE: dict[str, Any] = dict(
    embedding_multiplier=3.0, residual_multiplier=0.22, attention_multiplier=0.1, logits_scaling=2.0
)
# Half of each head's width turns with the position.
HALF: dict[str, Any] = dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)
# Rotary frequencies stretched as in Llama 3.1, with a beginning short enough for these models.
LLAMA3: dict[str, Any] = dict(
    rope_type="llama3", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=8, low_freq_factor=1.0,
    high_freq_factor=4.0,
)  # fmt: skip
# Queries grow with the position from the fifth on, where real models start at the 16,385th.
YARN: dict[str, Any] = dict(
    rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=4, beta_fast=32.0,
    beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1,
)  # fmt: skip

DENSE: dict[str, PreTrainedConfig] = {
    "gpt_neo": GPTNeoConfig(**GPT_NEO, attention_types=[[["global", "local"], 1]], window_size=WINDOW),
    "gptj": GPTJConfig(**GPT_SIZES, rotary_dim=4),
    "gptj-rotary-whole": GPTJConfig(**GPT_SIZES, rotary_dim=8),
    "codegen": CodeGenConfig(**GPT_SIZES, rotary_dim=4),
    "codegen-8-heads": CodeGenConfig(**{**GPT_SIZES, "n_head": 8}, rotary_dim=2),
    "gpt_bigcode-multiquery": GPTBigCodeConfig(**GPT_SIZES, multi_query=True),
    "gpt_bigcode-multihead": GPTBigCodeConfig(**GPT_SIZES, multi_query=False),
    "opt": OPTConfig(**OPT),
    # As Galactica: projections without biases, another activation.
    "opt-no-bias": OPTConfig(**OPT, enable_bias=False, activation_function="gelu"),
    "opt-plain-norms": OPTConfig(**OPT, layer_norm_elementwise_affine=False),
    "biogpt": BioGptConfig(**SMALL),
    "bloom": BloomConfig(**BLOOM),
    "mpt": MptConfig(**MPT),
    "mpt-clipped": MptConfig(**MPT, attn_config={"clip_qkv": 0.5}),
    "falcon-multiquery": FalconConfig(**FALCON, multi_query=True, parallel_attn=True, bias=False),
    "falcon-new": FalconConfig(**FALCON, new_decoder_architecture=True, num_kv_heads=2),
    # As Falcon 2: the new layout of heads, one norm for attention and MLP.
    "falcon-new-one-norm": FalconConfig(
        **FALCON, new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1
    ),
    "falcon-alibi": FalconConfig(**FALCON, alibi=True, multi_query=False, parallel_attn=False, bias=True),
    "falcon-sequential-multiquery": FalconConfig(**FALCON, multi_query=True, parallel_attn=False, bias=True),
    "phi": PhiConfig(**SMALL),
    "phi-qk-norm": PhiConfig(**GROUPED, qk_layernorm=True),
    "phi3": Phi3Config(**SMALL),
    "phi3-grouped-windowed": Phi3Config(**GROUPED, sliding_window=WINDOW),
    "phi3-partial-rotary": Phi3Config(**GROUPED, rope_parameters=dict(HALF), tie_word_embeddings=True),
    "persimmon": PersimmonConfig(**SMALL, qk_layernorm=True),
    "persimmon-no-qk-norm": PersimmonConfig(**SMALL, qk_layernorm=False),
    "stablelm": StableLmConfig(**FULL, use_qkv_bias=True),
    "stablelm-grouped": StableLmConfig(**GROUPED, rope_parameters=dict(HALF)),
    "stablelm-parallel": StableLmConfig(**GROUPED, use_parallel_residual=True),
    # As StableLM 2 12B.
    "stablelm-parallel-qk-norm": StableLmConfig(**GROUPED, use_parallel_residual=True, qk_layernorm=True),
    "starcoder2": Starcoder2Config(**GROUPED, sliding_window=WINDOW),
    "starcoder2-no-bias": Starcoder2Config(**GROUPED, use_bias=False),
    "nemotron": NemotronConfig(**GROUPED),
    "jais2": Jais2Config(**GROUPED),
    "arcee": ArceeConfig(**GROUPED),
    "apertus": ApertusConfig(**GROUPED, attention_bias=True, rope_parameters=dict(LLAMA3)),
    "nanochat": NanoChatConfig(**GROUPED, final_logit_softcapping=3.0),
    "gemma": GemmaConfig(**MULTIQUERY, head_dim=16),
    "gemma2": Gemma2Config(**GROUPED, head_dim=16, query_pre_attn_scalar=8, **MIXED, **CAPS),
    "gemma3_text": Gemma3TextConfig(**MULTIQUERY, head_dim=16, query_pre_attn_scalar=8, **MIXED),
    "vaultgemma": VaultGemmaConfig(**FULL, head_dim=16, query_pre_attn_scalar=8, **MIXED, **CAPS),
    "olmo": OlmoConfig(**SMALL),
    "olmo-clipped": OlmoConfig(**GROUPED, clip_qkv=0.5),
    "olmo2": Olmo2Config(**SMALL),
    "olmo2-grouped": Olmo2Config(**GROUPED),
    "olmo3": Olmo3Config(**GROUPED, **MIXED),
    "exaone4": Exaone4Config(**GROUPED, **MIXED),
    # As EXAONE 4 1.2B: no window, so rotary positions everywhere.
    "exaone4-no-window": Exaone4Config(**GROUPED, sliding_window=None, layer_types=["full_attention"] * 2),
    "cohere": CohereConfig(**SMALL, logit_scale=0.25),
    "cohere-qk-norm": CohereConfig(**GROUPED, logit_scale=0.25, use_qk_norm=True),
    "cohere2": Cohere2Config(**GROUPED, logit_scale=0.25, **MIXED),
    "granite": GraniteConfig(**GROUPED, tie_word_embeddings=True, **GRANITE),
    "granite-biased": GraniteConfig(**GROUPED, attention_bias=True, mlp_bias=True, **GRANITE),
    "granite_swa": GraniteSWAConfig(**GROUPED, **MIXED, **GRANITE, layer_rope_theta=[10000.0, 0]),
    "hyperclovax": HyperCLOVAXConfig(**GROUPED, use_post_norm=True, **GRANITE),
    "hyperclovax-no-post-norm": HyperCLOVAXConfig(**GROUPED, use_post_norm=False, **GRANITE),
    "smollm3": SmolLM3Config(**GROUPED, no_rope_layers=[1, 0]),
    "smollm3-windowed": SmolLM3Config(**GROUPED, no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=WINDOW),
    "glm": GlmConfig(**{**GROUPED, "eos_token_id": 0}, head_dim=8),
    "glm4": Glm4Config(**{**GROUPED, "eos_token_id": 0}, head_dim=8, attention_bias=False),
    "helium": HeliumConfig(**GROUPED, head_dim=8),
    "ernie4_5": Ernie4_5Config(**GROUPED, head_dim=8, use_bias=True),
    "seed_oss": SeedOssConfig(**GROUPED, head_dim=16),
    "ministral": MinistralConfig(**GROUPED, head_dim=16, **MIXED),
    "ministral3": Ministral3Config(**GROUPED, head_dim=16, rope_parameters=dict(YARN)),
    "cwm": CwmConfig(
        **{**GROUPED, "bos_token_id": 0, "eos_token_id": 0}, head_dim=16, rope_parameters=dict(LLAMA3), **MIXED
    ),
    "hunyuan_v1_dense": HunYuanDenseV1Config(**GROUPED, head_dim=16),
    "internlm3": InternLM3Config(**GROUPED, head_dim=8, attention_bias=True, mlp_bias=True),
    "iquestcoder": IQuestCoderConfig(**GROUPED, head_dim=8),
}
