"""The page in headless Chromium: what a person clicks, types and drags, what a screen reader is told, and how long it takes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.figures.index import Shown, index_page
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import plan
from circuitsearch.figures.viewer import Evidence, draw_page
from circuitsearch.figures.viewer.data import Prompt
from circuitsearch.figures.viewer.places import SCALE
from circuitsearch.graph import Graph
from circuitsearch.redundancy import Redundancy
from circuitsearch.validation import Interval, Report
from circuitsearch.validation.checks.curve import CurvePoint
from tests.figures.browser import Tab, browser, browser_path
from tests.setups import complete_with, measuring, with_setup

Maker = Callable[..., Circuit]
AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser_path() is None, reason="no Chromium: install Debian's package chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """One browser for all tests of the module."""
    path = browser_path()
    assert path is not None
    with browser(path) as started:
        yield started


@pytest.fixture
def page(tab: Tab, tmp_path: Path, random_circuit: Maker, report: Report) -> Iterator[Path]:
    """A page with everything in it, opened; afterwards nothing may have gone wrong, nor anything been asked of a network."""
    circuit = random_circuit(40, Graph(4, 8, 4))
    assert circuit.scores is not None
    prompts = [
        Prompt((" a", " b"), (" a", " c"), (" d",), (" e",), 3.0, 2.5, -1.0, ((" d", 0.75), (HOSTILE, 0.2))),
        Prompt(
            (HOSTILE, "\u05e9\u05dc\u05d5\u05dd\u202e", "\x00\n", "\U0001f469\u200d\U0001f4bb", "x" * 9000),
            ("a",) * 5,
            ("b",),
            ("c",),
            2,
            1,
            0,
        ),
    ]
    head = next(name for name in circuit.nodes if name.startswith("a1"))
    patterns = {head: [torch.tensor([[1.0, 0.0], [0.25, 0.75]])]}
    said = ((" d", 2.5), (HOSTILE, 1.0))
    words, raised = {head: (said, ((" low", -1.25),))}, {head: [((" here", 4.0),)]}
    shown = Evidence(prompts, 50, {head: 0.5}, {head: (HOSTILE, "induction")}, {head: 0.125}, patterns, words, raised)
    measured = tuple(CurvePoint(n, n / circuit.graph.n_edges, n / 1000) for n in (10, 100, 900))
    told = replace(
        measuring(with_setup(report, task=HOSTILE), curve=measured),
        n_edges=len(circuit),
        n_edges_total=circuit.graph.n_edges,
    )
    path = tmp_path / "circuit.html"
    draw_page(circuit, path, report=told, evidence=shown, model=HOSTILE, method="EAP()")
    tab.size(1280, 800)
    tab.open(path)
    yield path
    tab.run("0")
    assert tab.console == []
    assert {url.split(":")[0] for url in tab.requests} <= {"file", "data", "blob", "about"}, tab.requests
    assert tab.run("window.hacked") is None


def text(tab: Tab, selector: str) -> str:
    return tab.run(f"document.querySelector({json.dumps(selector)}).textContent")


def nodes(tab: Tab) -> list[str]:
    return tab.run("[...document.querySelectorAll('.node')].map((each) => each.firstChild.textContent)")


def type_in(tab: Tab, word: str) -> None:
    """Search for a word, from wherever the focus is."""
    tab.press("/")
    tab.run("document.activeElement.value = ''")
    tab.page.keyboard.insert_text(word)
    tab.press("Enter")


# ---- nodes


def test_a_click_on_a_node_tells_all_about_it(tab: Tab, page: Path):
    """Kind, roles, what is left without it, its direct effect, its edges and where it looks."""
    head = next(name for name in nodes(tab) if name.startswith("a1"))
    place = nodes(tab).index(head)
    tab.run(f"document.querySelectorAll('.node')[{place}].id = 'chosen'")
    tab.click("#chosen")
    told = text(tab, "#node-panel")
    assert (
        head in told
        and "attention head in layer 1" in told
        and "induction" in told
        and "0.500" in told
        and "+0.125" in told
    )
    assert "Strongest edges in" in told and "75%" in told
    assert tab.run("document.querySelector('#chosen').getAttribute('aria-pressed')") == "true"
    assert tab.run("document.querySelectorAll('.node.dim').length") > 0
    tab.wait("location.hash.includes('node=')")
    tab.press("Escape")
    assert tab.run("document.querySelectorAll('[aria-pressed=true].node').length") == 0


def look_at(tab: Tab, page: Path, beginning: str, fragment: str = "") -> str:
    """Open the page of the first node whose name begins so."""
    tab.open(page)
    name = next(name for name in nodes(tab) if name.startswith(beginning))
    tab.open(page, f"#tab=node&node={name}{fragment}")
    return name


def test_attention_is_read_by_pointing_and_by_keys(tab: Tab, page: Path):
    """Tokens stand on both axes; a cell is said in words; a prompt without a pattern is said to have none."""
    look_at(tab, page, "a1")
    assert tab.run("[...document.querySelectorAll('.pattern text')].map((e) => e.textContent)")[:4] == [" a", " b"] * 2
    assert text(tab, ".said") == " b \u2192  b: 75%"
    x, y = tab.middle(".pattern canvas")
    tab.move(x - 50, y + 50)
    assert text(tab, ".said") == " b \u2192  a: 25%"
    tab.run("document.querySelector('.pattern').focus()")
    tab.press("ArrowUp")
    assert text(tab, ".said") == " a \u2192  a: 100%" and "Token  a (1)" in text(tab, ".attention")
    tab.page.select_option(".attention select", "1")
    assert "no pattern of this prompt" in text(tab, ".attention")
    tab.wait("location.hash.includes('prompt=1')")


def test_a_node_speaks_in_words(tab: Tab, page: Path):
    """What it raises and lowers on average, and what it raises on the prompt that is chosen, if that was measured."""
    look_at(tab, page, "a1")
    told = text(tab, "#node-panel")
    assert "Raises d+2.50" in told and "Lowers low\u22121.25" in told and "Raises on prompt 1 here+4.00" in told
    look_at(tab, page, "a1", "&prompt=1")
    assert "Raises d+2.50" in text(tab, "#node-panel") and "on prompt" not in text(tab, "#node-panel")


def test_pointing_at_a_node_lights_its_edges_and_at_an_edge_names_it(tab: Tab, page: Path):
    """Without a click."""
    tab.move(*tab.middle(".node.logits"))
    assert tab.run("document.querySelectorAll('.node.dim').length") > 0
    x, y = tab.middle(".node.logits")
    for step in range(-24, 25, 2):  # strands enter below the logits
        tab.move(x + step, y + 26)
        if not tab.run("document.querySelector('#tip').hidden"):
            break
    assert "logits" in text(tab, "#tip") and "score" in text(tab, "#tip")


def test_a_head_is_found_by_any_of_its_names(tab: Tab, page: Path):
    """Ours, TransformerLens's, the papers'; an unknown one is said to be."""
    head = next(name for name in nodes(tab) if name.startswith("a1"))
    layer, index = head[1:].split(".h")
    for name in (
        head,
        f"{layer}.{index}",
        f"L{layer}H{index}",
        f"blocks.{layer}.attn.hook_z[:, :, {index}]",
        f"{head}<q>",
    ):
        tab.press("Escape")
        type_in(tab, name)
        assert text(tab, "#node-panel h2") == head, name
    type_in(tab, "a99.h1")
    assert "no node" in text(tab, "#answer")


def test_heads_are_found_by_their_role(tab: Tab, page: Path):
    """Only their edges stay in view, and each can be chosen."""
    type_in(tab, "induct")
    assert text(tab, "#answer").startswith("induction: 1 head")
    head = text(tab, "#answer button")
    assert tab.run("document.querySelector('#role').value") == "induction" and " of " in text(tab, "#status")
    tab.click("#answer button")
    assert text(tab, "#node-panel h2") == head
    tab.wait("location.hash.includes('role=induction')")


def test_a_node_outside_the_circuit_is_offered(tab: Tab, page: Path):
    """With the size at which it comes in."""
    absent = tab.run(
        "(() => { const here = new Set([...document.querySelectorAll('.node')].map((e) => e.firstChild.textContent));"
        "return JSON.parse(document.querySelector('#data').textContent).nodes.map((n) => n[0]).find((n) => !here.has(n)) })()"
    )
    assert absent
    type_in(tab, absent)
    assert "comes in with" in text(tab, "#answer")
    tab.click("#answer button")
    assert text(tab, "#node-panel h2") == absent and absent in nodes(tab)


# ---- sizes and filters


def test_the_slider_leads_to_nested_circuits(tab: Tab, page: Path):
    """Sizes grow with it; faithfulness is said, and how it is known; the button leads back."""
    sizes = []
    for stop in (0, 10, 10_000):
        tab.run(
            f"(() => {{ const s = document.querySelector('#size'); s.value = {stop}; s.dispatchEvent(new Event('input')); }})()"
        )
        tab.frames()
        sizes.append(int(text(tab, "#status").split()[0].replace(",", "")))
    assert sizes == sorted(set(sizes)) and sizes[-1] == Graph(4, 8, 4).n_edges
    assert "strongest edges" in tab.run("document.querySelector('#size').getAttribute('aria-valuetext')")
    tab.run("document.querySelector('#size').focus()")
    tab.press("ArrowLeft", "ArrowLeft")
    assert int(text(tab, "#status").split()[0].replace(",", "")) < sizes[-1]
    tab.click("#whole")
    assert "the circuit" in text(tab, "#reading") and "0.912" in text(tab, "#reading")


def test_the_words_follow_the_slider(tab: Tab, page: Path):
    """Heading and evidence say what belongs to the size that is shown, how that is known, and what to the found circuit."""
    found = text(tab, "#summary")
    assert "keep 0.912 of the behaviour" in found and tab.run("document.querySelector('#shown').hidden")
    tab.open(page, "#size=60")
    edges, told = int(text(tab, "#status").split()[0]), text(tab, "#summary")
    assert (
        told.startswith(f"The {edges} strongest of ")
        and "faithfulness about 0." in told
        and "between two measured" in told
    )
    assert "The found circuit has" in told and "keep" not in told
    assert "The size that is shown" in text(tab, "#shown") and f"the {edges} strongest" in text(tab, "#shown")
    assert "measured on the found circuit, not on this size" in text(tab, "#shown")
    assert "0.912" in text(tab, "#evidence") and "0.912" not in text(tab, "#shown")
    tab.open(page, "#size=9999")
    assert "faithfulness not measured" in text(tab, "#summary")
    tab.click("#whole")
    assert text(tab, "#summary") == found


def test_the_curve_says_what_its_axes_are(tab: Tab, page: Path):
    """Edges, and the faithfulness that they keep."""
    titles = tab.run("[...document.querySelectorAll('#curve .title')].map((each) => each.textContent)")
    assert titles == ["edges of the circuit (logarithmic)", "faithfulness"]


def test_the_circuit_is_shown_by_effects_and_other_sizes_by_scores(tab: Tab, tmp_path: Path, random_circuit: Maker):
    """In the table of edges; an effect of the other sign than the score turns the colour."""
    circuit = random_circuit(20, Graph(4, 8, 4))
    assert circuit.scores is not None
    turned = (-circuit.scores).masked_fill(~circuit.mask, torch.nan)
    draw_page(replace(circuit, effects=turned), tmp_path / "effects.html")
    tab.open(tmp_path / "effects.html")
    tab.click("#tab-edges")
    first = "document.querySelector('#edges-panel tbody .number').className"
    assert "effect" in text(tab, "#edges-panel thead") and "score" not in text(tab, "#edges-panel thead")
    shown = tab.run(first)
    tab.run(
        "(() => { const s = document.querySelector('#size'); s.value = 0; s.dispatchEvent(new Event('input')); })()"
    )
    tab.frames()
    assert "score" in text(tab, "#edges-panel thead") and tab.run(first) != shown


def test_one_prompt_has_no_interval(tab: Tab, tmp_path: Path, random_circuit: Maker, report: Report):
    """The evidence says so, and gives no ends that are not defined."""
    told = measuring(report, faithfulness=Interval(0.9, math.nan, math.nan))
    draw_page(random_circuit(9), tmp_path / "one.html", report=told)
    tab.open(tmp_path / "one.html")
    said = tab.run("document.getElementById('evidence').textContent")
    assert "0.900, no interval" in said and "not defined" not in said


def test_filters_hide_edges(tab: Tab, page: Path):
    """By sign, port, layer and strength; the rest is counted, and one button brings all back."""
    whole = text(tab, "#status")
    total = int(whole.split()[0])

    def left() -> int:
        return int(text(tab, "#status").split()[0])

    tab.click("#sign-opposes")
    opposing = left()
    tab.click("#sign-supports")
    assert opposing + left() == total and 0 < opposing < total
    tab.click("#reset")
    assert text(tab, "#status") == whole
    tab.click("#port-logits")
    assert left() < total
    tab.run(
        "(() => { const f = document.querySelector('#from'); f.value = '2'; f.dispatchEvent(new Event('change')); })()"
    )
    tab.run(
        "(() => { const f = document.querySelector('#least'); f.value = '40'; f.dispatchEvent(new Event('input')); })()"
    )
    assert left() <= 1
    tab.wait("['ports=', 'from=2', 'least=40'].every((word) => location.hash.includes(word))")
    tab.click("#reset")
    assert text(tab, "#status") == whole


def test_kinds_roles_and_what_edges_do_are_filters(tab: Tab, tmp_path: Path, random_circuit: Maker):
    """An edge passes if both its ends are of the kinds that are ticked, one of them is a head of the role, and it does that."""
    circuit, known = complete(random_circuit)
    heads = sorted(name for name in circuit.nodes if ".h" in name)
    draw_page(replace(circuit, redundancy=known), tmp_path / "x.html", evidence=Evidence(roles={heads[0]: ("mover",)}))
    tab.open(tmp_path / "x.html")
    edges = list(circuit.edges)
    for fragment, passing in (
        ("kinds=head", [edge for edge in edges if not any(name.startswith("m") for name in edge)]),
        ("role=mover", [edge for edge in edges if heads[0] in (edge[0], edge[1].partition("<")[0])]),
        ("does=alternative", edges[:2]),
    ):
        tab.run(f"location.hash = {fragment!r}")
        tab.frames()
        assert int(text(tab, "#status").split()[0]) == len(passing) < len(edges), fragment
    tab.click("#reset")
    assert text(tab, "#status") == f"{len(edges)} edges"
    tab.click("#kind-mlp")
    tab.wait("location.hash === '#kinds=head'")


def complete(random_circuit: Maker) -> tuple[Circuit, Redundancy]:
    """A circuit whose ports belong to one node each, the first two of whose edges stand in for one another."""
    circuit = random_circuit(20, Graph(3, 4, 4))
    first, second, *others = (f"{u}->{v}" for u, v in circuit.edges)
    return circuit, complete_with(circuit, (first, *others), (second, *others))


def test_edges_are_cut_and_restored(tab: Tab, tmp_path: Path, random_circuit: Maker):
    """One that is cut leaves the drawing, and what was measured without it is said; several were not measured together."""
    circuit, known = complete(random_circuit)
    path = tmp_path / "x.html"
    draw_page(replace(circuit, redundancy=known), path)
    tab.open(path, "#tab=edges&sort=from")
    whole = text(tab, "#summary")
    tab.click("#edge-table tbody tr:nth-child(3) [data-key^=cut]")
    name = tab.run("document.querySelector('tr.cut [data-key^=cut]').getAttribute('aria-label')").split()[-1]
    assert text(tab, "#status") == f"{len(circuit) - 1} of {len(circuit)} edges" and name in known.without
    assert f"Without {name}: faithfulness 1.000" in text(tab, "#summary")
    tab.wait("location.hash.includes('cut=')")
    tab.click("#edge-table tbody tr:nth-child(1) [data-key^=cut]")
    assert "2 edges are cut: the circuit without all of them was not measured" in text(tab, "#summary")
    tab.wait("location.hash.split('cut=').length === 3")
    fragment = tab.run("location.hash")
    tab.open(path, fragment)
    assert tab.run("document.querySelectorAll('tr.cut').length") == 2
    tab.click("tr.cut [data-key^=cut]")
    assert f"Without {name}" in text(tab, "#summary")
    tab.click("#marks button")
    assert text(tab, "#summary") == whole and text(tab, "#status") == f"{len(circuit)} edges"
    tab.open(path, fragment + "&size=30")
    tab.click("#marks button")
    assert "not measured" in text(tab, "#summary"), "the search measured the found circuit alone"


def test_only_paths_between_two_nodes(tab: Tab, tmp_path: Path, random_circuit: Maker):
    """By Shift and a click, from the field of a node, and from the address: as many edges as lie on paths of the graph."""
    circuit, _ = complete(random_circuit)
    draw_page(circuit, tmp_path / "x.html")
    graph = nx.DiGraph([(writer, reader.partition("<")[0]) for writer, reader in circuit.edges])
    middle = next(
        node for node in circuit.nodes if node in graph and nx.has_path(graph, "embed", node) and node != "embed"
    )
    within = graph.subgraph((nx.descendants(graph, "embed") & nx.ancestors(graph, middle)) | {"embed", middle})
    expected = sum(u in within and v.partition("<")[0] in within for u, v in circuit.edges)
    tab.open(tmp_path / "x.html", "#node=embed&tab=node")
    tab.run(
        f"[...document.querySelectorAll('.node')].find((e) => e.firstChild.textContent === '{middle}').id = 'other'"
    )
    tab.click("#other", modifiers=["Shift"])
    assert text(tab, "#status") == f"{expected} of {len(circuit)} edges" and 0 < expected < len(circuit)
    tab.wait(f"location.hash.includes('trace=embed&trace={middle}')")
    tab.open(tmp_path / "x.html", f"#node={middle}&tab=node")
    tab.page.fill(".trace input", "embed")
    tab.press("Enter")
    assert int(text(tab, "#status").split()[0]) == expected
    tab.click("#marks button")
    assert text(tab, "#status") == f"{len(circuit)} edges"
    tab.page.fill(".trace input", "a99.h1")
    tab.press("Enter")
    assert "no other node" in text(tab, "#answer")


def test_nodes_are_hidden_and_shown_again(tab: Tab, page: Path):
    """With their edges; one by one or all at once; the address knows."""
    before = nodes(tab)
    for head in [name for name in before if name.startswith("a1")][:2]:
        type_in(tab, head)
        tab.click(".trace button[type=button]")
        assert head not in nodes(tab)
        tab.wait(f"location.hash.includes('hide={head}')")
    assert len(nodes(tab)) == len(before) - 2 and " of " in text(tab, "#status")
    tab.click("#marks button:last-child")
    assert nodes(tab) == before and " of " not in text(tab, "#status")


def test_edges_are_sorted_and_narrowed(tab: Tab, page: Path):
    """By a press on a column's head, once more for the other way round; by words, which keep the focus."""
    scores = "[...document.querySelectorAll('#edge-table tbody .number')].map((e) => Math.abs(parseFloat(e.textContent.replace('\u2212', '-'))))"
    froms = "[...document.querySelectorAll('#edge-table tbody td:first-child')].map((e) => e.textContent)"
    tab.click("#tab-edges")
    assert tab.run(scores) == sorted(tab.run(scores), reverse=True)
    assert tab.run("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    tab.run("document.querySelector('[data-key=\"sort strength\"]').focus()")
    tab.press("Enter")
    assert tab.run(scores) == sorted(tab.run(scores))
    assert tab.run("document.activeElement.dataset.key") == "sort strength"
    tab.click("[data-key='sort from']")
    order = {name: at for at, name in enumerate(Graph(4, 8, 4).writers)}
    assert tab.run(froms) == sorted(tab.run(froms), key=order.__getitem__)
    heads = [name for name in tab.run(froms) if ".h" in name]
    layer, head = heads[0][1:].split(".h")
    tab.page.fill("#edge-words", f"{layer}.{head} -> LOGITS")
    tab.frames()
    assert (
        set(tab.run(froms)) <= {heads[0]} and tab.run("document.querySelectorAll('#edge-table tbody tr').length") <= 1
    )
    tab.page.fill("#edge-words", f"{layer}.{head}")
    tab.frames()
    assert tab.run(froms).count(heads[0]) == heads.count(heads[0])
    assert tab.run("document.activeElement.id") == "edge-words"
    tab.wait("location.hash.includes('words=') && location.hash.includes('sort=from')")


def test_the_address_opens_the_same_view_again(tab: Tab, page: Path):
    """Size, node, filters and page of the panel; nonsense is passed over."""
    tab.open(page, "#size=100&node=L1H0&sign=supports&theme=dark&tab=node")
    assert text(tab, "#node-panel h2") == "a1.h0" and "strongest edges" in text(tab, "#reading")
    assert (
        tab.run("document.querySelector('#sign-supports').checked && document.documentElement.dataset.theme") == "dark"
    )
    nonsense = "&cut=a->b&hide=x&trace=embed&role=x&does=x&sort=__proto__&kinds=&words=%3Cimg%3E"
    tab.open(page, "#size=x&node=%3Cimg%3E&sign=1&ports=&least=-4&prompt=99&tab=__proto__" + nonsense)
    assert "the circuit" in text(tab, "#reading")


# ---- prompts


def test_prompts_show_tokens_as_text(tab: Tab, page: Path):
    """Differing tokens are marked; markup, control characters and long tokens neither run nor break the line."""
    tab.click("#tab-prompts")
    assert tab.run("[...document.querySelectorAll('#prompts-panel mark')].slice(0, 2).map((e) => e.textContent)") == [
        " b",
        " c",
    ]
    likeliest = "[...document.querySelectorAll('.likeliest tr')].map((e) => e.textContent)"
    assert tab.run(likeliest)[0] == " d75.0%right" and tab.run(likeliest)[1].endswith("20.0%")
    tab.click("[aria-label='Next prompt']")
    assert tab.run(likeliest) == []
    first = tab.run("document.querySelector('#prompts-panel .token').textContent")
    assert first.startswith("</script><script>")
    told = text(tab, "#prompts-panel")
    assert "\\u202e" in told and "\\u0000\u21b5" in told and "\u202e" not in told
    assert tab.run(
        "(() => { const p = document.querySelector('#prompts-panel'); return p.scrollWidth <= p.clientWidth })()"
    )
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")


# ---- keys


def test_keys_alone_reach_everything(tab: Tab, page: Path):
    """From the page's top by Tab into the drawing, by arrows along it, by Enter and Escape in and out, by [ and ] over sizes."""
    for _ in range(40):
        tab.press("Tab")
        if tab.run("document.activeElement.matches('.node')"):
            break
    first = tab.run("document.activeElement.firstChild.textContent")
    assert first == "embed"
    tab.press("ArrowUp")
    second = tab.run("document.activeElement.firstChild.textContent")
    assert second != first
    tab.press("Enter")
    assert text(tab, "#node-panel h2") == second
    before = text(tab, "#reading")
    tab.press("]")
    assert text(tab, "#reading") != before and tab.run("document.activeElement.matches('.node')")
    tab.press("Escape")
    tab.run("document.querySelector('#tab-about').focus()")
    tab.press("ArrowRight", "ArrowRight")
    assert tab.run("document.querySelector('#tab-edges').getAttribute('aria-selected')") == "true"
    assert tab.run("document.querySelectorAll('#edges-panel tbody tr').length") > 0


# ---- files


def test_the_view_is_saved_as_svg_and_png(tab: Tab, page: Path):
    """An SVG that parses and holds what is shown, a PNG of the same shape."""
    import xml.etree.ElementTree as xml

    edges = int(text(tab, "#status").split()[0])
    drawing = saved(tab, "#as-svg", "circuit.svg").decode()
    tree = xml.fromstring(drawing)
    name = "{http://www.w3.org/2000/svg}"
    assert len(tree.findall(f"{name}path")) >= edges and len(tree.findall(f"{name}g")) == len(nodes(tab))
    assert "<script" not in drawing
    assert saved(tab, "#as-png", "circuit.png").startswith(b"\x89PNG")


def saved(tab: Tab, button: str, name: str) -> bytes:
    with tab.page.expect_download() as found:
        tab.click(button)
    assert found.value.suggested_filename == name
    return Path(found.value.path()).read_bytes()


# ---- sizes of circuits


@pytest.mark.parametrize(("count", "said"), [(0, "has no edges"), (1, "1 edge")])
def test_tiny_circuits_are_drawn(tab: Tab, tmp_path: Path, count: int, said: str):
    """An empty one says what that means."""
    draw_page(Circuit.from_edges(Graph(2, 4, 4), [("embed", "logits")][:count]), tmp_path / "x.html")
    tab.open(tmp_path / "x.html")
    assert said in text(tab, "#status") + text(tab, "#empty") and len(nodes(tab)) == 2 * count
    assert tab.console == []


@pytest.mark.parametrize("count", [8_000])
def test_large_circuits_are_drawn(tab: Tab, tmp_path: Path, count: int):
    """With a slider that moves; docs/page.md has the times measured."""
    graph = Graph(12, 12, 12)
    values = torch.randn(graph.mask.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 3
    values[0], values[:, -1] = 9 * values[0], 9 * values[:, -1]
    values = torch.where(graph.mask, values, 0.0)
    circuit = cs.top(cs.Scores(graph, values), count)
    draw_page(circuit, tmp_path / "x.html")
    tab.size(1280, 800)
    tab.open(tmp_path / "x.html")
    assert text(tab, "#status") == f"{len(circuit):,} edges"
    before = text(tab, "#status")
    tab.run(
        "(() => { const s = document.querySelector('#size'); s.value = '9'; s.dispatchEvent(new Event('input')); })()"
    )
    tab.frames()
    assert text(tab, "#status") != before and tab.console == []


# ---- the figure's layout, and what a person does to it


@pytest.mark.parametrize("graph", [Graph(4, 8, 2), Graph(3, 4, 4, parallel=True)])
def test_the_page_lies_as_the_figure_does(tab: Tab, tmp_path: Path, random_circuit: Maker, graph: Graph):
    """Corner by corner, each strand of the found circuit runs where the figure for a paper has it."""
    circuit = random_circuit(40, graph)
    placed = place(plan(circuit))
    draw_page(circuit, tmp_path / "x.html")
    tab.open(tmp_path / "x.html")
    drawn = paths(saved(tab, "#as-svg", "circuit.svg").decode())
    assert len(drawn) == len(placed.strands)
    for strand, corners in zip(placed.plan.strands, placed.strands, strict=True):
        expected = [SCALE * value * sign for corner in corners for value, sign in zip(corner, (1, -1), strict=True)]
        assert any(name == strand.edge and way == pytest.approx(expected, abs=0.2) for name, way in drawn), strand


def test_a_small_size_leaves_out_empty_rows(tab: Tab, tmp_path: Path, random_circuit: Maker):
    """Nodes of all sizes keep their x; rows without nodes take no room."""
    draw_page(random_circuit(40, Graph(6, 4, 4)), tmp_path / "x.html")
    tab.open(tmp_path / "x.html", "#size=1000")
    large = places(tab)
    tab.open(tmp_path / "x.html", "#size=8")
    small = places(tab)
    assert set(small) < set(large) and all(small[name][0] == large[name][0] for name in small)
    height = {
        name: max(y for _, y in each.values()) - min(y for _, y in each.values())
        for name, each in (("s", small), ("l", large))
    }
    assert height["s"] < height["l"]


def test_nodes_are_moved_and_stay_there(tab: Tab, page: Path):
    """By dragging and by keys, at every size, in the address; one click puts them back."""
    name = nodes(tab)[3]
    before = places(tab)
    x, y = tab.run(
        "(() => { const r = document.querySelectorAll('.node')[3].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
    )
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 30, y - 10, steps=4)
    tab.page.mouse.up()
    tab.frames()
    after = places(tab)
    assert after[name][0] > before[name][0] + 5 and all(
        after[other] == before[other] for other in before if other != name
    )
    tab.wait("location.hash.includes('moved=')")
    tab.open(page, tab.run("location.hash"))
    assert places(tab)[name] == pytest.approx(after[name], abs=1)
    tab.run("document.querySelectorAll('.node')[3].focus()")
    tab.page.keyboard.press("Shift+ArrowRight")
    tab.frames()
    assert places(tab)[name][0] == pytest.approx(after[name][0] + 8, abs=1)
    tab.click("#put-back")
    assert places(tab) == before and tab.console == []


def test_roles_are_boxes_that_fold_and_take_names(tab: Tab, tmp_path: Path, random_circuit: Maker):
    """A folded box stands for its nodes; its name is anybody's, and both are in the address and in the saved picture."""
    circuit = random_circuit(40, Graph(3, 4, 4))
    heads = [name for name in circuit.nodes if name.startswith("a1.")][:2]
    draw_page(circuit, tmp_path / "x.html", evidence=Evidence(roles={head: ("previous <token>",) for head in heads}))
    tab.open(tmp_path / "x.html")
    shown = tab.run("[...document.querySelectorAll('.node')].filter((each) => !each.hidden).length")
    assert text(tab, "button.role") == "previous\n<token>"
    tab.click("button.role")
    assert text(tab, "button.role") == "previous <token> (2)"
    assert tab.run("[...document.querySelectorAll('.node')].filter((each) => !each.hidden).length") == shown - 2
    tab.run("document.querySelector('button.role').focus()")
    tab.page.keyboard.press("F2")
    tab.page.keyboard.type("</script> movers")
    tab.page.keyboard.press("Enter")
    tab.frames()
    assert text(tab, "button.role") == "</script> movers (2)"
    tab.wait("location.hash.includes('rename=') && location.hash.includes('fold=')")
    tab.open(tmp_path / "x.html", tab.run("location.hash"))
    assert text(tab, "button.role") == "</script> movers (2)"
    assert "&lt;/script&gt; movers (2)" in saved(tab, "#as-svg", "circuit.svg").decode() and tab.console == []


def paths(drawing: str) -> list[tuple[str, list[float]]]:
    """The edges of a saved picture: each one's name, and its corners, without the control points between them."""
    import xml.etree.ElementTree as xml

    name = "{http://www.w3.org/2000/svg}"
    found = []
    for path in xml.fromstring(drawing).iter(f"{name}path"):
        title = path.find(f"{name}title")
        if title is None:
            continue
        corners: list[float] = []
        for kind, words in re.findall(r"([MVC])([^MVC]*)", path.attrib["d"]):
            values = [float(word) for word in words.split()]
            corners += [corners[-2], values[0]] if kind == "V" else values[-2:]
        found.append(((title.text or "").split()[0], corners))
    return found


def places(tab: Tab) -> dict[str, tuple[float, float]]:
    """Where each node is, in the drawing's units."""
    return {
        name: (float(x), float(y))
        for name, x, y in tab.run(
            "[...document.querySelectorAll('.node')].map((each) => [each.firstElementChild.textContent,"
            " ...each.style.transform.match(/-?[\\d.]+/g)])"
        )
    }


# ---- for everyone


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_fault(tab: Tab, page: Path, width: int):
    """On every page of the panel, with a node selected, in light and in dark."""
    if not AXE.is_file():
        pytest.skip("no axe-core: run `npm install --prefix tests/figures`")
    tab.run(AXE.read_text(encoding="utf-8"))
    head = next(name for name in nodes(tab) if name.startswith("a1"))
    for view in (
        "tab=about&size=60",
        f"tab=node&node={head}&hide=embed",
        "tab=edges&size=100&sort=from",
        "tab=prompts",
    ):
        tab.run(f"location.hash = {json.dumps(view)}")
        tab.size(width, 800)
        assert faults(tab) == [], view
        tab.size(width, 800, dark=True)
        assert faults(tab, "runOnly: ['color-contrast']") == [], f"{view}, dark"  # nothing else depends on colours
        assert tab.run("document.documentElement.scrollWidth <= innerWidth"), f"{view} is wider than the screen"


def faults(tab: Tab, options: str = "") -> list[Any]:
    """What axe-core finds: rule, how bad it is, and the elements."""
    tab.frames()
    return tab.run(
        f"axe.run({{ resultTypes: ['violations'], {options} }}).then((all) =>"
        " all.violations.map((v) => [v.id, v.impact, v.nodes.map((n) => n.html.slice(0, 200))]))"
    )


def test_the_index_works(tab: Tab, tmp_path: Path, random_circuit: Maker, report: Report):
    """It leads to the runs' pages, without a script, and without a fault."""
    circuit = random_circuit(20)
    draw_page(circuit, tmp_path / "circuit.html", report=report)
    runs = [Shown(f"run {i} {HOSTILE}", "circuit.html", random_circuit(20 + 9 * i), report, HOSTILE) for i in range(2)]
    (tmp_path / "index.html").write_text(index_page(runs), encoding="utf-8")
    tab.size(1280, 800)
    tab.open(tmp_path / "index.html")
    if AXE.is_file():
        tab.run(AXE.read_text(encoding="utf-8"))
        assert faults(tab) == []
    assert tab.console == [] and tab.run("window.hacked") is None
    tab.follow("a")
    tab.wait("document.querySelector('.node')")
