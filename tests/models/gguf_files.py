"""Writes small models as GGUF files, as llama.cpp's converter does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

BYTES = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
BYTES += [chr(256 + number) for number in range(256 - len(BYTES))]  # GPT-2's letters for the other bytes

_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_llama(
    path: Path, model: Any, kind: str = "F32", architecture: str = "llama", tokens: bool = True, parts: int = 1
) -> Path:
    """Write a Hugging Face Llama; matrices are quantised in ``kind``."""
    gguf = pytest.importorskip("gguf", reason="gguf is not installed")
    pytest.importorskip("accelerate", reason="reading GGUF needs accelerate, which is not installed")
    writer, config = gguf.GGUFWriter(path, architecture), model.config
    writer.add_name("tiny")
    writer.add_license("cc0-1.0")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_uint16("split.count", parts)
    if tokens:
        _write_tokenizer(writer, config.vocab_size)
    for name, weight in model.state_dict().items():
        _write_tensor(
            writer, gguf.GGMLQuantizationType[kind], _gguf_name(name), _permuted(name, weight.numpy(), config)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str) -> str:
    module, _, end = name.rpartition(".")
    if module in _OUTER:
        return f"{_OUTER[module]}.{end}"
    _, _, layer, inner = module.split(".", 3)
    return f"blk.{layer}.{_NAMES[inner]}.{end}"


def _permuted(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    """llama.cpp rotates neighbouring pairs of a query's and a key's entries, Hugging Face its two halves."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return weight
    return weight.reshape(heads, 2, -1, weight.shape[-1]).swapaxes(1, 2).reshape(weight.shape)


def _write_tensor(writer: Any, kind: Any, name: str, weight: np.ndarray) -> None:
    import gguf

    if weight.ndim == 1 or kind.name == "F32":
        writer.add_tensor(name, weight.astype(np.float32))
    else:
        writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)


def _write_tokenizer(writer: Any, size: int) -> None:
    """A byte-level BPE of GPT-2's kind: one token for each byte, then merges, then the beginning of a text."""
    import gguf

    merges = ["Ġ t", "h e", "Ġt he"]
    tokens = [*BYTES, *(merge.replace(" ", "") for merge in merges), "<s>"]
    tokens += [f"<{number}>" for number in range(size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [
            gguf.TokenType.CONTROL if token.startswith("<") and len(token) > 1 else gguf.TokenType.NORMAL
            for token in tokens
        ]
    )
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_add_bos_token(True)
