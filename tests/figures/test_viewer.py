"""The page without a browser: what it holds, that it is one safe file, and what it says to odd circuits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import circuitsearch as cs
from circuitsearch.circuit import Circuit
from circuitsearch.figures.index import Shown, index_page
from circuitsearch.figures.viewer import Evidence, draw_page
from circuitsearch.figures.viewer.data import LARGEST, Prompt, page_data
from circuitsearch.figures.viewer.page import _script, html_page, json_in_html
from circuitsearch.granularity import Granularity
from circuitsearch.graph import Graph
from circuitsearch.search.ranked import strongest
from circuitsearch.setup import Spec
from circuitsearch.validation import Interval, Report
from tests.setups import complete_with, measuring, with_setup

Maker = Callable[..., Circuit]
HERE = Path(__file__).parent
HOSTILE = "</script><script>alert(1)</script><!--\u2028<img src=x onerror=alert(1)>\"'&\x00\u202e"


def names(data: dict[str, Any], edges: list[int]) -> set[str]:
    """Edges of a page by name."""
    writer, reader = data["edges"]["writer"], data["edges"]["reader"]
    return {f"{data['nodes'][writer[e]][0]}->{data['readers'][reader[e]][0]}" for e in edges}


# ---- what it holds


@pytest.mark.parametrize("graph", [Graph(4, 8, 8), Graph(3, 4, 2), Graph(2, 4, 4, blocks=("mixer", "heads+mlp"))])
def test_one_order_stands_for_circuits_of_every_size(random_circuit: Maker, graph: Graph):
    """The first edges up to each stop are the strongest of the ranking, pruned; the circuit is marked among them."""
    circuit = random_circuit(20, graph)
    assert circuit.scores is not None
    data = page_data(circuit)
    ranked = cs.Scores(graph, circuit.scores).ranking()
    sizes = {int(strongest(graph, ranked, n).sum()): n for n in range(len(ranked), 0, -1)}
    assert data["stops"] == sorted(set(data["stops"])) and data["stops"][-1] == graph.n_edges
    for size in data["stops"]:
        mask = strongest(graph, ranked, sizes[size])
        assert names(data, list(range(size))) == {f"{u}->{v}" for u, v in graph.edges(mask)}
    assert names(data, data["circuit"]) == {f"{u}->{v}" for u, v in circuit.edges}


def test_every_edge_feeds_the_nodes_of_its_port(random_circuit: Maker):
    """A shared port names each head of its group."""
    data = page_data(random_circuit(20, Graph(2, 4, 2)))
    fed = {name: [data["nodes"][node][0] for node in nodes] for name, _, nodes in data["readers"]}
    assert fed["a1.kv1<k>"] == ["a1.h2", "a1.h3"] and fed["m0<in>"] == ["m0"] and fed["logits"] == ["logits"]


def test_rows_follow_the_stream():
    """Each stage is a row above the one before; parts that read the same stream share one."""
    rows = {name: row for name, _, _, row in page_data(cs.Circuit.from_edges(Graph(2, 2, 2), []))["nodes"]}
    assert [rows[name] for name in ("embed", "a0.h1", "m0", "a1.h0", "m1", "logits")] == [0, 1, 2, 3, 4, 5]
    beside = page_data(cs.Circuit.from_edges(Graph(1, 2, 2, parallel=True), []))["nodes"]
    assert {name: row for name, _, _, row in beside} == {"embed": 0, "a0.h0": 1, "a0.h1": 1, "m0": 1, "logits": 2}


@pytest.mark.parametrize(
    "granularity",
    [
        Granularity(merged_heads=True),
        Granularity(spans=("IO", "END")),
        Granularity(neurons=(1,)),
        Granularity(positions=3),
    ],
)
def test_any_granularity_has_a_page(random_circuit: Maker, granularity: Granularity):
    """Whatever counts as a node."""
    blocks = ("heads>neurons:6", "heads>neurons:6") if granularity.neurons else ()
    circuit = random_circuit(10, Graph(2, 2, 2, blocks=blocks, granularity=granularity))
    data = page_data(circuit)
    assert names(data, data["circuit"]) == {f"{u}->{v}" for u, v in circuit.edges}


def test_effects_are_those_of_the_circuits_own_edges(random_circuit: Maker):
    """Others, which larger sizes have, have none; a circuit without effects has no such column."""
    circuit = random_circuit(20)
    assert circuit.scores is not None and page_data(circuit)["edges"]["effect"] == []
    data = page_data(replace(circuit, effects=(-circuit.scores).masked_fill(~circuit.mask, torch.nan)))
    scores, effects = data["edges"]["score"], data["edges"]["effect"]
    assert [effects[e] for e in data["circuit"]] == [-scores[e] for e in data["circuit"]]
    assert [e for e, effect in enumerate(effects) if effect is not None] == sorted(data["circuit"])


def test_a_complete_circuit_says_what_its_edges_do(random_circuit: Maker):
    """And which edges can take the place of each; other circuits have no such columns."""
    circuit = random_circuit(6)
    assert page_data(circuit)["edges"]["role"] == page_data(circuit)["edges"]["instead"] == []
    first, second, *others = (f"{u}->{v}" for u, v in circuit.edges)
    known = complete_with(circuit, (first, *others), (second, *others))
    data = page_data(replace(circuit, redundancy=known))
    at = {name: e for e in data["circuit"] for name in names(data, [e])}
    roles = {name: data["edges"]["role"][at[name]] for name in at}
    assert roles == {name: "alternative" if name in (first, second) else "needed" for name in at}
    assert data["edges"]["instead"][at[first]] == [second] and data["edges"]["instead"][at[second]] == []
    assert data["edges"]["without"][at[first]] == 1.0


def test_the_report_and_its_curve_are_there(random_circuit: Maker, report: Report):
    """Faithfulness with its interval, controls, and the measured sizes."""
    data = page_data(random_circuit(20), report, model="pico", method="EAP()")
    assert data["about"]["faithfulness"] == [0.912, 0.874, 0.941] and data["curve"][1] == [100, 0.95, None, None]
    assert "0.912" in html_page(data) and "ioi in pico" in html_page(data)


def test_what_a_report_does_not_know_is_left_out(random_circuit: Maker, report: Report):
    """A faithfulness or an interval that is not defined is not drawn, and the page says so."""
    nothing = float("nan")
    no_interval = measuring(report, faithfulness=Interval(0.9, nothing, nothing), controls=(0.5, nothing))
    about = page_data(random_circuit(9), no_interval)["about"]
    assert (about["faithfulness"], about["controls"]) == ([0.9, None, None], [0.5])
    assert "keep 0.900 of the behaviour" in html_page(page_data(random_circuit(9), no_interval))
    undefined = measuring(report, faithfulness=Interval(nothing, nothing, nothing))
    assert "faithfulness" not in page_data(random_circuit(9), undefined)["about"]
    assert html_page(page_data(random_circuit(9), undefined))


def test_a_circuit_from_a_file_has_no_sizes_to_slide_over(random_circuit: Maker):
    """It knows the scores of its own edges alone."""
    circuit = random_circuit(20)
    again = Circuit.from_dict(circuit.to_dict())
    data = page_data(again)
    assert data["stops"] == [] and len(data["circuit"]) == len(circuit) and None not in data["edges"]["score"]


def test_the_same_circuit_gives_the_same_bytes(random_circuit: Maker, report: Report, tmp_path: Path):
    """Nothing of the clock or of chance is in it."""
    for name in ("a.html", "b.html"):
        draw_page(random_circuit(50), tmp_path / name, report=report)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


# ---- sizes


def test_circuits_of_no_and_of_one_edge_have_pages(tmp_path: Path):
    """The page says what an empty circuit means; see the browser's tests."""
    nothing = Circuit.from_edges(Graph(2, 4, 4), [])
    one = Circuit.from_edges(Graph(2, 4, 4), [("embed", "logits")])
    cs.draw(nothing, tmp_path / "none.html")
    assert page_data(one)["circuit"] == [0]
    assert f"0 of {nothing.graph.n_edges} edges" in (tmp_path / "none.html").read_text()


def test_a_circuit_too_large_is_refused_with_what_to_do(tmp_path: Path):
    """In a sentence, before anything is written."""
    graph = Graph(20, 12, 12)
    assert graph.n_edges > LARGEST
    with pytest.raises(cs.InputError, match=r"up to 50,000 edges.*cs\.top"):
        draw_page(Circuit(graph, graph.mask), tmp_path / "x.html")
    assert not list(tmp_path.iterdir())


# ---- one safe file


def hostile_page(circuit: Circuit, report: Report) -> str:
    words = (HOSTILE, "\u05e9\u05dc\u05d5\u05dd", "\U0001f469\u200d\U0001f4bb", "x" * 5000)
    prompt = Prompt(words, tuple(reversed(words)), (HOSTILE,), ("no",), 1.0, 0.5, 0.0)
    told = with_setup(report, task=HOSTILE, metric=HOSTILE, ablation=Spec(name=HOSTILE))
    shown = Evidence([prompt], 1, roles={"a1.h0": (HOSTILE,)})
    return html_page(page_data(circuit, told, shown, model=HOSTILE, method=HOSTILE))


def test_no_text_becomes_markup(random_circuit: Maker, report: Report):
    """Hostile names and tokens stay text, and the JSON gives them back as they were."""
    page = hostile_page(random_circuit(20), report)
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "<img" not in page
    assert (
        "\u2028" not in page
        and "\x00" not in page
        and "\u202e" not in page.partition("</head>")[2].partition("<script")[2]
    )
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert data["about"]["task"] == HOSTILE and data["prompts"][0]["clean"][0] == HOSTILE


def test_the_policy_allows_the_page_alone(random_circuit: Maker, report: Report):
    """No network; the one script and the one style by their hashes; nothing in the file names an outside address."""
    page = hostile_page(random_circuit(20), report)
    policy = page.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    for pattern in (r'<script type="module">(.*?)</script>', r"<style>(.*?)</style>"):
        found = re.search(pattern, page, re.DOTALL)
        assert found
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    outside = {url for url in re.findall(r"https?://[^\s\"'`]+", page) if "w3.org" not in url}
    assert not outside, "the SVG namespace is the only address"


def test_json_in_html_round_trips():
    """Whatever characters there are."""
    text = "".join(map(chr, range(0x300))) + "\u2028\u2029\U0001f600</script>"
    written = json_in_html({"a": [text, 1.5, None]})
    assert json.loads(written) == {"a": [text, 1.5, None]} and written.isascii() and "<" not in written


def test_the_modules_do_not_build_markup():
    """No eval, no innerHTML, no handler in an attribute."""
    for file in (HERE.parents[1] / "circuitsearch/figures/viewer/assets").glob("*.js"):
        source = file.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|fetch\(", source
        )


def test_no_two_modules_use_one_name():
    """Joined, they share one scope, in which a name that is there twice is a mistake that the type checker does not see."""
    found = Counter(re.findall(r"^(?:const|let|function|class|async function) (\w+)", _script(), re.MULTILINE))
    assert len(found) > 100 and [name for name, times in found.items() if times > 1] == []


def test_the_modules_type_check():
    """By TypeScript's checker, where `npm install` was run in tests/figures."""
    checker = HERE / "node_modules/typescript/bin/tsc"
    if shutil.which("node") is None or not checker.is_file():
        pytest.skip("no TypeScript: run `npm install --prefix tests/figures`")
    said = subprocess.run(["node", checker, "-p", HERE / "tsconfig.json"], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout


# ---- several runs


def test_the_index_says_what_is_shared(random_circuit: Maker, report: Report):
    """Counts of shared edges, lists of those in one alone, links that are escaped."""
    graph = Graph(2, 4, 4)
    both = [("embed", "m0<in>"), ("m0", "logits")]
    one = Shown("one<", "a b/circuit.html", Circuit.from_edges(graph, both), report, HOSTILE, "EAP()")
    other = Shown("other", "o/circuit.html", Circuit.from_edges(graph, [*both, ("embed", "logits")]))
    page = index_page([one, other])
    assert (
        'href="a%20b/circuit.html"' in page and "one&lt;" in page and "<script" not in page and page.count("<img") == 1
    )
    assert 'alt="one&lt; and other, drawn as one" src="data:image/svg+xml;base64,' in page
    assert "2 (67%)" in page and "In all of them: 2 edges" in page
    assert "Only in one&lt;: 0 edges" in page and "Only in other: 1 edge<" in page


def test_circuits_of_two_graphs_are_not_drawn_as_one():
    """The page says why."""
    runs = [Shown(f"{n}", "x", Circuit.from_edges(Graph(n, 4, 4), [("embed", "logits")])) for n in (1, 2)]
    page = index_page(runs)
    assert "Not drawn: circuits can be compared only within one graph" in page and "<img" not in page


def test_the_assets_are_shipped():
    """Every module and sheet lies in the package; types.d.ts is for the checker."""
    assets = HERE.parents[1] / "circuitsearch/figures/viewer/assets"
    there = {file.name for file in assets.iterdir()}
    assert {"page.html", "page.css", "base.css", "index.html", "index.css", "main.js", "types.d.ts"} <= there
