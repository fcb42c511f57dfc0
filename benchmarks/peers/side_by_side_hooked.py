"""A Hugging Face model as the ``HookedTransformer`` of TransformerLens 2, on which auto-circuit and EAP-IG work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import side_by_side_shared as shared
from transformer_lens import HookedTransformer, HookedTransformerConfig  # pyright: ignore[reportMissingImports]
from transformer_lens.pretrained.weight_conversions import (  # pyright: ignore[reportMissingImports]
    convert_gpt2_weights,
    convert_llama_weights,
)

LONGEST = 128  # positions: its masks are as wide as the context that the configuration allows
HOOKS = {"use_attn_result": True, "use_split_qkv_input": True, "use_hook_mlp_in": True, "device": "cpu"}


def gpt2_settings(shape: Any) -> dict[str, Any]:
    """Of a GPT-2's configuration."""
    return {
        "n_layers": shape.n_layer,
        "n_heads": shape.n_head,
        "d_model": shape.n_embd,
        "d_head": shape.n_embd // shape.n_head,
        "d_mlp": shape.n_inner or 4 * shape.n_embd,
        "d_vocab": shape.vocab_size,
        "n_ctx": shape.n_positions,
        "eps": shape.layer_norm_epsilon,
        "act_fn": {"gelu_pytorch_tanh": "gelu_new"}.get(shape.activation_function, shape.activation_function),
        "normalization_type": "LN",
    }


def llama_settings(shape: Any) -> dict[str, Any]:
    """Of a Llama's configuration, as TransformerLens itself sets them; shared keys and values as one of each for every head."""
    head = shape.hidden_size // shape.num_attention_heads
    grouped = shape.num_key_value_heads != shape.num_attention_heads
    return {
        "n_layers": shape.num_hidden_layers,
        "n_heads": shape.num_attention_heads,
        "n_key_value_heads": shape.num_key_value_heads if grouped else None,
        "ungroup_grouped_query_attention": grouped,
        "d_model": shape.hidden_size,
        "d_head": head,
        "d_mlp": shape.intermediate_size,
        "d_vocab": shape.vocab_size,
        "n_ctx": min(LONGEST, shape.max_position_embeddings),
        "eps": shape.rms_norm_eps,
        "act_fn": shape.hidden_act,
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "rotary_adjacent_pairs": False,
        "rotary_dim": head,
        "rotary_base": base_of(shape),
        "final_rms": True,
        "gated_mlp": True,
    }


def base_of(shape: Any) -> float:
    """The base of rotary embeddings, which transformers 5 keeps elsewhere than 4."""
    return shape.rope_theta if hasattr(shape, "rope_theta") else shape.rope_parameters["rope_theta"]


KNOWN: dict[str, tuple[Callable[[Any], dict[str, Any]], Callable[..., dict[str, Any]]]] = {
    "gpt2": (gpt2_settings, convert_gpt2_weights),
    "llama": (llama_settings, convert_llama_weights),
}


def hooked(case: shared.Case, plain: Any) -> Any:
    """The model with the processing that ``from_pretrained`` does by default, and all hooks that edges need.

    ``from_pretrained`` knows models by their names on the hub only, so configuration and weights are put together from its parts.
    """
    settings, convert = KNOWN[plain.config.model_type]
    config = HookedTransformerConfig(**settings(plain.config), **HOOKS)
    model = HookedTransformer(config).eval()
    model.load_and_process_state_dict(convert(plain, config))
    shared.check_logits(case, plain, model)
    return model


def check_name(case: shared.Case, plain: Any) -> None:
    """Try the documented call, which wants a name; of our small models, which have none, nothing is asked."""
    if case.folder.name.startswith(("pico-", "planted-")):
        return
    HookedTransformer.from_pretrained(case.folder.name.rsplit("-", 1)[0], hf_model=plain, device="cpu")
