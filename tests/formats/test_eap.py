"""EAP-IG's graphs: what is written is read back unchanged, every layout is read, and bad files are refused in a sentence."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.engine.verify import verified
from circuitsearch.errors import InputError
from circuitsearch.formats.query_heads import columns_of, fold, query_head_graph, share
from circuitsearch.graph import Graph
from tests.conftest import tiny_model

SHAPES = {
    "own keys": Graph(3, 4, 4),
    "two a group": Graph(3, 4, 2),
    "three a group": Graph(3, 9, 3),
    "seven a group": Graph(2, 14, 2),
    "parallel": Graph(3, 4, 4, parallel=True),
    "query heads": Graph(2, 4, 2, granularity=cs.Granularity(query_heads=True)),
}


def made_up(graph: Graph, seed: int = 0) -> Circuit:
    """A fifth of the edges, and a score for every edge."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(graph.mask.shape, generator=generator, dtype=torch.float64) * graph.mask
    return Circuit(graph, graph.mask & (torch.rand(graph.mask.shape, generator=generator) < 0.2), scores)


def written(circuit: Circuit, path: Path) -> Path:
    cs.export(circuit, path, to=cs.EAPGraph(d_model=8))
    return path


def check_round_trip(circuit: Circuit, path: Path, model: Any) -> None:
    found = cs.read_circuit(written(circuit, path), model, sign=cs.Sign.SUPPORTS)
    assert found.circuit.edges == circuit.edges and found.graph == circuit.graph
    assert found.scores is not None and circuit.scores is not None
    assert torch.equal(found.scores.values, circuit.scores)


@pytest.mark.parametrize("suffix", ["json", "pt"])
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip(tmp_path: Path, shape: str, suffix: str):
    """Edges and scores are identical, to the last bit, whatever the size of the groups that share keys and values."""
    check_round_trip(made_up(SHAPES[shape]), tmp_path / f"x.{suffix}", SHAPES[shape])


@pytest.mark.parametrize("family", ["gpt2", "llama-grouped", "qwen3", "gpt_neox-parallel", "gemma2", "olmo2"])
def test_round_trip_of_tiny_models(tmp_path: Path, family: str):
    """The graph is that of a model, which is given in place of a graph."""
    model = tiny_model(family)
    check_round_trip(made_up(verified(model).graph), tmp_path / "x.json", model)


def test_pico_is_read_back_as_it_was_found(tmp_path: Path):
    """Scores of a method on the bundled model."""
    model, tokenizer = cs.load("pico")
    circuit = cs.top(cs.score(model, cs.tasks.induction(tokenizer, n=4), "eap"), 30)
    check_round_trip(circuit, tmp_path / "x.pt", model)


def test_shares_sum_to_the_group(tmp_path: Path):
    """In their file a group's score is divided equally, and its edge is there for each head, or for none."""
    graph, circuit = SHAPES["two a group"], made_up(SHAPES["two a group"])
    content = json.loads(written(circuit, tmp_path / "x.json").read_text())
    both = [content["edges"][f"input->a1.h{head}<k>"] for head in (2, 3)]
    whole = cs.Scores(graph, circuit.scores)["embed", "a1.kv1<k>"]  # pyright: ignore[reportArgumentType]
    assert math.isclose(both[0]["score"], whole / 2) and math.isclose(sum(each["score"] for each in both), whole)
    assert {each["in_graph"] for each in both} == {("embed", "a1.kv1<k>") in circuit}
    assert len(content["edges"]) == query_head_graph(graph, "file").n_edges


@pytest.mark.parametrize("group", range(1, 17))
def test_fold_undoes_share(group: int):
    """For every size of group, and numbers of all magnitudes."""
    ours = Graph(1, 2 * group, 2)
    columns = columns_of(query_head_graph(ours, "file"), ours)
    scores = torch.randn(200, len(ours.readers), dtype=torch.float64).mul(20).exp()
    assert torch.equal(fold(share(scores, columns), columns), scores)


def test_a_group_is_in_the_circuit_where_one_head_is(tmp_path: Path):
    """Their circuit may have an edge for one head of a group alone, and the notes say so."""
    theirs = Circuit.from_edges(Graph(2, 4, 4), [("embed", "a1.h2<k>"), ("embed", "a0.h0<q>")])
    found = cs.read_circuit(written(theirs, tmp_path / "x.pt"), Graph(2, 4, 2))
    assert found.circuit.edges == [("embed", "a0.h0<q>"), ("embed", "a1.kv1<k>")]
    assert found.notes[0].startswith("1 edges into keys and values are in the circuit because some heads")


def test_signs_are_asked_for_and_stated(tmp_path: Path):
    """Without a sign nothing is read; with the other one every score is turned, and the notes say what was assumed."""
    circuit = made_up(Graph(2, 2, 2))
    path = written(circuit, tmp_path / "x.json")
    with pytest.raises(InputError, match=r"does not say what its signs mean.*--sign"):
        cs.read_circuit(path)
    found = cs.read_circuit(path, sign="opposes")
    assert found.scores is not None and circuit.scores is not None
    assert torch.equal(found.scores.values, -circuit.scores)
    assert found.notes == ("positive scores of the file were taken to oppose the behaviour",)
    with pytest.raises(InputError, match="supports or opposes"):
        cs.read_circuit(path, sign="positive")


def test_a_circuit_without_scores_needs_no_sign(tmp_path: Path):
    """And is read back without scores."""
    circuit = Circuit(Graph(2, 2, 2), made_up(Graph(2, 2, 2)).mask)
    for suffix in ("json", "pt"):
        found = cs.read_circuit(written(circuit, tmp_path / f"x.{suffix}"))
        assert found.circuit.edges == circuit.edges and found.scores is None


def test_scores_alone_are_no_circuit(tmp_path: Path):
    """What MIB calls importances: the circuit is refused with what to do, the scores rank the edges."""
    scored = made_up(Graph(2, 2, 2))
    path = written(Circuit(scored.graph, torch.zeros_like(scored.mask), scored.scores), tmp_path / "x.pt")
    found = cs.read_circuit(path, sign="supports")
    with pytest.raises(InputError, match="--edges N"):
        _ = found.circuit
    assert found.scores is not None and len(cs.top(found.scores, 10)) <= 10


def layouts() -> dict[str, Any]:
    """A file in each layout that was met, of the same circuit."""
    cfg = {"n_layers": 1, "n_heads": 1, "parallel_attn_mlp": False}
    edges = {"input->a0.h0<q>": {"score": 0.5, "in_graph": True}, "a0.h0->logits": {"score": -1.0, "in_graph": True}}
    new = {name: {"in_graph": True} for name in ("input", "a0.h0", "logits")} | {"m0": {"in_graph": False}}
    old = {name: node["in_graph"] for name, node in new.items()}
    scored = {
        name: node | {"score": math.nan, "neurons": [True], "neurons_scores": [0.1]} for name, node in new.items()
    }
    return {
        "newest": {"cfg": cfg | {"d_model": 8}, "nodes": new, "edges": edges},
        "nodes true or false": {"cfg": cfg, "nodes": old, "edges": edges},
        "neurons beside": {"cfg": cfg, "nodes": old, "edges": edges, "neurons": {"a0.h0": [True]}, "neuron_scores": {}},
        "scored nodes": {"cfg": cfg | {"n_ctx": 3}, "nodes": scored, "edges": edges},
    }  # fmt: skip


@pytest.mark.parametrize("layout", layouts())
def test_every_layout_is_read(tmp_path: Path, layout: str):
    """NaN stands in them for nodes that are always kept."""
    (tmp_path / "x.json").write_text(json.dumps(layouts()[layout]))
    found = cs.read_circuit(tmp_path / "x.json", sign="supports")
    assert found.circuit.edges == [("embed", "a0.h0<q>"), ("a0.h0", "logits")]
    assert found.circuit.score("a0.h0", "logits") == -1.0


def test_nodes_without_edges(tmp_path: Path):
    """Of a circuit of nodes, all edges between them are kept."""
    content = layouts()["scored nodes"] | {"edges": {}}
    (tmp_path / "x.json").write_text(json.dumps(content))
    found = cs.read_circuit(tmp_path / "x.json")
    ports = [("embed", f"a0.h0<{port}>") for port in "qkv"]
    assert found.circuit.edges == [*ports, ("embed", "logits"), ("a0.h0", "logits")]
    assert any("all edges between them" in note for note in found.notes)
    assert any("neurons are left out" in note for note in found.notes)


@pytest.mark.parametrize("suffix", ["json", "pt"])
def test_another_model_is_refused(tmp_path: Path, suffix: str):
    """With both shapes, and the first three edges that the model lacks."""
    path = written(made_up(Graph(2, 4, 4)), tmp_path / f"x.{suffix}")
    with pytest.raises(
        InputError,
        match=r"2 layers of 4 heads, and yours has 2 layers of 2 heads; the model lacks .*->.*, .*->.*, .*->",
    ):
        cs.read_circuit(path, Graph(2, 2, 2), sign="supports")
    with pytest.raises(InputError, match="yours has 2 layers of 4 heads, attention and MLP in parallel"):
        cs.read_circuit(path, Graph(2, 4, 4, parallel=True), sign="supports")


class Shout:
    """A pickle of it writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_a_pickle_that_would_run_code_is_never_loaded(tmp_path: Path, save: str):
    """It is refused by what it would call."""
    path, mark = tmp_path / "x.pt", tmp_path / "ran"
    content = {"cfg": {}, "src_nodes": Shout(mark)}
    torch.save(content, path) if save == "torch" else path.write_bytes(pickle.dumps(content))
    with pytest.raises(
        InputError, match="would run code .*was not loaded" if save == "torch" else "bare pickle.*was not loaded"
    ):
        cs.read_circuit(path)
    assert not mark.exists()


def spoiled(**changed: Any) -> dict[str, Any]:
    content = layouts()["newest"]
    return content | {name: {**content[name], **value} for name, value in changed.items()}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (spoiled(edges={"a0.h0->m0": {"score": math.nan, "in_graph": True}}), "the score of a0.h0->m0 is nan"),
        (spoiled(edges={"a0.h0->m0": {"score": math.inf}}), "the score of a0.h0->m0 is inf"),
        (spoiled(edges={"a0.h9->m0": {"score": 1.0}}), "no edge a0.h9->m0"),
        (spoiled(edges={"m0->a0.h0<q>": {"score": 1.0}}), "no edge m0->a0.h0<q>"),
        (spoiled(edges={"a0.h0": {"score": 1.0}}), "is not an edge"),
        (spoiled(cfg={"n_layers": -1}), "cfg.n_layers"),
        (spoiled(cfg={"n_layers": 9_999, "n_heads": 9_999}), "too large to be read without its model"),
        (spoiled(cfg={"n_layers": 10**12}), "cfg.n_layers"),
        (spoiled(cfg={"d_model": 0}), "cfg.d_model"),
        (spoiled(cfg={"n_heads": 1.5}), "cfg.n_heads"),
        ({"cfg": {}, "nodes": {}}, "missing"),
    ],
)  # fmt: skip
def test_bad_json_is_one_sentence(tmp_path: Path, content: Any, said: str):
    """Numbers that are none, sizes that are absurd, edges that are not there."""
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        cs.read_circuit(tmp_path / "x.json", sign="supports")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("edges_scores", torch.zeros(3, 3), r"edges_scores must be \[5, 9\]"),
        ("edges_scores", torch.full((5, 9), math.nan), "is nan"),
        ("edges_scores", torch.zeros(1).expand(5, 1 << 40), "edges_scores must be"),
        ("edges_in_graph", None, "edges_in_graph"),
        ("src_nodes", ["input"], "src_nodes are not those of"),
        ("dst_nodes", "logits", "dst_nodes"),
        ("cfg", {"n_layers": -3, "n_heads": 1}, "n_layers"),
    ],
)
def test_bad_tensors_are_one_sentence(tmp_path: Path, name: str, value: Any, said: str):
    """Wrong shapes, numbers that are none, names that are not the graph's."""
    path = written(made_up(Graph(2, 1, 1)), tmp_path / "x.pt")
    content = torch.load(path, weights_only=True)
    torch.save(content | {name: value}, path)
    with pytest.raises(InputError, match=said):
        cs.read_circuit(path, sign="supports")


def test_cells_that_are_no_edge_may_hold_anything(tmp_path: Path):
    """EAP-IG leaves -inf in them."""
    circuit = made_up(Graph(2, 2, 2))
    path = written(circuit, tmp_path / "x.pt")
    content = torch.load(path, weights_only=True)
    content["edges_scores"][~circuit.graph.mask] = -math.inf
    torch.save(content, path)
    found = cs.read_circuit(path, sign="supports")
    assert found.scores is not None and circuit.scores is not None and torch.equal(found.scores.values, circuit.scores)


def test_what_cannot_be_written_is_said(tmp_path: Path):
    """A width that is missing, nodes that EAP-IG's graphs do not have."""
    with pytest.raises(InputError, match="d_model=768"):
        cs.export(made_up(Graph(1, 1, 1)), tmp_path / "x.pt", to="eap-ig")
    mixed = Graph(1, 2, 2, blocks=("mixer>mlp",))
    merged = Graph(1, 2, 2, granularity=cs.Granularity(merged_heads=True))
    for graph, said in ((mixed, "mixer>mlp"), (merged, "merged_heads")):
        with pytest.raises(InputError, match=said):
            written(made_up(graph), tmp_path / "x.json")
    assert not list(tmp_path.iterdir())
