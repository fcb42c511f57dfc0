"""Hostile texts wherever a caller's text reaches a figure or a file: read back as text by a real parser, and nothing runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from circuitsearch.circuit import Circuit
from circuitsearch.escape import plain_text
from circuitsearch.figures import draw, draw_agreement, draw_curve, draw_heatmap
from circuitsearch.figures.canvas import encode, figure_style
from circuitsearch.figures.inline import as_html
from circuitsearch.figures.maps import Map, draw_maps
from circuitsearch.formats import export
from circuitsearch.graph import Graph
from circuitsearch.methods import PathEffects
from circuitsearch.scores import Scores
from circuitsearch.setup import Spec
from circuitsearch.task import Task
from tests.figures.hostile import HOSTILE, LONG
from tests.formats.readers import READERS
from tests.setups import made_up, measuring, with_setup

SHORT = [text for text in HOSTILE if text not in LONG]
BENIGN = "benign"
_DRAWN = {
    "svg",
    "g",
    "defs",
    "style",
    "path",
    "rect",
    "text",
    "tspan",
    "use",
    "clipPath",
    "title",
    "metadata",
    "image",
    "symbol",
}
_ABOUT = {"RDF", "Work", "type", "format", "creator", "Agent", "title"}  # of Matplotlib's metadata


@pytest.fixture
def tiny() -> Circuit:
    """Two edges with scores."""
    graph = Graph(1, 2, 2)
    return Circuit.from_edges(graph, [("embed", "a0.h1<v>"), ("a0.h1", "logits")], torch.ones(graph.mask.shape))


@pytest.fixture
def scores() -> Scores:
    graph = Graph(1, 2, 2)
    values = torch.ones(graph.mask.shape, dtype=torch.float64)
    return Scores(graph, values, made_up(BENIGN, 4), 2 * values)


def chunks(texts: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def check_svg(content: bytes) -> str:
    """Refuse all that could run, load or link; return the text."""
    root = ElementTree.fromstring(content)
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        assert tag in _DRAWN | _ABOUT, tag
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), name
            assert not re.match(r"\s*(javascript|vbscript|data:text)", value, re.IGNORECASE), value
            if name.rpartition("}")[2] == "href":
                assert value.startswith(("#", "data:image/png")), value
        if tag == "style":
            assert "<" not in "".join(element.itertext())
    return " ".join(root.itertext())


class Structure(HTMLParser):
    """Tags with their attributes, but for the texts in them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        self.found.append((f"/{tag}", ()))

    def handle_decl(self, decl):
        self.found.append((f"!{decl}", ()))

    def handle_comment(self, data):
        self.found.append(("--", ()))

    def handle_data(self, data):
        self.text.append(data)


def test_there_are_hundreds():
    """No two alike."""
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


@pytest.mark.parametrize("suffix", READERS)
def test_titles_of_graphs(tiny, tmp_path, suffix):
    """Every title comes back letter for letter, and the graph is the same."""
    for text in HOSTILE:
        export(tiny, tmp_path / f"c.{suffix}", title=text)
        read = READERS[suffix](tmp_path / f"c.{suffix}")
        assert read.title == plain_text(text)
        assert list(read.nodes) == ["embed", "a0.h1", "logits"] and len(read.links) == 2


@pytest.mark.parametrize("suffix", READERS)
def test_roles_of_graphs(tmp_path, suffix):
    """A head for each text, which is its role; Mermaid in parts of the size that it takes."""
    graph = Graph(8, 64, 64)
    usable = [text for text in HOSTILE if plain_text(text)]
    usable = [text for text in usable if text not in LONG] if suffix == "mmd" else usable
    for chunk in chunks(usable, 60 if suffix == "mmd" else len(usable)):
        roles = dict(zip(graph.writers[1:], chunk, strict=False))
        circuit = Circuit.from_edges(graph, [(head, "logits") for head in roles])
        export(circuit, tmp_path / f"c.{suffix}", roles=roles)
        read = READERS[suffix](tmp_path / f"c.{suffix}")
        assert {name: facts["role"] for name, facts in read.nodes.items() if "role" in facts} == {
            name: plain_text(text) for name, text in roles.items()
        }
        assert len(read.links) == len(roles)


def test_captions_and_roles_of_dot(tiny, tmp_path):
    """Graphviz reads the same graph, with no more attributes than for a plain caption."""
    pygraphviz = pytest.importorskip("pygraphviz", reason="there is no pygraphviz to read DOT")

    def read(text: str):
        draw(tiny, tmp_path / "c.dot", caption=text, roles={"a0.h1": text} if plain_text(text) else None)
        graph = pygraphviz.AGraph(str(tmp_path / "c.dot"))
        links = [(str(u), str(v), sorted(dict(graph.get_edge(u, v).attr))) for u, v in graph.edges()]
        return sorted(map(str, graph.nodes())), links, sorted(dict(graph.graph_attr)), graph.graph_attr["label"]

    *plain, _ = read(BENIGN)
    for text in SHORT:
        *same, label = read(text)
        assert same == plain, text
        assert not re.sub(r"\\l|\s", "", label) or "\x00" not in label


@pytest.mark.slow
def test_captions_in_svg_and_pdf(tiny, tmp_path):
    """Sixty at a time: all that is drawn is text."""
    for number, chunk in enumerate(chunks(SHORT, 60)):
        caption = " | ".join(chunk)
        draw(tiny, tmp_path / "c.svg", caption=caption)
        check_svg((tmp_path / "c.svg").read_bytes())
        if number % 4 == 0:
            draw(tiny, tmp_path / "c.pdf", caption=caption)
            assert not re.search(rb"/(JavaScript|JS|Launch|URI|OpenAction)\b", (tmp_path / "c.pdf").read_bytes())


@pytest.mark.slow
def test_titles_of_plots(report, scores, tmp_path):
    """The names of tasks in curves, scatters and maps of heads."""
    for chunk in chunks(SHORT, 120):
        name = " | ".join(chunk)
        draw_curve(with_setup(report, task=name), tmp_path / "c.svg")
        draw_agreement(with_setup(scores, task=name, metric=chunk[0]), tmp_path / "a.svg")
        draw_heatmap(torch.ones(2, 2), tmp_path / "h.svg", title=name, unit=chunk[-1])
        for plot in ("c", "a", "h"):
            check_svg((tmp_path / f"{plot}.svg").read_bytes())


@pytest.mark.slow
def test_texts_of_any_length(tiny, report, tmp_path):
    """Twenty thousand letters are cut or wrapped, in seconds."""
    for text, other in zip(LONG[::2], LONG[1::2], strict=True):
        draw(tiny, tmp_path / "c.svg", caption=text, roles={"a0.h1": f"x{other}"})
        check_svg((tmp_path / "c.svg").read_bytes())
    for text in LONG[::4]:
        draw_curve(with_setup(report, task=text), tmp_path / "d.svg")
        check_svg((tmp_path / "d.svg").read_bytes())


@pytest.mark.slow
def test_tokens_of_maps():
    """Tokens beside and below a map, forty at a time, every third text."""
    for tokens in chunks(HOSTILE[::3], 40):
        values = torch.eye(len(tokens)).tolist()
        shown = Map(values, tokens, tokens, title=tokens[0], row_name=tokens[-1], column_name="key", unit=tokens[1])
        with figure_style():
            check_svg(encode(draw_maps([shown], " ".join(tokens[:3])), "svg"))


def test_tables_of_notebooks(report, scores):
    """The same tags with the same attributes, whatever a task, a metric or a method is called."""
    task = Task.from_ids([[1, 2]], [[1, 3]], [2], [3], name=BENIGN)
    effects = PathEffects(scores.graph, torch.ones(4), ("logits",), "direct edges", made_up(BENIGN, 1))
    bare = measuring(report, curve=())
    plain = [Structure(as_html(value)).found for value in (task, scores, effects, bare)]
    for text in HOSTILE:
        named = [
            replace(task, name=f"x{text}"),
            with_setup(scores, task=text, method=Spec(name=text), metric=text),
            replace(with_setup(effects, task=text, metric=text), paths=text),
            with_setup(bare, task=text, metric=text),
        ]
        for value, expected in zip(named, plain, strict=True):
            read = Structure(as_html(value))
            assert read.found == expected, text
            if text not in LONG and plain_text(text):
                assert plain_text(text) in "".join(read.text)


def test_pages(tiny, report, tmp_path: Path):
    """The HTML page has the same elements, and as many scripts, whatever stands in it."""

    def read(text: str) -> Structure:
        draw(tiny, tmp_path / "c.html", report=with_setup(report, task=text, metric=text), roles={"a0.h1": f"x {text}"})
        return Structure((tmp_path / "c.html").read_text(encoding="utf-8"))

    plain = read(BENIGN)
    for text in HOSTILE[:: 1 if len(HOSTILE) < 200 else 2]:
        assert read(text).found == plain.found, text
