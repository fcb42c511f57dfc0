"""Cost, memory and communication of large models: formulas, held against counted operations of small ones.

    python benchmarks/scaling.py

Operations are those of matrix products and attention by torch's formulas, the same in every run. The first table has models of a Llama's
proportions with random weights, of which the operations of EAP and of one pass of a search are counted and predicted; the second what the
formulas say of Llama 3 8B and 70B, whose weights are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

import circuitsearch as cs
from circuitsearch.averaging import SUMS
from circuitsearch.bench.cost import forward_operations, measured
from circuitsearch.engine.pair import bytes_needed
from circuitsearch.graph import Graph
from circuitsearch.models.describe import graph_of

PROMPTS, LENGTH = 4, 16


def llama(layers: int, width: int, heads: int, kv_heads: int, inner: int, vocabulary: int) -> LlamaConfig:
    """A Llama's configuration."""
    return LlamaConfig(
        num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, num_key_value_heads=kv_heads,
        intermediate_size=inner, vocab_size=vocabulary, tie_word_embeddings=False,
    )  # fmt: skip


SMALL = {
    "4 layers of 8 heads": llama(4, 256, 8, 4, 768, 2000),
    "8 layers of 8 heads": llama(8, 256, 8, 2, 768, 2000),
    "8 layers of 16 heads": llama(8, 512, 16, 4, 1536, 2000),
    "16 layers of 16 heads": llama(16, 512, 16, 4, 1536, 2000),
}
LARGE = {
    "Llama 3 8B": llama(32, 4096, 32, 8, 14336, 128256),
    "Llama 3 70B": llama(80, 8192, 64, 8, 28672, 128256),
}


@dataclass(frozen=True)
class Size:
    """The numbers of a model that the formulas need.

    Attributes
    ----------
    graph : Graph
        Writers (U), ports (V) and edges (E).
    width : int
        Of the stream (D).
    blocks : int
        Parameters of the blocks: those that every position runs through (P).
    all : int
        Parameters with embedding and unembedding.
    """

    graph: Graph
    width: int
    blocks: int
    all: int

    @classmethod
    def of(cls, config: Any) -> Size:
        """Read from the configuration; no weight is made."""
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config)
        blocks = sum(weight.numel() for weight in model.model.layers.parameters())
        return cls(graph_of(model), config.hidden_size, blocks, sum(weight.numel() for weight in model.parameters()))

    @property
    def forward(self) -> float:
        """Operations of a plain forward of one position, without the logits: 2 P."""
        return 2 * self.blocks

    @property
    def eap(self) -> float:
        """Of EAP: two forwards, a backward to the activations, and the product of differences and gradients: 6 P + 2 E D."""
        return 6 * self.blocks + 2 * self.graph.n_edges * self.width

    @property
    def search_pass(self) -> float:
        """Of one pass of a search at a circuit that runs every part: a forward, a backward, and the same product: 4 P + 2 E D."""
        return 4 * self.blocks + 2 * self.graph.n_edges * self.width


def counted(config: Any) -> tuple[float, float, float]:
    """Operations a position of a plain forward, of EAP and of one gradient at the whole model, as counted."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    clean = torch.randint(0, config.vocab_size, (PROMPTS, LENGTH))
    corrupt = (clean + 1) % config.vocab_size  # nothing is shared
    experiment = cs.Experiment(model, cs.Task.from_ids(clean, corrupt, [1] * PROMPTS, [2] * PROMPTS))
    device, positions = torch.device("cpu"), PROMPTS * LENGTH
    logits = 2 * config.vocab_size * config.hidden_size * positions
    with measured(device) as eap:
        experiment.score("eap")
    experiment.evaluator.metric_of(experiment.graph.mask)  # so that the ablated run is there
    with measured(device) as search:
        for _ in experiment.evaluator.run(experiment.graph.mask.float(), gradient=True):
            pass
    return (
        (forward_operations(model, experiment.task) - logits) / positions,
        eap.operations / positions,
        search.operations / positions,
    )


def main() -> None:
    """Print both tables."""
    print("| random model | edges | forward | EAP | search pass | EAP in forwards |\n|---|--:|--:|--:|--:|--:|")
    for name, config in SMALL.items():
        size, (forward, eap, search) = Size.of(config), counted(config)
        ratios = " | ".join(
            f"{found / said:.2f}"
            for found, said in ((forward, size.forward), (eap, size.eap), (search, size.search_pass))
        )
        print(f"| {name} | {size.graph.n_edges:,} | {ratios} | {eap / forward:.1f} |", flush=True)
    print("\n| | Llama 3 8B | Llama 3 70B |\n|---|--:|--:|")
    sizes = [Size.of(config) for config in LARGE.values()]
    rows = {
        "edges": [f"{size.graph.n_edges:,}" for size in sizes],
        "weights in bfloat16; in 4 bits": [f"{2 * size.all / 1e9:.0f} GB; {size.all / 2e9:.0f} GB" for size in sizes],
        "EAP, in plain forwards": [f"{size.eap / size.forward:.1f}" for size in sizes],
        "one pass of a search, in plain forwards": [f"{size.search_pass / size.forward:.1f}" for size in sizes],
        "working memory of one prompt of 32 tokens": [
            f"{bytes_needed(size.graph, 32, size.width, 2) / 1e9:.1f} GB" for size in sizes
        ],
        f"exchanged by each process, {SUMS} times a method": [f"{_scores(size) / 1e6:.0f} MB each" for size in sizes],
        "exchanged a pass of a search, 32 prompts": [f"{32 * 4 * size.graph.n_edges / 1e6:,.0f} MB" for size in sizes],
    }
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(values)} |")


def _scores(size: Size) -> int:
    return 8 * len(size.graph.writers) * len(size.graph.readers)


if __name__ == "__main__":
    main()
