"""TransformerLens's logits beside Hugging Face's, on scaled-down published configurations with random weights.

    FOLDER/transformer-lens/bin/python -m benchmarks.peers.transformer_lens_logits > benchmarks/results/transformer_lens_logits.json

Run it from the root of the repository. Prints one JSON object; `--table FILE` prints the Markdown table of one printed before.

Every configuration of `benchmarks/published_configs.py` whose class TransformerLens has an adapter for is built with random
weights, and run on a few random prompts of 12 tokens; TransformerLens then wraps the same model with
`build_bridge_from_module`, which asks no hub. What is reported is the largest difference of two logits by the largest
logit. In float64, unless Hugging Face's own code runs in float32 alone; where either side casts to float32 inside (norms,
softmax, rotary angles), 1e-6 is what can be expected, otherwise 1e-15.

`bridge`: the logits of the bridge as it is built. It calls Hugging Face's modules where it has none of its own;
`recomputed` names the classes of modules that never ran under it, which are those whose results it computes itself.

`processed`: the logits after `enable_compatibility_mode()`, which takes the weights over into TransformerLens's form, folds
norms and value biases and centres what is written and unembedded. Centring moves all logits of a position by the same
amount, so that they are compared less their mean.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import platform
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from benchmarks.published_configs import CHECKPOINTS, VOCABULARY, configuration

PROMPTS, LENGTH, SEED = 4, 12, 0
AGREES = 1e-5
ONLY_FLOAT32 = ("gpt2-stanford", "xglm")  # in float64 their attention in Hugging Face ends in a RuntimeError
RECURRENT = (
    "bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "lfm2", "lfm2_moe", "mamba", "mamba2", "nemotron_h",
    "olmo_hybrid", "qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next", "recurrent_gemma", "rwkv",
    "zamba2",
)  # fmt: skip
OTHER_INPUTS = ("gemma3", "gemma3n", "gemma4", "gemma4_unified")
SAME_CLASS = ("gpt-sw3", "internlm3", "iquestcoder", "llama4")
WHY_PROCESSED_DIFFERS = {
    "gpt-oss": "value biases are folded into the output's as if attention summed to 1, which its sinks prevent",
    "bitnet": "its norm inside attention is not carried over, as TransformerLens's adapter says",
}


def random_model(name: str, dtype: torch.dtype) -> Any:
    """A model with random weights, gains around 1, and every bias large enough to matter."""
    config = configuration(name)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", experts_implementation="eager")
    model = model.eval().requires_grad_(False).to(dtype)
    generator = torch.Generator().manual_seed(SEED)
    corrections = [buffer for path, buffer in model.named_buffers() if path.endswith("correction_bias")]
    for weights in [*model.parameters(), *corrections]:
        noise = torch.randn(weights.shape, generator=generator, dtype=torch.float64).to(weights.dtype)
        weights.copy_(1 + 0.2 * noise if weights.dim() == 1 and weights.mean() > 0.5 else 0.25 * noise)
    return model


def random_prompts() -> Tensor:
    """The same prompts for every model, without the ids that may stand for padding."""
    return torch.randint(2, VOCABULARY, (PROMPTS, LENGTH), generator=torch.Generator().manual_seed(SEED))


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of two logits by the largest logit."""
    return float(f"{((ours - theirs).abs().max() / theirs.abs().max()).item():.1e}")


def centred(logits: Tensor) -> Tensor:
    """The logits less their mean over the vocabulary."""
    return logits - logits.mean(-1, keepdim=True)


class Ran:
    """The classes of a model's modules, and which of them have run since they were watched."""

    def __init__(self, model: Any) -> None:
        """Watch every module of a model."""
        self.all = {type(module).__name__ for path, module in model.named_modules() if path}
        self.ran: set[str] = set()
        for module in model.modules():
            module.register_forward_hook(lambda module, *_: self.ran.add(type(module).__name__))

    def never(self) -> list[str]:
        """What did not run, less what has nothing to run: lists, and wrappers around all layers."""
        return sorted(name for name in self.all - self.ran if name != "ModuleList" and not name.endswith("Model"))


def compare(name: str) -> dict[str, Any]:
    """One configuration's row."""
    from transformer_lens.model_bridge.sources import build_bridge_from_module  # pyright: ignore[reportMissingImports]

    dtype = torch.float32 if name in ONLY_FLOAT32 else torch.float64
    model, prompts = random_model(name, dtype), random_prompts()
    logits = model(prompts).logits  # before the bridge takes the model's modules over
    ran = Ran(model)
    bridge = build_bridge_from_module(model, type(model).__name__, hf_config=model.config).eval()
    row = {"bridge": difference(bridge(prompts), logits), "recomputed": ran.never()}
    bridge.enable_compatibility_mode()
    processed = difference(centred(bridge(prompts)), centred(logits))
    return row | {"processed": processed, "dtype": str(dtype).removeprefix("torch.")}


def described(name: str) -> dict[str, Any]:
    """One configuration's row with its names, or with why there is none."""
    model_type, _, checkpoint = CHECKPOINTS[name]
    names = {"name": name, "model_type": model_type, "checkpoint": checkpoint}
    try:
        row = compare(name)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        return names | {"error": f"{type(error).__name__}: {error}"}
    if row["processed"] > AGREES:
        row["why_processed_differs"] = WHY_PROCESSED_DIFFERS.get(name, "unknown")
    return names | row


def left_out() -> dict[str, str]:
    """Families that both packages have and that are not compared, and why."""
    from transformer_lens.factories.architecture_adapter_factory import (  # pyright: ignore[reportMissingImports]
        SUPPORTED_ARCHITECTURES,
    )

    compared = {model_type for model_type, _, _ in CHECKPOINTS.values()}
    both = {family for family, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if name in SUPPORTED_ARCHITECTURES}
    return {family: why_left_out(family) for family in sorted(both - compared)}


def why_left_out(family: str) -> str:
    """Why a family has no configuration here."""
    if family in RECURRENT:
        return "has recurrent or convolutional layers"
    if family in OTHER_INPUTS:
        return "takes images or sounds"
    if family in SAME_CLASS:
        return "is the class of a family compared"
    return "an encoder" if family == "bert" else "no published configuration is known well enough to be written down"


def report() -> dict[str, Any]:
    """All rows, with what they depend on."""
    packages = ("torch", "transformers", "transformer-lens")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "source": "benchmarks/peers/transformer_lens_logits.py",
        "versions": {"python": platform.python_version(), **versions},
        "setting": {"prompts": PROMPTS, "length": LENGTH, "seed": SEED, "device": "cpu"},
        "about": "The largest difference of two logits by the largest logit.",
        "rows": [described(name) for name in CHECKPOINTS],
        "left_out": left_out(),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table, one line a family, with the largest differences of its checkpoints."""
    lines = ["| family | checkpoints | bridge | computes itself | processed |", "|---|---|---|---|---|"]
    for model_type in dict.fromkeys(row["model_type"] for row in rows):
        family = [row for row in rows if row["model_type"] == model_type]
        cells = [model_type, ", ".join(row["checkpoint"] for row in family), *numbers(family)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def numbers(family: list[dict[str, Any]]) -> list[str]:
    """What a family's checkpoints came to, in three cells."""
    errors = [row["error"] for row in family if "error" in row]
    if errors:
        return ["not compared: " + "; ".join(errors), "", ""]
    bridge, processed = (max(row[column] for row in family) for column in ("bridge", "processed"))
    own = sorted({name for row in family for name in row["recomputed"]})
    return [written(bridge), ", ".join(own) or "nothing", written(processed)]


def written(number: float) -> str:
    """Such as 0, 2e-15 or 0.53."""
    return f"{number:.0e}".replace("e-0", "e-") if 0 < number < 0.01 else f"{number:.2g}"


def main() -> None:
    """Compare everything and print, or print an earlier report's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text())["rows"]))
        return
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    print(json.dumps(report(), indent=2))


if __name__ == "__main__":
    main()
