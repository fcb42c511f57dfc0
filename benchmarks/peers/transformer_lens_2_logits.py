"""The logits of TransformerLens 2.18's own model beside Hugging Face's, on scaled-down published configurations.

    FOLDER/auto-circuit/bin/python -m benchmarks.peers.transformer_lens_2_logits > benchmarks/results/transformer_lens_2_logits.json

Run it from the root of the repository. Prints one JSON object.

Unlike version 4, version 2 has a model of its own, HookedTransformer, which calls nothing of Hugging Face's, and the
configurations of Llama and Gemma checkpoints written down in its code: epsilons, activations, rotary bases and their
scaling, soft caps, which layers have windows. For these, only sizes are taken from `benchmarks/published_configs.py`. The other
configurations are read from ours, as version 2 would read the checkpoint's. Weights are random, in float32; reported is
the largest difference of two logits by the largest logit. Where the two differ, `differs_in` says in what
TransformerLens's configuration does, and how far they are apart once Hugging Face's is changed to the same.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import tempfile
from typing import Any

import torch
import transformer_lens.loading_from_pretrained as loading  # pyright: ignore[reportMissingImports]
from torch import Tensor
from transformer_lens import (  # pyright: ignore[reportMissingImports]
    HookedTransformer,  # pyright: ignore[reportAttributeAccessIssue]
    HookedTransformerConfig,  # pyright: ignore[reportAttributeAccessIssue]
)
from transformers import AutoModelForCausalLM

from benchmarks.published_configs import CHECKPOINTS, VOCABULARY, configuration

PROMPTS, LENGTH, SEED, CONTEXT = 4, 12, 0, 128
WRITTEN_DOWN = {
    "llama-2": "meta-llama/Llama-2-7b-hf",
    "llama-3.1": "meta-llama/Llama-3.1-8B",
    "llama-3.2": "meta-llama/Llama-3.2-1B",
    "gemma": "google/gemma-2b",
    "gemma-2": "google/gemma-2-2b",
    "gemma-3-1b": "google/gemma-3-1b-pt",
    "gemma-3-4b": "google/gemma-3-4b-pt",
}
READ = (
    "gpt-neo", "gpt-j", "pythia", "gpt-neox", "opt", "bloom", "mistral-v0.1", "mistral-nemo", "mixtral", "qwen2.5", "qwen3",
    "phi-2", "phi-3-mini", "phi-4",
)  # fmt: skip
DIFFERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma-2": (
        "which layers have windows: every second from the second on, not from the first on",
        {"layer_types": ["full_attention", "sliding_attention"] * 2},
    ),
    "gemma-3-4b": ("the scaling of the full layers' rotary embedding", {"rope_scaling": None}),
    "phi-3-mini": ("the window", {"sliding_window": None}),
}


def random_model(config: Any) -> Any:
    """A model with random weights, gains around 1, and every bias large enough to matter."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(SEED)
    for weights in model.parameters():
        noise = torch.randn(weights.shape, generator=generator)
        weights.copy_(1 + 0.2 * noise if weights.dim() == 1 and weights.mean() > 0.5 else 0.25 * noise)
    return model


def read(config: Any) -> dict[str, Any]:
    """What TransformerLens makes of a configuration on disk."""
    with tempfile.TemporaryDirectory(prefix="published") as folder:
        config.save_pretrained(folder)
        return loading.convert_hf_model_config(folder)


def written_down(name: str, config: Any) -> dict[str, Any]:
    """What TransformerLens has written down of a checkpoint, with our sizes."""
    fields = loading.convert_hf_model_config(WRITTEN_DOWN[name])
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    sizes = {"d_model": config.hidden_size, "d_mlp": config.intermediate_size, "n_layers": config.num_hidden_layers}
    sizes |= {"n_heads": config.num_attention_heads, "d_head": width, "d_vocab": config.vocab_size}
    if "n_key_value_heads" in fields:
        sizes["n_key_value_heads"] = config.num_key_value_heads
    if "rotary_dim" in fields:
        sizes["rotary_dim"] = width
    if "window_size" in fields:
        sizes |= {"window_size": config.sliding_window, "attn_types": fields["attn_types"][: config.num_hidden_layers]}
    return fields | sizes


def hooked(model: Any, fields: dict[str, Any]) -> Any:
    """TransformerLens's own model with the weights of Hugging Face's, as they are."""
    own = {"n_ctx": CONTEXT, "dtype": torch.float32, "device": "cpu", "tokenizer_name": None, "init_weights": False}
    own |= {"original_architecture": type(model).__name__, "model_name": "published"}
    settings = HookedTransformerConfig.from_dict(fields | own)
    weights = loading.get_pretrained_state_dict(
        "gpt2", settings, model, dtype=torch.float32
    )  # any name: model is given
    hooked_model = HookedTransformer(settings, move_to_device=False)
    steps = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
    hooked_model.load_and_process_state_dict(weights, **dict.fromkeys(steps, False))
    return hooked_model.eval()


def difference(name: str, changes: dict[str, Any]) -> float:
    """The largest difference of two logits by the largest logit, with changes to Hugging Face's side alone."""
    config = configuration(name, **changes)
    model = random_model(config)
    config.architectures = [type(model).__name__]
    prompts = torch.randint(2, VOCABULARY, (PROMPTS, LENGTH), generator=torch.Generator().manual_seed(SEED))
    original = configuration(name)
    original.architectures = config.architectures
    fields = written_down(name, original) if name in WRITTEN_DOWN else read(original)
    logits: Tensor = model(prompts).logits
    return float(f"{((hooked(model, fields)(prompts) - logits).abs().max() / logits.abs().max()).item():.1e}")


def row(name: str) -> dict[str, Any]:
    """What one configuration came to."""
    told = {"name": name, "checkpoint": CHECKPOINTS[name][2], "written_down": name in WRITTEN_DOWN}
    told["difference"] = difference(name, {})
    if name in DIFFERS:
        what, changes = DIFFERS[name]
        told["differs_in"] = {"what": what, "difference": difference(name, changes)}
    return told


def main() -> None:
    """Compare everything and print."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    packages = ("torch", "transformers", "transformer-lens")
    report = {
        "source": "benchmarks/peers/transformer_lens_2_logits.py",
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "setting": {"prompts": PROMPTS, "length": LENGTH, "seed": SEED, "device": "cpu", "dtype": "float32"},
        "rows": [row(name) for name in (*WRITTEN_DOWN, *READ)],
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
