"""Files read back as other programs read them: nodes and links with all that the file tells of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx


@dataclass(frozen=True)
class Read:
    """What a file holds: its title, the facts of each node, and those of each link with its two ends."""

    title: str
    nodes: dict[str, dict[str, Any]]
    links: list[tuple[str, str, dict[str, Any]]]


def graphml(path: Path) -> Read:
    return _networkx(nx.read_graphml(path, force_multigraph=True))


def gexf(path: Path) -> Read:
    return _networkx(nx.read_gexf(path))


def _networkx(graph: Any) -> Read:
    added = ("label", "id", "networkx_key")  # by NetworkX
    nodes = {name: {k: v for k, v in facts.items() if k not in added} for name, facts in graph.nodes(data=True)}
    links = [(u, v, {k: x for k, x in facts.items() if k not in added}) for u, v, facts in graph.edges(data=True)]
    return Read(graph.graph.get("name", ""), nodes, links)


def cytoscape(path: Path) -> Read:
    """By Cytoscape's own rules: every element has data with an id of its own, and edges name theirs."""
    content = json.loads(path.read_text(encoding="ascii"))
    nodes, edges = (
        [element["data"] for element in content["elements"][kind] if element.keys() == {"data"}]
        for kind in ("nodes", "edges")
    )
    ids = [data["id"] for data in (*nodes, *edges)]
    assert len(set(ids)) == len(ids) == len(content["elements"]["nodes"]) + len(content["elements"]["edges"])
    facts = [
        {k: v for k, v in data.items() if k not in ("id", "name", "interaction", "source", "target")}
        for data in nodes + edges
    ]
    ends = [(data["source"], data["target"]) for data in edges]
    title = content["data"]["name"]
    return Read(
        "" if title == "circuit" else title,
        {data["id"]: fact for data, fact in zip(nodes, facts, strict=False)},
        [(*end, fact) for end, fact in zip(ends, facts[len(nodes) :], strict=True)],
    )


# The statements of Mermaid's flowcharts that are used; a line that is none of them is refused.
_NODE = re.compile(r'  (\w+)\["([^"]*)"\]')
_LINK = re.compile(r'  (\w+) (?:-->|-\.->)\|"([^"]*)"\| (\w+)')
_LOOK = re.compile(r"  linkStyle [\d,]+ stroke:#[0-9a-f]{6},stroke-width:[\d.]+px")


def mermaid(path: Path) -> Read:
    """Names, roles, ports and scores to three digits are all that Mermaid shows."""
    lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    title = ""
    if lines[0] == "---":
        assert lines[2] == "---" and lines[1].startswith("title: ")
        title = json.loads(lines[1].removeprefix("title: "))
        lines = lines[3:]
    assert lines[0] == "flowchart BT"
    nodes = [found for line in lines[1:] if (found := _NODE.fullmatch(line))]
    links = [found for line in lines[1:] if (found := _LINK.fullmatch(line))]
    assert len(nodes) + len(links) + sum(bool(_LOOK.fullmatch(line)) for line in lines) == len(lines) - 1
    names = {found[1]: _shown(found[2]) for found in nodes}
    roles = {name: {"role": rest[0]} if rest else {} for name, *rest in names.values()}
    told = [_shown(found[2])[0].split(" ") for found in links]
    ends = [(names[found[1]][0], names[found[3]][0]) for found in links]
    facts = [{"port": port} | ({"score": float(score[0])} if score else {}) for port, *score in told]
    return Read(title, roles, [(*end, fact) for end, fact in zip(ends, facts, strict=True)])


def _shown(label: str) -> list[str]:
    """A label's lines as they are drawn, when its numbers are signs again."""
    return [re.sub(r"#(\d+);", lambda found: chr(int(found[1])), line) for line in label.split("<br/>")]


READERS: dict[str, Callable[[Path], Read]] = {"graphml": graphml, "gexf": gexf, "cyjs": cytoscape, "mmd": mermaid}
