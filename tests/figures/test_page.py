"""Widths of pages: presets, inches, and what stands on a page of that width."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from circuitsearch.errors import InputError
from circuitsearch.figures import draw
from circuitsearch.figures.page import inches
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import MOST, plan
from circuitsearch.graph import Graph


@pytest.mark.parametrize(("width", "expected"), [("neurips", 5.5), ("acl-column", 3.03), ("4.5", 4.5), (3, 3.0)])
def test_presets_and_inches(width, expected):
    """A venue's name, or a number, also as the text that a shell gives."""
    assert inches(width) == expected


@pytest.mark.parametrize("width", ["huge", 0.5, -3, "nan", 1000, None])
def test_other_widths_are_refused(width):
    """The sentence lists the presets and the range."""
    with pytest.raises(InputError, match="one-column"):
        inches(width)


@pytest.mark.parametrize("n", [1, 30, 300])
@pytest.mark.parametrize("width", ["one-column", "two-column", 5.5])
def test_the_figure_has_the_width_that_was_asked_for(random_circuit, tmp_path, n, width):
    """To a hundredth of a point; the fonts keep their size, and nothing of the drawing lies outside."""
    draw(random_circuit(n), tmp_path / "c.svg", width=width)
    svg = ElementTree.fromstring((tmp_path / "c.svg").read_bytes())
    assert float(svg.attrib["width"].removesuffix("pt")) == pytest.approx(72 * inches(width), abs=0.01)
    sizes = set(re.findall(r"font(?:-size)?: (?:\w+ )?([\d.]+)px", (tmp_path / "c.svg").read_text()))
    assert {"7", "6.5"} <= sizes <= {"7", "6.5", "6"}
    placed = place(plan(random_circuit(n)), 72 * inches(width) - 38)
    across = [x for corners in placed.strands for x, _ in corners]
    assert min(across) >= -0.01 and max(across) <= 72 * inches(width) - 38 + 0.01


def test_without_a_width_it_is_two_columns_at_most(random_circuit, tmp_path):
    """A small circuit takes what it needs, a large one no more than a page."""
    widths = []
    for n in (3, 300):
        draw(random_circuit(n), tmp_path / "c.svg")
        widths.append(float(ElementTree.fromstring((tmp_path / "c.svg").read_bytes()).attrib["width"][:-2]))
    assert widths[0] < widths[1] <= 6.75 * 72 + 0.01


def test_weak_edges_are_gathered_and_strong_ones_are_not(random_circuit):
    """Of 300 edges the strongest have ways of their own, and every one that is gathered is weaker than those."""
    drawn = plan(random_circuit(300))
    placed = place(drawn)
    strengths = [abs(strand.strength or 0.0) for strand in placed.plan.strands]
    gathered = [strengths[index] for index in placed.gathered]
    own = [strength for index, strength in enumerate(strengths) if index not in placed.gathered]
    assert len(gathered) > 150 and len(own) > 20
    assert max(gathered) <= min(own)


def test_edges_without_scores_are_treated_alike(random_circuit):
    """No order of the file decides which edges fade: without scores all have their own way, or none."""
    for n in (30, 300):
        circuit = random_circuit(n)
        placed = place(plan(type(circuit)(circuit.graph, circuit.mask)))
        assert len(placed.gathered) in (0, len(placed.plan.strands))


def test_too_many_edges_are_refused_and_it_is_said_what_to_do(random_circuit, tmp_path):
    """One sentence names the way out; the strongest of them are drawn, and DOT takes any size."""
    circuit = random_circuit(30_000, Graph(12, 12, 12))
    with pytest.raises(InputError, match=rf"too many for a page.*{MOST:,}.*strongest"):
        draw(circuit, tmp_path / "c.svg")
    assert not list(tmp_path.iterdir())
    draw(circuit.strongest(200), tmp_path / "c.svg")
    assert (tmp_path / "c.svg").stat().st_size
