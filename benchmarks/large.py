"""How long EAP takes on a large model with random weights, and how much memory beside the model's own.

    python benchmarks/large.py [--shape 1.5b] [--prompts 8] [--length 16] [--memory-gib 1] [--out benchmarks/results]
    python benchmarks/large.py --device cuda --shape 8b --prompts 64

The weights are made in bfloat16 where they stay. Seconds are wall clock of scoring all prompts, the verification of the model
left out; peaks are the process's as the operating system counts it, or the allocator's on a GPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import torch
from record import circumstances, save
from transformers import LlamaConfig, Qwen2Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from circuitsearch.ablation import Resample
from circuitsearch.engine.pair import bytes_per_prompt, pairs
from circuitsearch.engine.verify import verified
from circuitsearch.methods import EAP
from circuitsearch.scores import Work
from circuitsearch.task import Task

# Qwen2.5-1.5B and Llama-3-8B
SHAPES: dict[str, Any] = {
    "tiny": Qwen2Config(
        num_hidden_layers=2, hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96,
        vocab_size=1000,
    ),
    "1.5b": Qwen2Config(
        num_hidden_layers=28, hidden_size=1536, num_attention_heads=12, num_key_value_heads=2, intermediate_size=8960,
        vocab_size=151936, tie_word_embeddings=True,
    ),
    "8b": LlamaConfig(
        num_hidden_layers=32, hidden_size=4096, num_attention_heads=32, num_key_value_heads=8, intermediate_size=14336,
        vocab_size=128256,
    ),
}  # fmt: skip


def random_model(config: Any, device: str) -> Any:
    """A model whose weights never exist in another dtype or place than their own."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.to_empty(device=device)
    model.tie_weights()
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            parameter.data.normal_(std=parameter.shape[-1] ** -0.5)
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)  # its angles were not computed on meta
    return model.eval().requires_grad_(False)


def peak(device: str) -> float:
    """Most memory that was ever taken so far, in MB."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def random_task(vocabulary: int, prompts: int, length: int) -> Task:
    """Pairs that differ at their first position, so that no prefix is shared."""
    clean = torch.randint(0, vocabulary, (prompts, length))
    corrupt = clean.clone()
    corrupt[:, 0] = (clean[:, 0] + 1) % vocabulary
    return Task.from_ids(clean, corrupt, [1] * prompts, [2] * prompts)


def main() -> None:
    """Make the model, score the prompts, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="1.5b")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--memory-gib", type=float, default=1.0)
    parser.add_argument("--out", help="folder for the numbers as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    memory = int(options.memory_gib * 2**30)
    model = random_model(SHAPES[options.shape], options.device)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()) / 1e6
    loaded = peak(options.device)
    task = random_task(model.config.vocab_size, options.prompts, options.length)
    described = verified(model, task)
    verified_MB = peak(options.device)
    began = time.perf_counter()
    totals = [EAP().effects(pair, Work()).double().cpu() for pair in pairs(described, task, Resample(), memory)]
    total = sum(totals[1:], start=totals[0])
    assert total.isfinite().all() and total.abs().max() > 0
    seconds = time.perf_counter() - began
    found = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "edges": described.graph.n_edges,
        "weights_MB": round(weights),
        "peak_MB_loaded": round(loaded),
        "peak_MB_verified": round(verified_MB),
        "peak_MB": round(peak(options.device)),
        "peak_of_weights": round(peak(options.device) / weights, 3),
        "budget_MB": round(memory / 1e6),
        "estimate_MB_a_prompt": round(bytes_per_prompt(described, options.length) / 1e6),
        "batches": len(totals),
        "seconds": round(seconds, 1),
        "prompts_a_second": round(options.prompts / seconds, 3),
    }
    print(json.dumps(found, indent=2))
    if options.out:
        setting = {name: getattr(options, name) for name in ("shape", "device", "prompts", "length", "memory_gib")}
        save(
            options.out,
            f"large-{options.device}-{options.shape}",
            circumstances(setting | {"dtype": "bfloat16"}, options.device, 1) | found,
        )


if __name__ == "__main__":
    main()
