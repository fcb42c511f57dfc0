"""Published circuits, and found ones against them."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2Config

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.references import Reference, names
from circuitsearch.scores import Scores

GPT2 = SimpleNamespace(config=GPT2Config())


def test_all_references_name_real_nodes():
    """Their heads and edges exist in the graph of their model, and each says where it is from."""
    assert names() == ["acronyms", "copy-suppression", "docstring", "greater-than", "ioi"]
    for name in names():
        known = cs.reference(name)
        graph = known.model.graph
        assert known.name == name and known.source and set(known.heads) <= set(graph.writers)
        assert len(known.heads) == sum(map(len, known.classes.values()))
        assert bool(known.edge_list) == bool(known.edges_source)


@pytest.mark.parametrize(
    ("name", "n_heads", "n_edges", "within"),
    [("ioi", 26, 963, 78), ("greater-than", 9, 235, 27), ("docstring", 6, 24, 13)],
)
def test_sizes_are_the_published_ones(name: str, n_heads: int, n_edges: int, within: int):
    """26 heads (2211.00593). The docstring circuit has 37 edges as its authors count (2304.14997), with one within a head for each port."""
    known = cs.reference(name)
    assert (len(known.heads), len(known.edge_list)) == (n_heads, n_edges)
    assert n_edges + within == {"ioi": 1041, "greater-than": 262, "docstring": 37}[name]
    used = {reader for _, reader in known.edge_list if "<" in reader and reader.startswith("a")}
    assert len(used) == within


def test_classes_of_ioi():
    """A name mover reads S-inhibition through its query, and writes to the logits; nothing writes to its key but input and MLPs."""
    edges = set(cs.reference("ioi").edge_list)
    assert ("a7.h3", "a9.h9<q>") in edges and ("a9.h9", "logits") in edges and ("a7.h3", "a9.h9<k>") not in edges
    assert ("a8.h6", "a7.h3<q>") not in edges


def published(name: str) -> Circuit:
    known = cs.reference(name)
    return Circuit.from_edges(known.model.graph, known.edge_list)


def test_a_circuit_is_like_itself():
    """Precision, recall and overlap are 1, and so is AUROC if the scores mark its edges; every class is found."""
    circuit = published("ioi")
    found = cs.compare_with_reference(replace(circuit, scores=circuit.mask.double()), "ioi", GPT2)
    for overlap in (found.heads, found.edges):
        assert overlap is not None
        assert (overlap.precision, overlap.recall, overlap.jaccard, overlap.auroc) == (1, 1, 1, 1)
    assert found.missing == () and found.classes["S-inhibition"] == (4, 4)
    assert "name mover: 3 of 3" in str(found)


def test_numbers_against_brute_force():
    """AUROC is the share of pairs that are ordered rightly; precision and recall are of the sets."""
    known = cs.reference("greater-than")
    graph, edges = known.model.graph, set(known.edge_list)
    torch.manual_seed(0)
    scores = torch.randint(-3, 4, graph.mask.shape).double() * graph.mask
    mask = graph.mask & (scores > 2)
    found = cs.compare_with_reference(Circuit(graph, mask, scores), "greater-than", GPT2)
    inside = [abs(float(scores[graph.find_edge(edge)])) for edge in edges]
    outside = scores[graph.mask].abs().tolist()
    for value in inside:
        outside.remove(value)
    pairs = sum((a > b) + (a == b) / 2 for a in inside for b in outside) / len(inside) / len(outside)
    shared = len(edges & set(graph.edges(mask)))
    assert found.edges is not None and found.edges.auroc == pytest.approx(pairs)
    assert found.edges.precision == pytest.approx(shared / int(mask.sum()))
    assert found.edges.recall == pytest.approx(shared / len(edges))


def test_heads_by_their_strongest_edge():
    """A head that one strong edge enters is ranked first; scores alone have no precision."""
    graph = cs.reference("copy-suppression").model.graph
    scores = torch.rand(graph.mask.shape, dtype=torch.float64) * graph.mask
    for head in ("10.7", "11.10"):
        scores[0, graph.find_reader(f"{head}<k>")] = -5.0
    found = cs.compare_with_reference(Scores(graph, scores), "copy-suppression", GPT2)
    assert found.heads.auroc == 1 and math.isnan(found.heads.precision) and found.edges is None
    scores[0, 0] = torch.nan
    assert math.isnan(cs.compare_with_reference(Scores(graph, scores), "copy-suppression", GPT2).heads.auroc)


def test_other_models_are_refused():
    """Those of another shape or family, and nodes that are not whole heads."""
    circuit = published("ioi")
    wrong: list[tuple[Any, str]] = [
        (GPT2Config(n_layer=6), r"found in gpt2 .*\(6 layers of 12 heads"),
        (GPT2Config(vocab_size=100, bos_token_id=None, eos_token_id=None), "100 tokens"),
        (SimpleNamespace(**{**GPT2Config().to_dict(), "model_type": "opt", "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 768}),
         "this model is opt"),
    ]  # fmt: skip
    for config, said in wrong:
        with pytest.raises(InputError, match=said):
            cs.compare_with_reference(circuit, "ioi", SimpleNamespace(config=config))
    merged = cs.Graph(12, 12, 12, granularity=cs.Granularity(merged_heads=True))
    with pytest.raises(InputError, match="whole heads over all positions"):
        cs.compare_with_reference(Circuit(merged, merged.mask), "ioi", GPT2)
    with pytest.raises(InputError, match="did you mean 'ioi'"):
        cs.reference("ioii")


def test_a_reference_of_ones_own():
    """Published elsewhere, given as a value."""
    known = cs.reference("ioi")
    own = Reference(name="mine", behaviour="x", source="a paper", model=known.model, classes={"movers": ("9.9",)})
    found = cs.compare_with_reference(published("ioi"), own, GPT2)
    assert found.heads.recall == 1 and found.heads.n_published == 1 and found.edges is None
