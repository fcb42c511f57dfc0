"""Roles of nodes and patterns beside heads: boxes, labels, legends, and texts that are meant badly."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures import draw
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import plan
from circuitsearch.graph import Graph

EDGES = [
    *[("embed", f"a0.h{head}<v>") for head in range(4)],
    *[(f"a0.h{head}", "a1.h2<q>") for head in range(4)],
    ("a1.h2", "logits"),
]
ROLES = {"0.0": "previous token", "a0.h2": "previous token", "L1H2": "name mover"}
NASTY = [
    "<script>alert(1)</script>",
    "שלום עולם",
    "😀👩‍👩‍👧",
    "\u202egnp.exe\u202c",
    "a\x00\x1b[31mb",
    "x" * 10_000,
    "$x_1$ & \\frac",
    "\ud800",
]


@pytest.fixture
def circuit() -> Circuit:
    """Four heads that feed one."""
    return Circuit.from_edges(Graph(2, 4, 4), EDGES)


def texts(path: Path) -> str:
    svg = ElementTree.fromstring(path.read_bytes())
    return " ".join("".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text"))


def test_nodes_of_a_role_stand_in_one_labelled_box(circuit):
    """They are neighbours, whatever their numbers, and the box holds them and nothing else."""
    placed = place(plan(circuit, {"a0.h0": "previous token", "a0.h2": "previous token"}))
    (tint,) = placed.tints
    inside = {name for name, (x, _) in placed.nodes.items() if tint.left < x < tint.right and name.startswith("a0")}
    assert inside == {"a0.h0", "a0.h2"} and tint.label == ("previous", "token") and placed.labelled
    assert min(placed.nodes[name][0] for name in inside) - 18 > tint.left + 30  # the label's room


def test_roles_are_read_from_a_file_too(circuit, tmp_path):
    """A mapping and its JSON file give the same bytes; the labels stand in the figure."""
    (tmp_path / "roles.json").write_text(json.dumps(ROLES))
    draw(circuit, tmp_path / "one.svg", roles=ROLES)
    draw(circuit, tmp_path / "two.svg", roles=tmp_path / "roles.json")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "previous token" in texts(tmp_path / "one.svg") and "name mover" in texts(tmp_path / "one.svg")


def test_where_there_is_no_room_the_legend_tells_the_roles(circuit):
    """In a column too narrow for a label beside a node, boxes have no labels."""
    placed = place(plan(circuit, {"a0.h0": "previous token"}), 90)
    assert not placed.labelled and [tint.label for tint in placed.tints] == [()]


@pytest.mark.parametrize("content", ["[1]", "{", '{"a9.h9": "x"}', '{"a0.h0": 3}', '{"a0.h0": " "}'])
def test_roles_that_cannot_be_read_are_refused(circuit, tmp_path, content):
    """In one sentence that names the file, the node or the value."""
    (tmp_path / "roles.json").write_text(content)
    with pytest.raises(InputError, match=r"roles\.json|a9\.h9|a0\.h0"):
        draw(circuit, tmp_path / "c.svg", roles=tmp_path / "roles.json")
    with pytest.raises(InputError, match=r"nowhere\.json"):
        draw(circuit, tmp_path / "c.svg", roles="nowhere.json")


@pytest.mark.slow
@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_any_text_is_text(circuit, tmp_path, text):
    """Roles and tokens that are markup, right to left, emoji, control characters or very long change no layout."""
    plain, nasty = tmp_path / "plain.svg", tmp_path / "nasty.svg"
    pattern = {"a1.h2": torch.eye(3)}
    draw(circuit, plain, roles={"a0.h1": "x"}, insets=pattern, tokens=["a", "b", "c"], width="two-column")
    draw(circuit, nasty, roles={"a0.h1": text}, insets=pattern, tokens=[text, "b", "c"], width="two-column")
    one, two = (ElementTree.fromstring(path.read_bytes()) for path in (plain, nasty))
    assert one.attrib["width"] == two.attrib["width"] and len(list(one.iter())) >= len(list(two.iter())) - 6
    assert not [node for node in two.iter() if node.tag.endswith("script")]
    assert not {"\x00", "\x1b", "\u202e"} & set(texts(nasty)) and len(texts(nasty)) < 500
    draw(circuit, tmp_path / "nasty.pdf", roles={"a0.h1": text}, insets=pattern, tokens=[text, "b", "c"])


def test_an_inset_is_a_vector_beside_its_head(circuit, tmp_path):
    """Every weight that can be seen is a path; tokens stand on both sides, and long patterns go without."""
    draw(circuit, tmp_path / "c.svg", insets={"1.2": torch.eye(3)}, tokens=["one", "two", "three"])
    svg = ElementTree.fromstring((tmp_path / "c.svg").read_bytes())
    (pattern,) = [node for node in svg.iter() if node.attrib.get("id") == "attention a1.h2"]
    assert len([node for node in pattern.iter() if node.tag.endswith("path")]) == 3
    assert not [node for node in svg.iter() if node.tag.endswith("image")]
    assert texts(tmp_path / "c.svg").count("three") == 2
    draw(circuit, tmp_path / "long.svg", insets={"1.2": torch.eye(60)}, tokens=["word"] * 60)
    assert "word" not in texts(tmp_path / "long.svg")


@pytest.mark.parametrize(
    ("pattern", "tokens", "match"),
    [
        (torch.ones(2, 3), (), "to each"),
        (torch.full((2, 2), 7.0), (), "softmax"),
        (torch.full((2, 2), torch.nan), (), "softmax"),
        (torch.eye(2), ("a",), "as many"),
        (torch.zeros(0, 0), (), "to each"),
        (torch.eye(300), (), "256"),
    ],
)
def test_what_is_no_pattern_is_refused(circuit, tmp_path, pattern, tokens, match):
    """The sentence says what a pattern is."""
    with pytest.raises(InputError, match=match):
        draw(circuit, tmp_path / "c.svg", insets={"a1.h2": pattern}, tokens=tokens)
    with pytest.raises(InputError, match="no node"):
        draw(circuit, tmp_path / "c.svg", insets={"a1.h3": torch.eye(2)})


def test_what_detectors_give_will_do(circuit, tmp_path):
    """Of several roles of a head the first counts; a head with none is passed over."""
    one, several = tmp_path / "one.svg", tmp_path / "several.svg"
    draw(circuit, one, roles={"a0.h0": "mover"})
    draw(circuit, several, roles={"a0.h0": ("mover", "copying"), "a0.h1": ()})
    assert one.read_bytes() == several.read_bytes()
