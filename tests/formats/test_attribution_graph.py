"""Attribution graphs: ours meet the schema and every further rule of the two readers, and are read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from tests.formats.test_eap import made_up

TOKENS = ("When", " Mary", " left")
TO = cs.AttributionGraph(scan="gpt2-small", slug="ioi", tokens=TOKENS, answer=' "Mary"', probability=0.25)
GRAPHS = {
    "plain": Graph(2, 4, 4),
    "grouped": Graph(2, 4, 2),
    "positions": Graph(2, 2, 2, granularity=cs.Granularity(positions=3)),
    "mixed": Graph(2, 4, 4, blocks=("mixer>mlp", "heads+mixer>experts:4"), granularity=cs.Granularity(experts=True)),
    "merged": Graph(3, 4, 4, granularity=cs.Granularity(merged_heads=True, neurons=(1,)), blocks=("heads>mlp", "heads>neurons:3", "heads>mlp")),
}  # fmt: skip


@pytest.mark.parametrize("kind", GRAPHS)
def test_our_files_have_no_problems_and_are_read_back(tmp_path: Path, kind: str):
    """The schema and the unwritten rules hold; edges, scores and effects return."""
    circuit = made_up(GRAPHS[kind])
    circuit = Circuit(circuit.graph, circuit.mask, circuit.scores, effects=circuit.scores)
    cs.export(circuit, tmp_path / "ioi.json", to=TO)
    assert cs.attribution_problems(tmp_path / "ioi.json") == ()
    found = cs.read_circuit(tmp_path / "ioi.json", circuit.graph).circuit
    assert found.edges == circuit.edges and found.scores is not None and found.effects is not None
    for values in (found.scores, found.effects):
        assert torch.equal(values[circuit.mask], circuit.scores[circuit.mask])  # pyright: ignore[reportOptionalSubscript]


def content_of(tmp_path: Path, circuit: Circuit) -> dict[str, Any]:
    cs.export(circuit, tmp_path / "ioi.json", to=TO)
    return json.loads((tmp_path / "ioi.json").read_text())


def test_weights_are_the_scores(tmp_path: Path):
    """One link for all ports of a head; a score into a shared port is divided among the heads that it enters."""
    graph = Graph(2, 4, 2)
    edges = [("a0.h0", "a1.h2<q>"), ("a0.h0", "a1.kv1<k>"), ("a1.h2", "logits"), ("a1.h3", "logits")]
    scores = torch.zeros(graph.mask.shape, dtype=torch.float64)
    for edge, score in zip(edges, (0.5, -2.0, 1.0, 3.0), strict=True):
        scores[graph.find_edge(edge)] = score
    content = content_of(tmp_path, Circuit.from_edges(graph, edges, scores))
    names = {node["node_id"]: node["clerp"] for node in content["nodes"]}
    weights = {(names[link["source"]], names[link["target"]]): link["weight"] for link in content["links"]}
    logits = "Output \" 'Mary'\" (p=0.250)"
    assert weights == {("a0.h0", "a1.h2"): 0.5 - 1, ("a0.h0", "a1.h3"): -1, ("a1.h2", logits): 1, ("a1.h3", logits): 3}


def test_nodes_say_what_both_readers_need(tmp_path: Path):
    """Features are integers, layers texts, types need no look-up, positions index the prompt."""
    content = content_of(tmp_path, Circuit(GRAPHS["positions"], GRAPHS["positions"].mask))
    nodes = {node["node_id"]: node for node in content["nodes"]}
    assert nodes["E_embed_1"] | {"clerp": ""} == {
        "node_id": "E_embed_1", "feature": -1, "layer": "E", "ctx_idx": 1, "feature_type": "embedding", "jsNodeId": "E_-1-1",
        "clerp": "",
    }  # fmt: skip
    assert nodes["1_a1.h1_2"]["feature"] == 1 and nodes["1_m1_0"]["feature"] == -1
    assert {node["feature_type"] for node in nodes.values()} == {"embedding", "unknown", "logit"}
    assert content["metadata"]["transcoder_list"] == [] and content["metadata"]["prompt"] == "When Mary left"
    assert (tmp_path / "ioi.json").stat().st_size >= 1024


def change(key: str, **changed: Any) -> Callable[[Any], None]:
    return lambda content: (
        content[key][0].update(changed) if isinstance(content[key], list) else content[key].update(changed)
    )


def logit(content: Any) -> Any:
    return next(node for node in content["nodes"] if node["feature_type"] == "logit")


RULES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "required keys": (lambda content: content["nodes"][0].pop("clerp"), "schema is not met"),
    "types of values": (change("links", weight="1"), "schema is not met"),
    "slug": (change("metadata", slug="my graph"), "metadata.slug may only have letters"),
    "scan": (change("metadata", scan="google/gemma"), "metadata.scan may only have letters"),
    "layers above 0": (
        lambda content: content.update(nodes=[node | {"layer": "0"} for node in content["nodes"]]), "No layer found"),
    "layers are numbers": (change("nodes", layer="first"), "must be a number or 'E'"),
    "probability of the logit": (lambda content: logit(content).update(clerp="Mary"), "at which the page fails"),
    "token of the logit": (lambda content: logit(content).update(clerp="Mary (p=0.1)"), "no token in double quotes"),
    "tokens of the prompt": (change("nodes", ctx_idx=3), "there are 3 prompt_tokens"),
    "ids once": (lambda content: content["nodes"].append(content["nodes"][0]), "2 nodes have the id"),
    "ends of links": (change("links", target="9_9_9"), "which is no node"),
    "links once": (lambda content: content["links"].append(content["links"][0]), "2 links go from"),
    "the word error": (change("nodes", feature_type="an error"), "counts as an error"),
    "features looked up": (change("nodes", feature_type="head"), "will look for a feature"),
    "influence": (
        lambda content: [content["metadata"].update(node_threshold=0.5), *[node.update(influence=0.9) for node in content["nodes"]]],
        "above node_threshold"),
    "transcoder_list": (lambda content: content["metadata"].pop("transcoder_list"), "transcoder_list must be a list"),
    "integer features": (change("nodes", feature=None), "must be an integer for circuit-tracer"),
    "layers as text": (change("nodes", layer=1), "must be a text for circuit-tracer"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_checked(tmp_path: Path, rule: str):
    """A file that breaks it has that problem, and no other rule's."""
    spoil, said = RULES[rule]
    content = content_of(tmp_path, made_up(Graph(2, 2, 2)))
    spoil(content)
    (tmp_path / "ioi.json").write_text(json.dumps(content).ljust(1024))
    problems = cs.attribution_problems(tmp_path / "ioi.json")
    assert problems and any(said in problem for problem in problems)
    allowed = {"layers above 0": "E", "layers are numbers": "number"}.get(rule, said)
    assert all(said in problem or allowed in problem for problem in problems), problems


def test_size_and_name(tmp_path: Path):
    """An upload has 1,024 bytes or more, and ends in .json."""
    content = content_of(tmp_path, Circuit.from_edges(Graph(2, 1, 1), [("embed", "m1<in>"), ("m1", "logits")]))
    content["metadata"]["circuitsearch"] = content["metadata"]["info"] = {}
    (tmp_path / "ioi.txt").write_text(json.dumps(content))
    first, second = cs.attribution_problems(tmp_path / "ioi.txt")
    assert "an upload at least 1024" in first and "must end in .json" in second


def test_graphs_of_features_are_refused(tmp_path: Path):
    """Their nodes are not a model's."""
    content = content_of(tmp_path, made_up(Graph(2, 2, 2)))
    del content["metadata"]["circuitsearch"]
    content["nodes"][0].update(feature_type="cross layer transcoder", node_id="0_253_1")
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"nodes such as 0_253_1 \(cross layer transcoder\)"):
        cs.read_circuit(tmp_path / "x.json")


def test_what_cannot_be_written_is_said(tmp_path: Path):
    """No model, no tokens, nodes of spans; notes say what the graph cannot."""
    circuit = Circuit(Graph(2, 2, 2), Graph(2, 2, 2).mask)
    spans = Graph(1, 1, 1, granularity=cs.Granularity(spans=("IO",)))
    for wrong, to, said in (
        (circuit, "neuronpedia", "scan='gpt2-small'"),
        (circuit, "neuronpedia(scan='x')", "give tokens"),
        (Circuit(spans, spans.mask), TO, "named spans"),
    ):
        with pytest.raises(InputError, match=said):
            cs.export(wrong, tmp_path / "x.json", to=to)
    notes = cs.export(circuit, tmp_path / "x.json", to=TO)
    assert any("every edge has the weight 1" in note for note in notes)
