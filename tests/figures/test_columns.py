"""Circuits of token positions, and graphs whose nodes are not only heads and MLPs."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import draw, style
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import plan
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph

SPANS = Granularity(spans=("S", "END"))
EDGES = [
    ("embed@S", "m0<in>@S"),
    ("m0@S", "a1.h2<v>@S"),
    ("embed@END", "a1.h2<q>@END"),
    ("a1.h2@END", "m1<in>@END"),
    ("m1@END", "logits"),
    ("m0@S", "logits"),
]


@pytest.fixture
def circuit() -> Circuit:
    """A head at the end that reads a value at S."""
    return Circuit.from_edges(Graph(2, 4, 4, granularity=SPANS), EDGES)


def test_nodes_stand_in_their_columns(circuit):
    """From left to right as the spans are named; a head stands where it reads values, too, at the same height."""
    placed = place(plan(circuit))
    (first, left, middle), (second, start, right) = placed.columns
    assert (first, second) == ("S", "END") and left < middle < start < right
    for name, (x, _) in placed.nodes.items():
        assert (left <= x <= middle) if name.endswith("@S") else (start <= x <= right), name
    assert placed.nodes["a1.h2@S"][1] == placed.nodes["a1.h2@END"][1]


def test_edges_stay_in_their_columns(circuit):
    """The stream carries nothing from one position to another."""
    placed = place(plan(circuit))
    ends = {name: (left, right) for name, left, right in placed.columns}
    for strand, corners in zip(placed.plan.strands, placed.strands, strict=True):
        left, right = ends[strand.writer.partition("@")[2]]
        assert all(left <= x <= right for x, _ in corners)


def test_arrows_go_from_what_is_read_to_where_it_is_written(circuit):
    """Between columns, where the circuit has both ends; they come down on the head from above its row."""
    placed = place(plan(circuit))
    assert placed.plan.arrows == (("a1.h2@S", "a1.h2@END"),)
    (corners,) = placed.arrows
    (x0, y0), *channel, (x1, y1) = corners
    assert abs(x0 - placed.nodes["a1.h2@S"][0]) < style.NODE_WIDTH / 2 > abs(x1 - placed.nodes["a1.h2@END"][0])
    assert y0 == y1 < min(y for _, y in channel) <= placed.lines[placed.plan.row_of["a1.h2@S"]].top


def test_heads_of_columns_and_names_without_spans_are_drawn(circuit, tmp_path):
    """Spans are heads of columns, nodes bear their name alone; the logits are one bar over the columns."""
    draw(circuit, tmp_path / "c.svg", roles={"a1.h2": "mover", "m0@S": "gate"})
    svg = ElementTree.fromstring((tmp_path / "c.svg").read_bytes())
    words = ["".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"S", "END", "embed", "m0"} <= set(words) and words.count("a1.h2") == 2 and words.count("logits") == 1
    assert {f"{u}->{v}" for u, v in circuit.edges} <= {node.attrib.get("id") for node in svg.iter()}


def test_groups_read_keys_in_nodes_of_their_own():
    """Where heads share keys, the group's node stands in the column that is read, with an arrow to each head."""
    graph = Graph(1, 4, 2, granularity=SPANS)
    edges = [("embed@S", "a0.kv1<k>@S"), ("a0.h2@END", "logits"), ("a0.h3@END", "logits")]
    placed = place(plan(Circuit.from_edges(graph, edges)))
    assert placed.plan.arrows == (("a0.kv1@S", "a0.h2@END"), ("a0.kv1@S", "a0.h3@END"))


def test_too_many_columns_are_refused(tmp_path):
    """The sentence says how many a page holds, and what width would do; that width does."""
    graph = Graph(1, 2, 2, granularity=Granularity(positions=16))
    edges = [(f"embed@t{place}", f"a0.h1<v>@t{place}") for place in range(16)]
    circuit = Circuit.from_edges(graph, [*edges, ("a0.h1@t15", "logits")])
    with pytest.raises(InputError, match=r"16 columns .* a width of \d+ inches") as refused:
        draw(circuit, tmp_path / "c.svg")
    width = float(str(refused.value).partition("a width of ")[2].partition(" ")[0])
    draw(circuit, tmp_path / "c.svg", width=width)


@pytest.mark.parametrize(
    ("graph", "edges", "rows"),
    [
        (
            Graph(1, 4, 4, granularity=Granularity(merged_heads=True)),
            [("embed", "a0<q>"), ("a0", "m0<in>"), ("m0", "logits")],
            [("embed",), ("a0",), ("m0",), ("logits",)],
        ),
        (
            Graph(2, 2, 2, blocks=("mixer", "heads+mixer>mlp")),
            [("embed", "s0<in>"), ("s0", "a1.h0<v>"), ("s0", "s1<in>"), ("s1", "logits"), ("a1.h0", "m1<in>")],
            [("embed",), ("s0",), ("a1.h0", "s1"), ("m1",), ("logits",)],
        ),
        (
            Graph(1, 2, 2, blocks=("heads>neurons:300",)),
            [("embed", "m0<in>"), ("m0.n17", "logits"), ("m0.n171", "logits")],
            [("embed",), ("m0.n17", "m0.n171"), ("logits",)],
        ),
        (
            Graph(1, 2, 2, blocks=("heads>experts:4",)),
            [("embed", "m0.router<in>"), ("embed", "m0.e3<in>"), ("m0.e3", "logits"), ("m0.e1", "logits")],
            [("embed",), ("m0.e1", "m0.e3"), ("logits",)],
        ),
    ],
    ids=["merged heads", "mixers", "neurons", "experts"],
)
def test_other_nodes_are_drawn(graph, edges, rows, tmp_path):
    """Merged heads, mixers, neurons and experts stand in the stream's order, and each edge is drawn."""
    circuit = Circuit.from_edges(graph, edges)
    assert [row.nodes for row in plan(circuit).rows] == rows
    draw(circuit, tmp_path / "c.svg")
    drawn = {node.attrib.get("id") for node in ElementTree.fromstring((tmp_path / "c.svg").read_bytes()).iter()}
    assert {f"{u}->{v}" for u, v in circuit.edges} <= drawn


def test_a_router_is_told_from_an_expert(tmp_path):
    """The edge into the router runs to each expert in its own line style, which the legend names."""
    graph = Graph(1, 2, 2, blocks=("heads>experts:4",))
    draw(Circuit.from_edges(graph, [("embed", "m0.router<in>"), ("m0.e1", "logits")]), tmp_path / "c.svg")
    assert "into router" in (tmp_path / "c.svg").read_text()
