"""What MkDocs does beside mkdocs.yml: pages of the top folder, formulas and flowcharts without scripts, links in docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import wrap
from typing import Any

import pygraphviz
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

TOP = Path(__file__).parents[2]
FROM_THE_TOP = {"changes.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
CODE_LINK = re.compile(r"\[([^\]]*)\]\((?:\.\./)+(?:benchmarks|tests|circuitsearch|recipes)/[^)]*\)")
FIGURE = re.compile(r"!\[([^\]]*)\]\((figures/[\w-]+\.svg)\)")
ROLE = re.compile(r":(?:func|class|meth|mod|attr|data):<code>~?([\w.]+)</code>")
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc(?:set)?=[\"']?(?:https?:)?//|<link\b(?=[^>]*stylesheet)[^>]*href=[\"']?(?:https?:)?//"
)


def on_config(config: Any) -> Any:
    """Fences that are drawn while the site is built."""
    config.mdx_configs["pymdownx.superfences"] = {
        "custom_fences": [
            {"name": "math", "class": "formula", "format": formula},
            {"name": "mermaid", "class": "flowchart", "format": flowchart},
        ]
    }
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand in the top folder."""
    for page, source in FROM_THE_TOP.items():
        text = (
            (TOP / source)
            .read_text(encoding="utf-8")
            .replace("](docs/", "](")
            .replace("decisions/)", "decisions/README.md)")
        )
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to code, which the site does not have, become their text; figures that are drawn for dark pages too, are shown there."""
    return FIGURE.sub(_in_both_schemes, CODE_LINK.sub(r"\1", markdown))


def _in_both_schemes(found: re.Match[str]) -> str:
    text, path = found[1], found[2]
    dark = (TOP / "docs" / path).with_suffix("").as_posix() + "-dark.svg"
    if not Path(dark).is_file():
        return found[0]
    return f"![{text}]({path}#only-light)![{text}]({path.removesuffix('.svg')}-dark.svg#only-dark)"


def on_page_content(html: str, **_: Any) -> str:
    """Sphinx roles of docstrings become links, or code where the site has no such name."""
    return ROLE.sub(
        lambda found: f'<autoref identifier="{found[1]}" optional><code>{found[1].rpartition(".")[2]}</code></autoref>',
        html,
    )


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Nothing on a page is fetched from elsewhere."""
    found = FETCHED.search(output)
    if found:
        raise PluginError(f"{page.file.src_uri} would fetch from the network: {found[0]}")
    return output


# ---- fences


def formula(source: str, *_: Any, **__: Any) -> str:
    """A block of TeX as MathML, which browsers draw themselves."""
    return f'<div class="formula">{convert(source, display="block")}</div>'


NODE = r'(\w+)(?:\["([^"]*)"\])?'
LINE = re.compile(rf"{NODE}(?:\s*-->(?:\|([^|]*)\|)?\s*{NODE})?")
INK = "#010203"  # replaced by the colour of the text around it


def flowchart(source: str, *_: Any, **__: Any) -> str:
    """A Mermaid flowchart of nodes and arrows as SVG, laid out by Graphviz."""
    graph = pygraphviz.AGraph(directed=True, bgcolor="transparent", nodesep=0.15, ranksep=0.3)
    graph.node_attr.update(shape="box", style="rounded", fontname="sans-serif", fontsize=11, color=INK, fontcolor=INK)
    graph.edge_attr.update(fontname="sans-serif", fontsize=10, color=INK, fontcolor=INK, arrowsize=0.6)
    for line in filter(None, map(str.strip, source.splitlines()[1:])):
        _draw(graph, line)
    svg = graph.draw(format="svg", prog="dot").decode()
    return f'<div class="flowchart">{svg[svg.index("<svg") :].replace(INK, "currentColor")}</div>'


def _wrapped(text: str) -> list[str]:
    """Its lines, of so few letters that the whole chart is legible on a page."""
    return [line for part in text.split("<br>") for line in wrap(part, 24)]


def _draw(graph: pygraphviz.AGraph, line: str) -> None:
    found = LINE.fullmatch(line)
    if not found:
        raise PluginError(f"the flowchart has a line that is neither a node nor an arrow between two: {line}")
    start, start_text, label, end, end_text = found.groups()
    for node, text in ((start, start_text), (end, end_text)):
        if text:
            graph.add_node(node, label="\n".join(_wrapped(text)))
    if end:
        graph.add_edge(start, end, label="\n".join(wrap(label or "", 18)))
