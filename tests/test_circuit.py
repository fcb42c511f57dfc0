"""Circuits and their file."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from circuitsearch.circuit import Certificate, Circuit
from circuitsearch.errors import InputError
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph

EDGES = [("embed", "a0.kv0<v>"), ("a0.h1", "m1<in>"), ("m1", "logits")]


@pytest.fixture
def circuit() -> Circuit:
    """Three edges of a grouped graph, scored and certified."""
    graph = Graph(2, 4, 2)
    scores = torch.arange(graph.mask.numel(), dtype=torch.float64).view(graph.mask.shape) / 7
    certificate = Certificate(0.9, 0.95, {f"{w}->{r}": 0.5 for w, r in EDGES})
    return Circuit(graph, graph.edge_mask(EDGES), scores, certificate)


@pytest.mark.parametrize(
    ("without", "said"),
    [((0.5, 0.8), "is below 0.900"), ((0.5, 1.3), "is below 0.900 or above 1.100"), ((0.5,), "one of its edges was")],
)
def test_a_certificate_says_what_is_lost(without: tuple[float, ...], said: str):
    """In words: how many edges were tried, and that the circuit misses the target without any of them."""
    certificate = Certificate(0.9, 0.95, {f"a0.h{head}->logits": value for head, value in enumerate(without)})
    assert said in certificate.describe(2)


def test_names_and_nodes(circuit):
    """Edges and the components that they touch, in the stream's order."""
    assert circuit.edges == EDGES and len(circuit) == 3
    assert circuit.nodes == ["embed", "a0.h0", "a0.h1", "m1", "logits"]
    assert ("0.1", "m1") in circuit and ("embed", "logits") not in circuit


def test_a_circuit_survives_a_file(circuit, tmp_path):
    """Edges, their scores and the certificate come back."""
    circuit.save(tmp_path / "circuit.json")
    again = Circuit.load(tmp_path / "circuit.json")
    assert again.to_dict() == circuit.to_dict() and torch.equal(again.mask, circuit.mask)


def test_effects_in_the_circuit_survive_a_file_and_come_before_scores(circuit, tmp_path):
    """They are what figures and tables show of an edge; its score stays beside them."""
    effects = torch.full(circuit.mask.shape, torch.nan, dtype=torch.float64)
    effects[circuit.mask] = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
    replace(circuit, effects=effects).save(tmp_path / "circuit.json")
    again = Circuit.load(tmp_path / "circuit.json")
    assert again.effects is not None and again.to_dict()["effects"] == effects.T[circuit.mask.T].tolist()
    for edge in EDGES:
        assert again.strength(*edge) == again.effect(*edge) == float(effects[circuit.graph.find_edge(edge)])
        assert again.score(*edge) == circuit.strength(*edge) and circuit.effect(*edge) is None
    assert again.effect(*again.strongest(1).edges[0]) == -2.0


def test_the_file_is_plain_json(circuit, tmp_path, monkeypatch):
    """It is what the json library writes, however many edges are written at a time."""
    monkeypatch.setattr("circuitsearch.files._AT_ONCE", 2)
    for each in (circuit, Circuit(circuit.graph, torch.zeros_like(circuit.mask))):
        each.save(tmp_path / "circuit.json")
        assert (tmp_path / "circuit.json").read_text() == json.dumps(each.to_dict(), indent=1) + "\n"


def test_edges_by_any_name_find_their_places(circuit):
    """Names are looked up at once where they are canonical, and translated where they are not."""
    graph = circuit.graph
    assert graph.places(EDGES).tolist() == [list(graph.find_edge(edge)) for edge in EDGES]
    assert graph.places([("0.1", "MLP 1")]).tolist() == graph.places([("a0.h1", "m1<in>")]).tolist()
    assert graph.places([]).shape == (0, 2)
    with pytest.raises(InputError, match="m1->m0<in> is not an edge"):
        graph.places([("m1", "m0<in>")])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"graph": {}, "edges": ["x->y"]}'])
def test_a_file_that_holds_no_circuit_is_refused(content, tmp_path):
    """A broken file is named in one sentence."""
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(InputError, match=r"c\.json is not a circuit"):
        Circuit.load(tmp_path / "c.json")


def test_an_unknown_score_is_null_and_comes_back_as_nan(circuit, tmp_path):
    """The file is JSON that every program reads."""
    circuit.scores[circuit.graph.find_edge(EDGES[1])] = torch.nan
    circuit.save(tmp_path / "c.json")
    scores = json.loads((tmp_path / "c.json").read_text(), parse_constant=pytest.fail)["scores"]
    assert scores[1] is None and scores[0] is not None
    again = Circuit.load(tmp_path / "c.json").score(*EDGES[1])
    assert again is not None and math.isnan(again)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_edges": 4}, "holds 3 edges"),
        ({"n_edges_total": 7}, "n_edges_total is 7"),
        ({"scores": [1.0]}, "1 scores for 3 edges"),
        ({"effects": [1.0]}, "1 effects for 3 edges"),
        ({"scores": ["1", "2", "3"]}, "'scores.0'"),
        ({"edges": ["embed->logits"] * 3}, "named twice"),
        ({"edges": ["embed>logits"] * 3}, "not an edge"),
        ({"edges": ["logits->embed"] * 3}, "unknown writer 'logits'"),
        ({"edge": []}, "'edge'"),
        ({"certificate": {"target": 1}}, "'certificate.faithfulness' is missing"),
        ({"graph": {"n_layers": 2, "n_heads": 4}}, "'graph.n_kv_heads' is missing"),
    ],
)
def test_what_does_not_go_together_is_refused(circuit, tmp_path, change, words):
    """Each count and each list is compared with the others, and the file is named."""
    (tmp_path / "c.json").write_text(json.dumps(circuit.to_dict() | change))
    with pytest.raises(InputError, match=r"c\.json is not a circuit") as caught:
        Circuit.load(tmp_path / "c.json")
    assert words in str(caught.value)


def test_pruning_gives_a_new_circuit(circuit):
    """An edge that leads nowhere goes from the copy, not from the original."""
    longer = Circuit(circuit.graph, circuit.mask | circuit.graph.edge_mask([("embed", "a1.h0<q>")]), circuit.scores)
    assert len(longer.pruned()) == 3 and len(longer) == 4


def test_a_span_in_which_a_head_writes_nothing_is_no_node():
    """A value feeds its head in every span, but only where the head writes is it a part of the circuit."""
    graph = Graph(1, 2, 2, granularity=Granularity(spans=("S", "END")))
    edges = [("embed@S", "a0.h1<v>@S"), ("a0.h1@END", "logits")]
    assert Circuit.from_edges(graph, edges).nodes == ["embed@S", "a0.h1@END", "logits"]


def test_the_strongest_edges():
    """By |score|, of equal ones the earlier; edges without a score come last, and more than there are is all."""
    graph = Graph(2, 2, 2)
    edges = [("embed", "a0.h0<q>"), ("a0.h0", "logits"), ("embed", "m0<in>"), ("m0", "logits")]
    scores = torch.full(graph.mask.shape, torch.nan, dtype=torch.float64)
    for edge, value in zip(edges, (0.5, -2.0, 0.5), strict=False):
        scores[graph.find_edge(edge)] = value
    circuit = Circuit.from_edges(graph, edges, scores)
    assert circuit.strongest(1).edges == [edges[1]]
    assert set(circuit.strongest(2).edges) == {edges[1], edges[0]}
    assert set(circuit.strongest(3).edges) == set(edges[:3])
    assert set(circuit.strongest(9).edges) == set(edges)
    assert Circuit(graph, circuit.mask).strongest(2).edges == circuit.edges[:2]
    with pytest.raises(InputError, match="1 or more"):
        circuit.strongest(0)
