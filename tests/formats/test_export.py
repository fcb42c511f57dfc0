"""What is exported is read back by a parser of the format: the same nodes, edges, ports, scores and roles."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.formats import export
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.reachability import components
from tests.formats.readers import READERS
from tests.setups import complete_with

GRAPHS = {
    "plain": Graph(3, 4, 4),
    "grouped": Graph(3, 4, 2),
    "parallel": Graph(3, 4, 4, parallel=True),
    "spans": Graph(2, 2, 2, granularity=Granularity(spans=("IO", "S"))),
    "mixed": Graph(2, 4, 4, blocks=("mixer>mlp", "heads+mixer>experts:4")),
    "merged": Graph(3, 4, 4, granularity=Granularity(merged_heads=True, neurons=(1,))),
}


def circuit_of(graph: Graph, share: float = 0.3) -> Circuit:
    """Some edges, with scores of both signs, one of them not known."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(graph.mask.shape, generator=generator, dtype=torch.float64)
    mask = graph.mask & (torch.rand(graph.mask.shape, generator=generator) < share)
    mask[0, -1] = True
    scores[0, -1] = torch.nan
    return Circuit(graph, mask, scores)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("name", GRAPHS)
def test_everything_is_read_back(tmp_path: Path, suffix: str, name: str):
    """Names, ends, ports and scores, of heads, groups, spans, experts and mixers."""
    circuit = circuit_of(GRAPHS[name])
    export(circuit, tmp_path / f"c.{suffix}", title="A title")
    read = READERS[suffix](tmp_path / f"c.{suffix}")
    assert read.title == "A title"
    assert set(read.nodes) == {end for u, v, _ in read.links for end in (u, v)}
    ends = [(u, v, facts["port"]) for u, v, facts in read.links]
    fed = [
        (writer, component, (reader.partition("@")[0].partition("<")[2] or "logits").rstrip(">"))
        for writer, reader in circuit.edges
        for component in components(circuit.graph, reader) or [reader]
    ]
    assert set(ends) <= set(fed) and {(u, port) for u, _, port in ends} == {(u, port) for u, _, port in fed}
    assert len(set(ends)) == len(ends) or name in ("mixed",)
    if suffix == "mmd":
        return
    told = {facts["edge"]: facts.get("score") for _, _, facts in read.links}
    assert told.keys() == set(circuit.to_dict()["edges"])
    for writer, reader in circuit.edges:
        score, found = circuit.score(writer, reader), told[f"{writer}->{reader}"]
        assert found == score or (found is None and score is not None and math.isnan(score))
    assert all(f.get("weight") == (abs(f["score"]) if "score" in f else None) for _, _, f in read.links)


@pytest.mark.parametrize("suffix", ["graphml", "gexf", "cyjs"])
def test_effects_give_sign_and_weight(tmp_path: Path, suffix: str):
    """The score of the full model stands beside them."""
    graph, edges = Graph(2, 4, 4), [("embed", "m1<in>"), ("m1", "logits")]
    scores, effects = torch.ones(graph.mask.shape), torch.full(graph.mask.shape, -2.0)
    export(replace(Circuit.from_edges(graph, edges, scores), effects=effects), tmp_path / f"c.{suffix}")
    for *_, facts in READERS[suffix](tmp_path / f"c.{suffix}").links:
        assert (facts["score"], facts["effect"], facts["weight"], facts["sign"]) == (1.0, -2.0, 2.0, "opposes")


@pytest.mark.parametrize("suffix", ["graphml", "gexf", "cyjs"])
def test_edges_of_a_complete_circuit_say_what_they_do(tmp_path: Path, suffix: str):
    """One that opposes does so whatever the sign of its effect."""
    edges = [("embed", "m0<in>"), ("embed", "m1<in>"), ("m0", "m1<in>"), ("m0", "logits"), ("m1", "logits")]
    circuit = Circuit.from_edges(Graph(2, 4, 4), edges)
    known = complete_with(circuit, ("embed->m0<in>", "m0->logits"), ("embed->m1<in>", "m1->logits"), "m0->m1<in>")
    export(replace(circuit, effects=torch.ones(circuit.mask.shape), redundancy=known), tmp_path / f"c.{suffix}")
    told = {
        facts["edge"]: (facts["role"], facts["sign"]) for _, _, facts in READERS[suffix](tmp_path / f"c.{suffix}").links
    }
    assert told["m0->m1<in>"] == ("opposes", "opposes") and told["m0->logits"] == ("alternative", "supports")
    assert told["m1->logits"] == told["embed->m1<in>"] == ("backup", "supports")


@pytest.mark.parametrize("suffix", ["graphml", "gexf", "cyjs"])
def test_nodes_say_what_they_are(tmp_path: Path, suffix: str):
    """Kind, layer, head and role."""
    circuit = Circuit.from_edges(Graph(2, 4, 4), [("embed", "a1.h2<q>"), ("a1.h2", "logits"), ("m1", "logits")])
    export(circuit, tmp_path / f"c.{suffix}", roles={"L1H2": "induction, copying", "logits": "the end"})
    assert READERS[suffix](tmp_path / f"c.{suffix}").nodes == {
        "embed": {"kind": "embed"},
        "a1.h2": {"kind": "head", "layer": 1, "head": 2, "role": "induction, copying"},
        "m1": {"kind": "mlp", "layer": 1},
        "logits": {"kind": "logits", "role": "the end"},
    }


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, 5e-324])
def test_no_score_makes_a_file_that_cannot_be_read(tmp_path: Path, suffix: str, value: float):
    """What is not finite is not known, and numbers at the ends of their range are numbers; titles may hold anything."""
    graph = Graph(1, 1, 1)
    circuit = Circuit(graph, graph.mask, torch.full(graph.mask.shape, value, dtype=torch.float64))
    export(circuit, tmp_path / f"c.{suffix}", title="\ud800\x00</graph>\u2028]]>", roles={"a0.h0": "\ud800\x1b"})
    links = READERS[suffix](tmp_path / f"c.{suffix}").links
    assert len(links) == graph.n_edges
    if suffix != "mmd":
        assert {facts.get("score") for _, _, facts in links} == {value if math.isfinite(value) else None}


def test_mermaid_names_roles_and_signs(tmp_path: Path):
    """The role stands below the name, the score beside the port, and colours go by sign."""
    graph = Graph(2, 4, 4)
    scores = torch.zeros(graph.mask.shape, dtype=torch.float64)
    scores[0, graph.find_reader("a1.h2<q>")], scores[graph.find_writer("a1.h2"), -1] = 0.25, -1.5
    circuit = Circuit.from_edges(graph, [("embed", "a1.h2<q>"), ("a1.h2", "logits")], scores)
    export(circuit, tmp_path / "c.mmd", roles={"a1.h2": "induction"})
    read = READERS["mmd"](tmp_path / "c.mmd")
    assert read.nodes["a1.h2"] == {"role": "induction"}
    assert [facts["score"] for _, _, facts in read.links] == [0.25, -1.5]
    text = (tmp_path / "c.mmd").read_text()
    assert "linkStyle 0 stroke:#1b4f9c" in text and "linkStyle 1 stroke:#f08a00" in text


@pytest.mark.slow
@pytest.mark.parametrize("suffix", READERS)
def test_no_edge_one_edge_and_thousands(tmp_path: Path, suffix: str):
    """All sizes are written, but for Mermaid, which says what it takes and what to do."""
    large = Graph(6, 8, 8)
    none = torch.zeros_like(large.mask)
    one = none.clone()
    one[0, -1] = True
    for mask in (none, one):
        export(Circuit(large, mask), tmp_path / f"c.{suffix}")
        read = READERS[suffix](tmp_path / f"c.{suffix}")
        assert len(read.links) == int(mask.sum()) and len(read.nodes) == 2 * int(mask.sum())
    scores = torch.ones(large.mask.shape, dtype=torch.float64)
    if suffix == "mmd":
        with pytest.raises(InputError, match=rf"{large.n_edges:,} edges.*\.graphml"):
            export(Circuit(large, large.mask, scores), tmp_path / "all.mmd")
        assert not (tmp_path / "all.mmd").exists()
    else:
        export(Circuit(large, large.mask, scores), tmp_path / f"all.{suffix}")
        assert len(READERS[suffix](tmp_path / f"all.{suffix}").links) == large.n_edges > 3000


def test_same_bytes_in_another_process(tmp_path: Path):
    """Neither the hash seed nor the day changes a byte."""
    circuit_of(GRAPHS["plain"]).save(tmp_path / "circuit.json")
    script = (
        "import sys; from circuitsearch.circuit import Circuit; from circuitsearch.formats import export\n"
        f"for suffix in {list(READERS)}:\n"
        "    export(Circuit.load(sys.argv[1] + '/circuit.json'), sys.argv[1] + '/other.' + suffix, title='x')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment)
    for suffix in READERS:
        export(Circuit.load(tmp_path / "circuit.json"), tmp_path / f"c.{suffix}", title="x")
        assert (tmp_path / f"c.{suffix}").read_bytes() == (tmp_path / f"other.{suffix}").read_bytes(), suffix
    assert b"20" + b"26-" not in (tmp_path / "c.gexf").read_bytes()


def test_bad_input_is_said(tmp_path: Path):
    """An unknown suffix, with where such a file comes from; a role of no node."""
    circuit = circuit_of(GRAPHS["plain"])
    for name, hint in (("c.jpeg", r"\.graphml, \.gexf, \.cyjs, \.mmd"), ("c.svg", "draw"), ("c.json", "eap-ig")):
        with pytest.raises(InputError, match=hint):
            export(circuit, tmp_path / name)
    with pytest.raises(InputError, match=r"a7\.h7"):
        export(circuit, tmp_path / "c.gexf", roles={"a7.h7": "x"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "code",
    [
        "circuitsearch.Circuit.load(sys.argv[1])",
        "[circuitsearch.export(circuit, f'{sys.argv[2]}/c.{name}', roles={'0.1': 'x'}) for name in ('graphml', 'gexf', 'cyjs', 'mmd')]",
    ],
    ids=("read", "convert"),
)
def test_no_drawing_library_is_loaded(code: str, tmp_path: Path):
    """Another tool's circuit is read and converted without anything that draws."""
    place = tmp_path / "foreign.json"
    Circuit.from_edges(Graph(2, 2, 2), [("input", "blocks.1.hook_q_input[:, :, 1]"), ("L1H1", "output")]).save(place)
    start = "import sys, circuitsearch; circuit = circuitsearch.Circuit.load(sys.argv[1])"
    command = [sys.executable, "-c", f"{start}\n{code}\nprint(*sys.modules)", str(place), str(tmp_path)]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "circuitsearch.circuit" in loaded
    assert not loaded & {"matplotlib", "graphviz", "circuitsearch.figures"}
