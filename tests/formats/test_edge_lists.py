"""Lists of edges by name, in every tool's spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph

GRAPH = Graph(2, 4, 4)
EDGES = [("embed", "a0.h1<q>"), ("a0.h1", "a1.h3<k>"), ("embed", "m1<in>"), ("a1.h3", "m1<in>"), ("m1", "logits")]
ACDC = [
    ["blocks.0.hook_q_input", [None, None, 1], "blocks.0.hook_resid_pre", [None]],
    ["blocks.0.attn.hook_q", [None, None, 1], "blocks.0.hook_q_input", [None, None, 1]],
    ["blocks.0.attn.hook_result", [None, None, 1], "blocks.0.attn.hook_q", [None, None, 1]],
    ["blocks.1.hook_k_input", [None, None, 3], "blocks.0.attn.hook_result", [None, None, 1]],
    ["blocks.1.hook_mlp_in", [None], "blocks.0.hook_resid_pre", [None]],
    ["blocks.1.hook_mlp_in", [None], "blocks.1.attn.hook_result", [None, None, 3]],
    ["blocks.1.hook_resid_post", [None], "blocks.1.hook_mlp_out", [None]],
]
LISTS: dict[str, Any] = {
    "Edge Pruning": [["tok_embeds", "a0.h1.q"], ["pos_embeds", "a0.h1.q"], ["a0.h1", "a1.h3.k"], ["pos_embeds", "m1"],
                     ["a1.h3", "m1"], ["m1", "resid_post"]],
    "auto-circuit": ["Resid Start->A0.1.Q", "A0.1->A1.3.K", "Resid Start->MLP 1", "A1.3->MLP 1", "MLP 1->Resid End"],
    "ACDC": ACDC,
    "with scores": {"embed->a0.h1<q>": 0.5, "a0.h1->a1.h3<k>": -1, "embed->m1": 2.0, "a1.h3->m1": None, "m1->logits": 0.1},
}  # fmt: skip


def read(tmp_path: Path, content: Any, graph: Graph | None = GRAPH, **others: Any) -> cs.Foreign:
    (tmp_path / "edges.json").write_text(json.dumps(content))
    return cs.read_circuit(tmp_path / "edges.json", graph, **others)


@pytest.mark.parametrize("tool", LISTS)
def test_every_tools_names_are_read(tmp_path: Path, tool: str):
    """The same circuit by four tools' names; ACDC's edges within a head are no edges here."""
    found = read(tmp_path, LISTS[tool], sign="supports" if tool == "with scores" else None)
    assert found.circuit.edges == EDGES
    assert found.circuit.score("m1", "logits") == (0.1 if tool == "with scores" else None)


def test_grouped_heads(tmp_path: Path):
    """A head's key is its group's, and scores of the heads are summed."""
    content = {"embed->a1.h2<k>": 0.25, "embed->a1.h3<k>": 0.5, "a1.h3->logits": 1.0}
    found = read(tmp_path, content, Graph(2, 4, 2), sign="opposes")
    assert found.circuit.edges == [("embed", "a1.kv1<k>"), ("a1.h3", "logits")]
    assert found.circuit.score("embed", "a1.kv1<k>") == -0.75


def test_our_own_lists_of_grouped_heads(tmp_path: Path):
    """A list by the names of our graph, in which a group of heads shares a port, is read as it stands, with its scores."""
    graph = Graph(2, 4, 2)
    content = {"->".join(edge): float(number) for number, edge in enumerate(graph.edges(graph.mask))}
    found = read(tmp_path, content, graph, sign="supports")
    assert found.mask is not None and torch.equal(found.mask, graph.mask) and found.scores is not None
    assert found.scores.to_dict() == content


def test_a_run_without_embedding_nodes(tmp_path: Path):
    """In such a run every reader sees the embedding, and the notes say that this was assumed."""
    found = read(tmp_path, [["a0.h1", "m1"], ["m1", "resid_post"]])
    assert found.mask is not None and bool((found.mask[0] == GRAPH.mask[0]).all()) and int(found.mask[1:].sum()) == 2
    assert "no edge comes from the embedding" in found.notes[0]


@pytest.mark.parametrize("graph", [GRAPH, Graph(2, 4, 2)])
@pytest.mark.parametrize("knob", ["True", "False"])
def test_edge_prunings_file_is_read_back(tmp_path: Path, graph: Graph, knob: str):
    """With one embedding node or two."""
    key = "a1.kv1<k>" if graph.n_kv_heads == 2 else "a1.h3<k>"
    circuit = Circuit.from_edges(graph, [(writer, key if "<k>" in reader else reader) for writer, reader in EDGES])
    cs.export(circuit, tmp_path / "edges.json", to=f"edge-pruning(learned_positions={knob})")
    content = json.loads((tmp_path / "edges.json").read_text())
    assert ["m1", "resid_post"] in content and (["embeds", "m1"] in content) == (knob == "False")
    assert cs.read_circuit(tmp_path / "edges.json", graph).circuit.edges == circuit.edges


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            [["a0.h1", "a5.h1.q"], ["a9.h9", "m1"], ["m1", "m0"], ["m7", "m9"]],
            "has no edge a0.h1->a5.h1.q, a9.h9->m1, m1->m0",
        ),
        ([["a0.h1", "m1", "m1"]], "one has 3 names"),
        (["a0.h1"], "is not an edge"),
        ([["a0.h1", 3]], "not a list of edges"),
        ({"embed->m1": "0.5"}, "not a list of edges"),
        ({"x": 1}, "its keys are x"),
        (3, "not a circuit of a program"),
    ],
)
def test_bad_lists_are_one_sentence(tmp_path: Path, content: Any, said: str):
    """The first three edges that the model lacks, and what is no edge."""
    with pytest.raises(InputError, match=said):
        read(tmp_path, content, sign="supports")


def test_numbers_that_are_none(tmp_path: Path):
    """Python writes Infinity, which is no score."""
    (tmp_path / "edges.json").write_text('{"embed->m1": Infinity}')
    with pytest.raises(InputError, match="embed->m1 is inf"):
        cs.read_circuit(tmp_path / "edges.json", GRAPH, sign="supports")


def test_the_model_and_the_sign_are_asked_for(tmp_path: Path):
    """A list says neither."""
    with pytest.raises(InputError, match="the model must be given"):
        read(tmp_path, LISTS["auto-circuit"], None)
    with pytest.raises(InputError, match="--sign"):
        read(tmp_path, LISTS["with scores"])
