"""The diagram: what is in the file, whatever the caption, the machine's settings and the circuit's size."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
import torch

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import draw
from circuitsearch.figures.plan import plan
from circuitsearch.graph import Graph
from tests.setups import complete_with

FORMATS = ("svg", "pdf", "png", "dot")
NASTY = 'a <b>&"\\ ]]> --> $x_1$ \\N {q|k} Ελληνικά 😀 שלום \x00\x1b\ud800 <i>end</i>'


def parse(path: Path) -> ElementTree.Element:
    return ElementTree.fromstring(path.read_bytes())


def texts(path: Path) -> str:
    return " ".join("".join(node.itertext()) for node in parse(path).iter("{http://www.w3.org/2000/svg}text"))


def ids(path: Path) -> list[str]:
    return [node.attrib["id"] for node in parse(path).iter() if "id" in node.attrib]


@pytest.mark.parametrize("n", [8, 60, 500])
def test_every_node_and_edge_is_drawn(random_circuit, tmp_path, n):
    """An SVG holds each edge of a small, a middling and a crowded circuit once, and each node with its name."""
    circuit = random_circuit(n)
    draw(circuit, tmp_path / "c.svg")
    drawn = ids(tmp_path / "c.svg")
    assert sorted(name for name in drawn if "->" in name) == sorted(f"{u}->{v}" for u, v in circuit.edges)
    assert set(circuit.nodes) <= set(drawn)
    assert set(circuit.nodes) <= set(texts(tmp_path / "c.svg").split())


def test_edges_that_others_can_replace_are_hollow(random_circuit, tmp_path):
    """And an edge that opposes in a complete circuit is orange, whatever the sign of its effect."""
    circuit = random_circuit(6)
    first, second, third, *others = (f"{u}->{v}" for u, v in circuit.edges)
    known = complete_with(circuit, (first, third, *others), (second, third, *others), opposing=third)
    complete = replace(circuit, scores=torch.ones(circuit.mask.shape), redundancy=known)
    strands = {f"{strand.writer}->{strand.reader}": strand for strand in plan(complete).strands}
    assert {name for name, strand in strands.items() if strand.replaceable} == {first, second}
    assert {name for name, strand in strands.items() if strand.says == "opposes"} == {third}
    for suffix in FORMATS:
        draw(complete, tmp_path / f"c.{suffix}")
    assert "others can take its place" in texts(tmp_path / "c.svg")
    assert (tmp_path / "c.dot").read_text().count(":invis:") == 2


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_circuit_same_bytes(random_circuit, tmp_path, suffix, monkeypatch):
    """Neither a second drawing, nor the clock, nor the caller's Matplotlib settings change a byte."""
    circuit = random_circuit(40)
    draw(circuit, tmp_path / f"one.{suffix}", caption="the same")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "red", "svg.fonttype": "path", "savefig.dpi": 10}):
        draw(circuit, tmp_path / f"two.{suffix}", caption="the same")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


@pytest.mark.slow
def test_same_bytes_in_another_process(random_circuit, tmp_path):
    """A fresh process with another hash seed, locale and time zone writes the same four files."""
    circuit = random_circuit(30)
    circuit.save(tmp_path / "circuit.json")
    script = (
        "import sys; from circuitsearch.circuit import Circuit; from circuitsearch.figures import draw\n"
        "for suffix in ('svg', 'pdf', 'png', 'dot'):\n"
        "    draw(Circuit.load(sys.argv[1] + '/circuit.json'), sys.argv[1] + '/other.' + suffix)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment)
    for suffix in FORMATS:
        draw(circuit, tmp_path / f"c.{suffix}")
        assert (tmp_path / f"c.{suffix}").read_bytes() == (tmp_path / f"other.{suffix}").read_bytes(), suffix


def test_another_score_gives_other_bytes(random_circuit, tmp_path):
    """The file does depend on the scores."""
    circuit = random_circuit(20)
    assert circuit.scores is not None
    draw(circuit, tmp_path / "one.svg")
    draw(Circuit(circuit.graph, circuit.mask, -circuit.scores), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() != (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_any_caption_is_drawn(random_circuit, tmp_path, suffix):
    """Markup, quotes, backslashes, formulas, other scripts and what no format can hold break no format."""
    draw(random_circuit(10), tmp_path / f"c.{suffix}", caption=NASTY)
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG", "dot": b"digraph"}
    assert (tmp_path / f"c.{suffix}").read_bytes().startswith(starts[suffix])


def test_caption_stands_in_svg_as_text(random_circuit, tmp_path):
    """The caption is in the SVG letter for letter, but for characters that XML cannot hold."""
    draw(random_circuit(10), tmp_path / "c.svg", caption=NASTY)
    expected = NASTY.replace("\x00\x1b\ud800", "\ufffd\ufffd\ufffd")
    assert expected in texts(tmp_path / "c.svg")
    assert not [node for node in parse(tmp_path / "c.svg").iter() if node.tag.endswith("}b")]


def test_caption_stands_in_dot_as_text(random_circuit, tmp_path):
    """Graphviz reads the DOT file and finds the caption as a plain label, and every edge with its style."""
    pygraphviz = pytest.importorskip("pygraphviz")
    circuit = random_circuit(10)
    for caption in ('<b>&"\\ \\N', "<<TABLE>>"):
        draw(circuit, tmp_path / "c.dot", caption=caption)
        graph = pygraphviz.AGraph(str(tmp_path / "c.dot"))
        assert graph.graph_attr["label"].endswith(caption.replace("\\", "\\\\") + "\\l")
        assert sum(edge.attr["style"] != "invis" for edge in graph.edges()) == len(circuit)


def test_effects_in_the_circuit_are_drawn_instead_of_scores(random_circuit, tmp_path):
    """With their signs and widths; the legend says so."""
    circuit = random_circuit(20)
    turned = replace(circuit, effects=-2 * circuit.scores)
    signs = [
        {strand.says for strand in plan(each).strands if (strand.strength or 0) != 0} for each in (circuit, turned)
    ]
    ours, theirs = ([strand.strength for strand in plan(each).strands] for each in (circuit, turned))
    assert theirs == [-2 * (value or 0.0) for value in ours] and signs[0] == signs[1] == {"supports", "opposes"}
    draw(turned, tmp_path / "effects.svg")
    assert "|effect|" in texts(tmp_path / "effects.svg") and "|score|" not in texts(tmp_path / "effects.svg")


def test_without_scores_all_is_grey(random_circuit, tmp_path):
    """A circuit without scores, or with NaN for them, is drawn in one grey, and the legend claims no sign."""
    circuit = random_circuit(20)
    draw(Circuit(circuit.graph, circuit.mask), tmp_path / "none.svg")
    draw(Circuit(circuit.graph, circuit.mask, torch.full(circuit.mask.shape, torch.nan)), tmp_path / "nan.svg")
    assert (tmp_path / "none.svg").read_bytes() == (tmp_path / "nan.svg").read_bytes()
    assert "no score" in texts(tmp_path / "none.svg") and "supports" not in texts(tmp_path / "none.svg")


def test_highlight_takes_any_spelling(tmp_path):
    """A node may be named as in other tools; one that the circuit lacks is refused by name."""
    circuit = Circuit.from_edges(Graph(2, 4, 4), [("embed", "a1.h2<q>"), ("a1.h2", "logits")])
    draw(circuit, tmp_path / "plain.svg")
    draw(circuit, tmp_path / "thick.svg", highlight=["L1H2"])
    assert (tmp_path / "plain.svg").read_bytes() != (tmp_path / "thick.svg").read_bytes()
    with pytest.raises(InputError, match=r"a0\.h0"):
        draw(circuit, tmp_path / "none.svg", highlight=["a0.h0"])


def test_bad_input_is_one_sentence_and_no_file(random_circuit, tmp_path):
    """An empty circuit, an unknown suffix and a missing folder are said, and nothing is left behind."""
    graph = Graph(2, 4, 4)
    with pytest.raises(InputError, match="nothing to draw"):
        draw(Circuit(graph, torch.zeros_like(graph.mask)), tmp_path / "c.svg")
    with pytest.raises(InputError, match=r"\.svg, \.pdf, \.png, \.tex, \.dot"):
        draw(random_circuit(5), tmp_path / "c.jpeg")
    with pytest.raises(OSError, match="missing"):
        draw(random_circuit(5), tmp_path / "missing" / "c.svg")
    assert not list(tmp_path.iterdir())


def test_planning_passes_over_the_edges_a_fixed_number_of_times(monkeypatch: pytest.MonkeyPatch):
    """Each edge is laid out without looking at all others again, so that time grows with the edges, not their square."""

    class Counted(list[tuple[str, str]]):
        passes = 0

        def __iter__(self):
            Counted.passes += 1
            return super().__iter__()

    graph = Graph(3, 4, 4)
    edges = Counted(graph.edges(graph.mask))
    monkeypatch.setattr(Circuit, "edges", edges)
    assert len(plan(Circuit(graph, graph.mask)).strands) == graph.n_edges
    assert 1 <= Counted.passes <= 3
