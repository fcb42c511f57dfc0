"""What can be asked of a diagram: labels, titles, highlights, an example, how sure edges are; and what is always there."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from matplotlib.patches import Polygon

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import ExamplePrompt, draw, style
from circuitsearch.figures.legend import gaps
from circuitsearch.figures.page import WIDTHS
from circuitsearch.figures.plan import plan
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.names import LABELS, canonical_name, spelled

GRAPH = Graph(8, 4, 4)
EDGES = [("embed", "a1.h2<q>"), ("embed", "m3<in>"), ("m3", "a6.h1<v>"), ("a1.h2", "a6.h1<k>"), ("a6.h1", "logits")]
FORMATS = ("svg", "pdf", "png", "tex", "dot")
TOKENS = ("When", " Mary", " met", " Mary", " to")


@pytest.fixture
def circuit() -> Circuit:
    """Nodes in layers 1, 3 and 6 of eight."""
    return Circuit.from_edges(GRAPH, EDGES, torch.ones(GRAPH.mask.shape))


@pytest.fixture
def example() -> ExamplePrompt:
    """One head looks at the second Mary; of the other all attention but a little is on the first token."""
    looks, rests = torch.zeros(5, 5), torch.zeros(5, 5)
    looks[:, 0], looks[:, 3], rests[:, 0], rests[:, 2] = 0.6, 0.4, 0.95, 0.05
    return ExamplePrompt(TOKENS, {"a1.h2": looks, "a6.h1": rests}, answer=" John")


def texts(path: Path) -> list[str]:
    root = ElementTree.fromstring(path.read_bytes())
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("width", [name for name, inches in WIDTHS.items() if inches < 4])
def test_every_letter_is_six_points_or_larger_in_a_venues_column(random_circuit, example, tmp_path, width):
    """Ports, roles and tokens too: a file of exactly the column's width is printed at its own size."""
    neurons = Circuit.from_edges(GRAPH, [("embed", "a1.h2<q>"), ("a1.h2", "logits")])
    insets = {"a1.h2": torch.eye(5)}
    draw(
        neurons, tmp_path / "c.svg", width=width, roles={"a1.h2": "name mover"}, insets=insets, tokens=TOKENS,
        example=example, title="x", caption="y",
    )  # fmt: skip
    draw(random_circuit(60), tmp_path / "d.svg", width=width)
    for name in ("c.svg", "d.svg"):
        content = (tmp_path / name).read_text()
        points = float(ElementTree.fromstring(content.encode()).attrib["width"].removesuffix("pt"))
        scale = 72 * WIDTHS[width] / points
        sizes = [float(size) * scale for size in re.findall(r"font(?:-size)?: (?:\w+ )?([\d.]+)px", content)]
        assert len(sizes) > 5 and min(sizes) >= 5.999


@pytest.mark.parametrize("labels", LABELS)
def test_heads_are_written_as_asked(circuit, tmp_path, labels):
    """In every format, and so that the name can be read back."""
    head = spelled("a6.h1", labels)
    for suffix in FORMATS:
        draw(circuit, tmp_path / f"c.{suffix}", labels=labels)
    assert head in texts(tmp_path / "c.svg")
    assert all(f"{head}" in (tmp_path / f"c.{suffix}").read_text() for suffix in ("tex", "dot"))
    for name in ("a6.h1", "m3", "embed", "logits"):
        assert canonical_name(spelled(name, labels)) == name


def test_unknown_labels_are_refused(circuit, tmp_path):
    """The sentence lists the known ones."""
    with pytest.raises(InputError, match=r"L9H9"):
        draw(circuit, tmp_path / "c.svg", labels="9_9")


def test_the_title_is_above_and_in_the_files_metadata(circuit, tmp_path):
    """A reader of PDFs shows it; without one it says what the figure is."""
    draw(circuit, tmp_path / "c.pdf", title="Ein Titel")
    assert b"/Title (Ein Titel)" in (tmp_path / "c.pdf").read_bytes()
    draw(circuit, tmp_path / "d.pdf")
    assert b"/Title (Circuit)" in (tmp_path / "d.pdf").read_bytes()
    draw(circuit, tmp_path / "c.svg", title="Ein Titel")
    assert texts(tmp_path / "c.svg").count("Ein Titel") == 1
    assert (tmp_path / "c.svg").read_text().count("@font-face") == 2  # the bold letters are embedded too


def test_every_edge_has_an_arrowhead_at_its_reader(circuit, tmp_path):
    """A triangle whose tip is at the node that reads."""
    from circuitsearch.figures.canvas import figure_style
    from circuitsearch.figures.paint import paint
    from circuitsearch.figures.place import place
    from circuitsearch.figures.sheet import Look

    placed = place(plan(circuit))
    with figure_style():
        figure = paint(placed, Look())
    triangles = [patch for patch in figure.axes[0].patches if isinstance(patch, Polygon)]
    tips = sorted(tuple(patch.get_xy()[0].round(3)) for patch in triangles)
    moved = [tips[0][at] - sorted(corners[-1] for corners in placed.strands)[0][at] for at in (0, 1)]
    expected = sorted((corners[-1][0] + moved[0], corners[-1][1] + moved[1]) for corners in placed.strands)
    assert len(tips) == len(EDGES) and all(
        one == pytest.approx(other, abs=0.01) for one, other in zip(tips, expected, strict=True)
    )


def test_layers_without_nodes_are_marked(circuit, tmp_path):
    """Below the first, between, and above the last; nothing is marked where every layer has a node."""
    assert gaps(plan(circuit)) == [0, 1, 2, 3]  # 0; 2; 4 and 5; 7
    draw(circuit, tmp_path / "c.svg")
    assert "layers without nodes" in texts(tmp_path / "c.svg")
    whole = Circuit.from_edges(Graph(2, 2, 2), [("embed", "m0<in>"), ("m0", "m1<in>"), ("m1", "logits")])
    assert gaps(plan(whole)) == []


def test_edges_are_highlighted_too(circuit, tmp_path):
    """In any spelling, with a halo and an entry of the legend; one that is not drawn is refused by name."""
    draw(circuit, tmp_path / "c.svg", highlight=["L6H1", "1.2->6.1<k>"])
    content = (tmp_path / "c.svg").read_text()
    assert content.count(f"stroke: {style.LIGHT.halo}") == 2 and "highlighted" in texts(tmp_path / "c.svg")
    draw(circuit, tmp_path / "c.dot", highlight=["a1.h2->a6.h1<k>"])
    assert (tmp_path / "c.dot").read_text().count(style.LIGHT.halo) == 2
    for wrong in ("embed->logits", "a0.h0", "a9.h9->logits"):
        with pytest.raises(InputError, match=re.escape(wrong.partition("->")[0])):
            draw(circuit, tmp_path / "d.svg", highlight=[wrong])


def test_an_example_stands_below_and_in_the_heads(circuit, tmp_path, example):
    """A head shows the token it attends to most beside the first, with its number if it occurs twice, or none."""
    assert example.looks(["a1.h2", "a6.h1", "m3"]) == {"a1.h2": "Mary 2"}
    for suffix in FORMATS:
        draw(circuit, tmp_path / f"c.{suffix}", example=example)
    words = texts(tmp_path / "c.svg")
    assert "→ Mary 2" in words and "Prompt: When Mary met Mary to → John" in " ".join(words)
    assert "Mary 2" in (tmp_path / "c.tex").read_text() and "Mary 2" in (tmp_path / "c.dot").read_text()


def test_columns_show_what_stands_at_their_span(tmp_path):
    """And a node of a span looks from there."""
    spans = {"S": (1,), "END": (4,)}
    graph = Graph(1, 2, 2, granularity=Granularity(spans=("S", "END")))
    edges = [("embed@S", "a0.h1<v>@S"), ("embed@END", "a0.h1<q>@END"), ("a0.h1@END", "logits")]
    pattern = torch.zeros(5, 5)
    pattern[4, 2], pattern[1, 1] = 0.9, 0.8
    shown = ExamplePrompt(TOKENS, {"a0.h1": pattern}, spans)
    assert shown.looks(["a0.h1@S", "a0.h1@END"]) == {"a0.h1@S": "Mary 1", "a0.h1@END": "met"}
    draw(Circuit.from_edges(graph, edges), tmp_path / "c.svg", example=shown)
    assert {"Mary", "to"} <= set(texts(tmp_path / "c.svg"))


def test_the_style_of_a_line_is_how_sure_its_edge_is(circuit, tmp_path):
    """Solid, dashed, dotted; ports are then told by their letters, and the width stays the score's."""
    inclusion = torch.zeros(GRAPH.mask.shape, dtype=torch.float64)
    shares = (1.0, 0.9, 0.5, 0.1, 1.0)
    for edge, share in zip(circuit.edges, shares, strict=True):
        inclusion[GRAPH.find_writer(edge[0]), GRAPH.find_reader(edge[1])] = share
    strands = plan(circuit, inclusion=inclusion).strands
    assert [strand.dash for strand in strands] == ["solid", "dashed", "dashed", "dotted", "solid"]
    assert [strand.strength for strand in strands] == [1.0] * 5
    draw(circuit, tmp_path / "c.svg", inclusion=inclusion)
    words = texts(tmp_path / "c.svg")
    assert {"found by every search", "by half or more", "by fewer"} <= set(words) and "into q" not in words
