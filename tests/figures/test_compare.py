"""Two circuits in one figure."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import draw_comparison, style
from circuitsearch.figures.compare import compared
from circuitsearch.graph import Graph

GRAPH = Graph(2, 4, 4)
BOTH, LEFT, RIGHT = ("embed", "a1.h2<q>"), ("a1.h2", "logits"), ("embed", "m1<in>")


@pytest.fixture
def pair() -> tuple[Circuit, Circuit]:
    """One shared edge, and one more in each."""
    return Circuit.from_edges(GRAPH, [BOTH, LEFT]), Circuit.from_edges(GRAPH, [BOTH, RIGHT])


def test_each_edge_says_whose_it_is(pair):
    """Shared, only the first's, only the second's; each with a line style of its own."""
    both, figure = compared(pair[0], pair[1], ("one", "other"))
    says = {(strand.writer, strand.reader): strand.says for strand in figure.strands}
    assert says == {BOTH: style.SHARED, LEFT: style.FIRST, RIGHT: style.SECOND} and len(both) == 3
    assert len({strand.dash for strand in figure.strands}) == 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_legend_counts(pair, tmp_path, theme):
    """Names and counts stand in the figure, whatever the names are; the same circuits give the same bytes."""
    assert cs.draw_comparison is draw_comparison
    for name in ("one.svg", "two.svg"):
        draw_comparison(
            pair[0], pair[1], tmp_path / name, names=("EAP-IG", "<b>exact</b>"), theme=theme, width="one-column"
        )
    svg = ElementTree.fromstring((tmp_path / "one.svg").read_bytes())
    words = " ".join("".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text"))
    for expected in ("in both (1)", "only EAP-IG (1)", "only <b>exact</b> (1)"):
        assert expected in words
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_strengths_are_each_circuits_own(random_circuit):
    """A method that scores in other units makes no edge of the other invisible."""
    first = random_circuit(30)
    assert first.scores is not None
    second = Circuit(first.graph, first.mask, 1000 * first.scores)
    _, figure = compared(first, second, ("a", "b"))
    assert figure.strongest == pytest.approx(1)
    assert min(strand.strength or 0 for strand in figure.strands) > 0


def test_equal_and_disjoint_circuits_are_drawn(pair, tmp_path):
    """Counts of nought are said, not left out."""
    draw_comparison(pair[0], pair[0], tmp_path / "same.svg")
    assert "(0)" in (tmp_path / "same.svg").read_text()
    draw_comparison(pair[0], pair[1], tmp_path / "c.dot")
    assert (tmp_path / "c.dot").read_text().startswith("digraph")


def test_circuits_of_two_graphs_are_refused(pair, tmp_path):
    """The sentence says that a comparison needs one graph."""
    other = Circuit.from_edges(Graph(2, 4, 2), [BOTH])
    with pytest.raises(InputError, match="one graph"):
        draw_comparison(pair[0], other, tmp_path / "c.svg")
