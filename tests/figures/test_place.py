"""Placing: rows in order, lanes beside nodes, whichever Graphviz does it."""

from __future__ import annotations

import itertools
import sys

import pytest

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import draw, style
from circuitsearch.figures.columns import settle
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import plan
from circuitsearch.graph import Graph

# A stand-in for a system's `dot`: it answers what that would answer.
FAKE_DOT = """#!{python}
import sys, pygraphviz
sys.stdout.buffer.write(pygraphviz.AGraph(string=sys.stdin.read()).draw(format="json", prog="dot"))
"""


@pytest.mark.parametrize("n", [10, 100, 500])
@pytest.mark.parametrize("graph", [Graph(4, 8, 8), Graph(4, 8, 4), Graph(6, 8, 8, parallel=True)], ids=str)
def test_nothing_overlaps(random_circuit, graph, n):
    """Nodes of a row lie apart, strands go upward only, and run behind no node but their own ends."""
    drawn = plan(random_circuit(n, graph))
    placed = place(drawn)
    drawn = placed.plan
    for row in drawn.rows:
        across = sorted(placed.nodes[name][0] for name in row.nodes)
        assert all(right - left > style.NODE_WIDTH for left, right in itertools.pairwise(across))
    for corners in placed.strands:
        assert all(below[1] < above[1] for below, above in itertools.pairwise(corners))
        for x, y in corners[2:-2]:
            beside = [at for at, height in placed.nodes.values() if abs(height - y) <= style.ROW_HEIGHT / 2 + 0.01]
            assert all(abs(at - x) > style.NODE_WIDTH / 2 for at in beside)


def test_strands_that_pass_a_row_lie_side_by_side(random_circuit):
    """Every strong strand has a lane of its own, so that each can be followed."""
    placed = place(plan(random_circuit(100)))
    own = [corners for index, corners in enumerate(placed.strands) if index not in placed.gathered]
    lanes = sorted((y, x) for corners in own for x, y in corners[2:-2])
    gaps = [x1 - x0 for (y0, x0), (y1, x1) in itertools.pairwise(lanes) if y0 == y1]
    assert len(gaps) > 50 and min(gaps) > 2


def test_strands_join_their_own_ends(random_circuit):
    """A strand leaves its writer's top edge and enters its head's bottom edge at its port's third."""
    drawn = plan(random_circuit(100))
    placed = place(drawn)
    for strand, corners in zip(drawn.strands, placed.strands, strict=True):
        (x0, y0), (x1, y1) = placed.nodes[strand.writer], placed.nodes[strand.head]
        assert corners[0][1] == pytest.approx(y0 + drawn.height(strand.writer) / 2)
        assert corners[-1][1] == pytest.approx(y1 - drawn.height(strand.head) / 2)
        assert abs(corners[0][0] - x0) < style.NODE_WIDTH / 2
        room = style.NODE_WIDTH / (6 if strand.port in ("q", "k", "v") else 2)
        assert abs(corners[-1][0] - x1 - style.port_offset(strand.port)) < room


def test_rows_follow_the_stream():
    """From the bottom: embed, a layer's attention, its MLP, ..., logits; side by side where they run in parallel."""
    edges = [("embed", "a0.h1<v>"), ("embed", "m0<in>"), ("a0.h1", "logits"), ("m0", "m1<in>"), ("m1", "logits")]
    rows = [row.nodes for row in plan(Circuit.from_edges(Graph(2, 2, 2), edges)).rows]
    assert rows == [("embed",), ("a0.h1",), ("m0",), ("m1",), ("logits",)]
    rows = [row.nodes for row in plan(Circuit.from_edges(Graph(2, 2, 2, parallel=True), edges)).rows]
    assert rows == [("embed",), ("a0.h1", "m0"), ("m1",), ("logits",)]


def test_a_figure_too_tall_for_a_page_has_fewer_rows(random_circuit):
    """Rows are joined only where no node of one feeds one of the other, so that every strand still goes up; all nodes stay."""
    edges = [("embed", f"a{layer}.h0<v>") for layer in range(30)] + [(f"a{layer}.h0", "logits") for layer in range(30)]
    chain = [("embed", "m0<in>"), *((f"m{layer}", f"m{layer + 1}<in>") for layer in range(29)), ("m29", "logits")]
    for given, rows in ((edges, 10), (chain, 32)):
        drawn = plan(Circuit.from_edges(Graph(30, 1, 1), given))
        placed = place(drawn)
        assert len(placed.plan.rows) <= rows and placed.plan.row_of.keys() == drawn.row_of.keys()
        assert all(placed.plan.row_of[strand.writer] < placed.plan.row_of[strand.head] for strand in drawn.strands)
    small = plan(random_circuit(10))
    assert len(place(small).plan.rows) == len(small.rows)


def test_settling_is_isotonic_regression():
    """Middles keep their order and their distance, and no other such places are nearer to the targets (brute force)."""
    widths, targets = {"a": 2.0, "b": 4.0, "c": 2.0}, {"a": 5.0, "b": 4.0, "c": 6.5}
    found = settle(targets, widths, 12.0)
    grid = [place / 4 for place in range(49)]
    allowed = [
        (b, a, c) for b, a, c in itertools.product(grid, repeat=3) if b >= 2 and a - b >= 3 and c - a >= 2 and c <= 11
    ]
    best = min(allowed, key=lambda x: (x[0] - 4) ** 2 + (x[1] - 5) ** 2 + (x[2] - 6.5) ** 2)
    assert [found[name] for name in "bac"] == pytest.approx(best, abs=0.25)


def test_shared_port_feeds_the_heads_that_write():
    """An edge into a group's port is drawn to each head of the group that writes; to all of them if none does."""
    graph = Graph(2, 4, 2)
    edges = [("embed", "a1.kv1<k>"), ("embed", "a1.h3<q>"), ("a1.h3", "logits")]
    assert [s.head for s in plan(Circuit.from_edges(graph, edges)).strands] == ["a1.h3", "a1.h3", "logits"]
    dead_end = plan(Circuit.from_edges(graph, edges[:1]))
    assert [s.head for s in dead_end.strands] == ["a1.h2", "a1.h3"] and dead_end.shared


def test_system_dot_stands_in(random_circuit, tmp_path, monkeypatch):
    """Without pygraphviz the system's dot places the same figure."""
    drawn = plan(random_circuit(20))
    expected = place(drawn)
    dot = tmp_path / "dot"
    dot.write_text(FAKE_DOT.format(python=sys.executable))
    dot.chmod(0o755)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = place(drawn)
    assert {name: pytest.approx(at, abs=0.01) for name, at in found.nodes.items()} == expected.nodes


def test_no_graphviz_is_said(random_circuit, tmp_path, monkeypatch):
    """With neither, the sentence says what to install; a DOT file needs none."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="pip install"):
        draw(random_circuit(5), tmp_path / "c.svg")
    draw(random_circuit(5), tmp_path / "c.dot")
    assert [file.name for file in tmp_path.iterdir()] == ["c.dot"]
