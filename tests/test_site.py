"""The documentation's site: its reference is whole, its names exist, and what it draws is drawn while it is built."""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from dataclasses import replace
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

import circuitsearch as cs
from circuitsearch import registry
from circuitsearch.registry import CHECKS, METHODS, METRICS
from tests.test_docs import PAGES, ROOT, blocks

REFERENCE = "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs/reference").glob("*.md")))
EXTENDING = ROOT / "docs/extending"


def of_the_site(name: str) -> ModuleType:
    """A file of ``docs/site``, which MkDocs and griffe load by its path."""
    for package in ("griffe", "latex2mathml", "mkdocs"):
        pytest.importorskip(package, reason="the site's packages are not installed: pip install -e '.[docs]'")
    spec = util.spec_from_file_location(name, ROOT / f"docs/site/{name}.py")
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """What MkDocs does beside its configuration."""
    return of_the_site("hooks")


# ---- what the pages name


def test_every_public_name_is_on_one_page_of_the_reference():
    """So are all metrics and checks; nothing else of the package's top is on it."""
    named = Counter(re.findall(r"^::: circuitsearch\.(\S+)$", REFERENCE, re.MULTILINE))
    modules = {"tasks", "instruments"}
    metrics = {f"metrics.{name}" for name in METRICS.known}
    checks = {place.removeprefix("circuitsearch.").replace(":", ".") for place in CHECKS.known.values()}
    assert {name for name in named if "." not in name} == set(cs.__all__) - modules
    assert metrics | checks <= named.keys() and set(named.values()) == {1}


def test_no_function_is_shown_as_its_module():
    """Of a function ``validate`` in a module ``validate`` the reference has the function."""
    names = of_the_site("public_names")
    import griffe

    package = griffe.load("circuitsearch", search_paths=[ROOT], extensions=griffe.load_extensions(names.PublicNames()))
    for name in re.findall(r"^::: (\S+)$", REFERENCE, re.MULTILINE):
        found = package.modules_collection[name]
        assert not (found.final_target if found.is_alias else found).is_module, name


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != ROOT], ids=lambda page: page.stem)
def test_names_of_the_package_on_a_page_exist(page: Path):
    """``cs.name`` and ``cs.module.name``, in code and in running text."""
    for name in re.findall(r"\bcs\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)", page.read_text(encoding="utf-8")):
        found = cs
        for part in name.split("."):
            assert hasattr(found, part), f"{page.name}: cs.{name}"
            found = getattr(found, part)


def test_files_that_pages_name_exist():
    """Paths of the package, of tests and of recipes, and patterns of such, in code marks."""
    for page in (page for page in PAGES if "decisions" not in page.parts):
        for path in re.findall(r"`((?:circuitsearch|tests|recipes)/[\w/.*]+)`", page.read_text(encoding="utf-8")):
            assert any(ROOT.glob(path.rstrip("/"))), f"{page.name}: {path}"


# ---- entry points, as the pages of extending show them


def test_the_entry_points_of_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An installed package with the page's table of entry points and the code of two pages gives its names to the registries."""
    (table,) = blocks(EXTENDING / "index.md", "toml")
    groups = tomllib.loads(table)["project"]["entry-points"]
    listed = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in points.items())
        for group, points in groups.items()
    ]
    code = [blocks(EXTENDING / page, "python")[0].partition("\nmodel, ")[0] for page in ("method.md", "metric.md")]
    (tmp_path / "my_circuits.py").write_text("\n".join(code))
    installed = tmp_path / "my_circuits-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: my-circuits\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("\n".join(listed))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_circuits", raising=False)
    assert repr(replace(METHODS).read("difference(power=2)")) == "Difference(power=2)"
    assert replace(METRICS).read("margin").__name__ == "margin"


def test_every_kind_of_plug_in_is_in_the_table():
    """The groups of entry points that the page lists are those of registries."""
    listed = set(re.findall(r"`circuitsearch\.(\w+)`", (EXTENDING / "index.md").read_text(encoding="utf-8")))
    known = {f"{each.kind}s" for each in vars(registry).values() if isinstance(each, registry.Registry)}
    assert (
        {"methods", "metrics", "ablations", "tasks", "checks", "variations", "formats"} <= listed - {"knobs"} <= known
    )


# ---- what is drawn while the site is built


def test_the_flowchart_has_all_of_its_nodes(hooks: ModuleType):
    """As an SVG in the colour of the text, from the page's own block."""
    (source,) = blocks(ROOT / "docs/architecture.md", "mermaid")
    svg = hooks.flowchart(source)
    nodes = set(re.findall(r"^ *(\w+)(?:\[| -->)", source, re.MULTILINE))
    assert svg.count('class="node"') >= len(nodes) > 10
    assert "Hugging Face model" in svg and "currentColor" in svg and hooks.INK not in svg


def test_a_flowchart_that_is_not_understood_is_an_error(hooks: ModuleType):
    """Nothing of it is left out in silence."""
    with pytest.raises(hooks.PluginError, match="neither a node nor an arrow"):
        hooks.flowchart("flowchart TD\n  a --> b\n  a -.-> c\n")


def test_every_formula_is_mathml(hooks: ModuleType):
    """Without a command that the converter does not know."""
    sources = [block for page in PAGES for block in blocks(page, "math")]
    assert len(sources) >= 8
    for source in sources:
        found = hooks.formula(source)
        assert "<math" in found and "\\" not in found, source


@pytest.mark.parametrize(
    "markup",
    [
        '<script src="https://unpkg.com/mermaid"></script>',
        "<script src=//cdn.example/x.js></script>",
        '<link href="https://fonts.example/css" rel="stylesheet">',
        '<img alt="x" src="http://example.com/x.png">',
    ],
)
def test_a_page_that_would_fetch_is_an_error(hooks: ModuleType, markup: str):
    """Scripts, styles and pictures from elsewhere; links for people are no fetches."""
    page = type("Page", (), {"file": type("File", (), {"src_uri": "x.md"})})
    link = '<a href="https://arxiv.org/abs/2211.00593">2211.00593</a><link rel="icon" href="x.png">'
    assert hooks.on_post_page(link, page=page) == link
    with pytest.raises(hooks.PluginError, match=r"x\.md would fetch"):
        hooks.on_post_page(link + markup, page=page)


def test_docstrings_and_links_to_code_read_well(hooks: ModuleType):
    """Roles become links by name; links to files that the site does not have become their text."""
    role = hooks.on_page_content("See :func:<code>circuitsearch.score</code>.")
    assert role == 'See <autoref identifier="circuitsearch.score" optional><code>score</code></autoref>.'
    text = hooks.on_page_markdown("[`make.sh`](../benchmarks/peers/make.sh) and [guide](guide.md)")
    assert text == "`make.sh` and [guide](guide.md)"


def test_the_citation_is_of_this_version():
    """``CITATION.cff`` has the version that results are saved with."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {cs.__version__}\n" in text and text.startswith("cff-version: ")


def test_figures_follow_the_colours_of_the_page(hooks: ModuleType):
    """Those that are drawn for both; others, and dark ones that are meant, stay."""
    both = hooks.on_page_markdown("![a circuit](figures/ioi-pico.svg)")
    assert "(figures/ioi-pico.svg#only-light)" in both and "(figures/ioi-pico-dark.svg#only-dark)" in both
    for alone in ("![dark](figures/ioi-pico-dark.svg)", "![one](figures/heads.svg)"):
        assert hooks.on_page_markdown(alone) == alone


def test_a_notebook_becomes_a_page():
    """Code, text, tables, and figures inside the page."""
    pytest.importorskip("mkdocs", reason="the site's packages are not installed: pip install -e '.[docs]'")
    code = {"cell_type": "code", "source": ["x\n", "y"]}
    shown = {"data": {"text/html": ["<table>\n\n", "</table>"]}}
    drawn = {"data": {"image/svg+xml": ["<svg/>"], "text/plain": ["Circuit"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        code | {"outputs": [{"text": ["printed\n"]}, shown, drawn]},
    ]
    page = of_the_site("notebooks").page({"cells": cells})
    assert page.startswith("# Title\n\n```python\nx\ny\n```\n\n```text\nprinted\n```")
    assert '<div class="output"><table>\n</table></div>' in page
    assert '<img alt="Circuit" src="data:image/svg+xml;base64,PHN2Zy8+">' in page
