"""The page: one safe file with every circuit; its search in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from circuitsearch.library import Library
from tests.figures.browser import browser, browser_path
from tests.library.conftest import COPY, MakeRun

HOSTILE = "</script><script>alert(1)</script><!--\u2028<img src=x onerror=alert(1)>\"'&\x00\u202e"


@pytest.fixture
def written(library: Library, make_run: MakeRun, tmp_path: Path) -> Path:
    """The page of three circuits, one of them with hostile names and one with a page of its own."""
    library.add(make_run("one", roles={"a1.h2": HOSTILE}, task=HOSTILE), model=HOSTILE)
    run = make_run("two #1", seed=1, roles={"a1.h2": "copying", "a0.h1": "previous token"})
    (run / "circuit.html").write_text("its page")
    library.add(run)
    library.add(make_run("three", COPY[3:], seed=2, task="induction"))
    library.write_page(tmp_path / "library.html")
    return tmp_path / "library.html"


def test_the_page_is_one_safe_file(written: Path):
    """No text becomes markup, no address leads to the network, and only its own script and style may run."""
    page = written.read_text(encoding="utf-8")
    assert page.count("<script") == 2 and "<img" not in page and "\x00" not in page and "\u202e" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)[^\"]*:", page)
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "default-src 'none'" in page


def test_the_page_lists_every_circuit(written: Path):
    """Also without its script; a run's own page is linked if it is there."""
    page = written.read_text(encoding="utf-8")
    assert page.count('<tr class="circuit">') == 3 and page.count("<a href") == 1
    assert '<a href="two%20%231/circuit.html">' in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    _, second, third = json.loads(data[1])
    assert ["a1.h2", "copying"] in second["nodes"] and second["feeds"]["a1.kv1<k>"] == ["a1.h2", "a1.kv1"]
    assert third["task"] == "induction" and third["size"] == 2
    assert page.count('<svg class="map"') == 1 and "2 edges shared, Jaccard 0.40" in page


@pytest.mark.slow
@pytest.mark.skipif(browser_path() is None, reason="no Chromium: install Debian's package chromium")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_filters_and_search(written: Path):
    """A head in another spelling shows its edges; words, an edge, a task and a size leave the circuits that fit."""
    path = browser_path()
    assert path is not None
    with browser(path) as tab:
        tab.open(written)

        def rows(query: str = "", task: str = "", size: str = "") -> list[int]:
            for name, value in (("query", query), ("task", task), ("size", size)):
                tab.run(f"document.getElementById('{name}').value = {json.dumps(value)}")
            tab.run("document.getElementById('filters').dispatchEvent(new Event('input'))")
            shown = "[...document.querySelectorAll('tr.circuit')].filter((row) => !row.hidden).map((row) => Number(row.cells[0].textContent))"
            return tab.run(shown)

        assert rows() == [1, 2, 3] and rows("1.2") == [1, 2, 3] and rows("a0.h1") == [1, 2] and rows("L0H3") == []
        assert rows("a0.h1->1.2") == [1, 2] and rows("previous token") == [2] and rows("a1.h") == [1, 2, 3]
        assert rows(task="induction") == [3] and rows(size="4") == [3]
        rows("0.1")
        said = tab.run("[...document.querySelectorAll('.uses li')].map((item) => item.textContent)")
        assert said[1] == "a0.h1 (previous token) in: embed->a0.kv0<v>; out: a0.h1->a1.h2<q>"
        tab.size(390, 800)
        assert tab.run("document.documentElement.scrollWidth") == 390
        assert tab.console == [] and [url for url in tab.requests if not url.startswith("file:")] == []
