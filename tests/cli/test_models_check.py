"""circuitsearch models check: whether a model is read as it computes."""

from __future__ import annotations

import json
from pathlib import Path

import circuitsearch as cs
from tests.conftest import tiny_model

from .conftest import Command


def test_a_model_is_verified_and_its_graph_shown(command: Command, tmp_path: Path):
    """Its numbers are those of its graph; a folder without a tokenizer will do."""
    model = tiny_model("llama-grouped")
    model.save_pretrained(tmp_path / "mine")
    said = command("models", "check", tmp_path / "mine", "--json")
    graph = cs.Experiment.of(model, cs.Task.from_ids([[1, 2]], [[3, 2]], [4], [5])).graph
    found = json.loads(said.out)
    assert (found["edges"], found["model_type"], found["tokenizer"]) == (graph.n_edges, "llama", False)
    assert "share the keys and values" in said.err and "verified" in said.err


def test_a_model_that_cannot_be_read(command: Command, tmp_path: Path):
    """One sentence, exit code 2."""
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    said = command("models", "check", tmp_path)
    assert said.code == 2 and "t5" in said.err and len(said.err.splitlines()) == 1
