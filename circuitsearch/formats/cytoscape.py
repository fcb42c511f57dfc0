"""Cytoscape's JSON (.cyjs), for the desktop program and for cytoscape.js."""

from __future__ import annotations

import json

from circuitsearch.formats.elements import Elements


def cytoscape(elements: Elements) -> str:
    """Write the nodes and links as elements; the text is pure ASCII, so that no reader's line ends or encoding matter."""
    nodes = [{"data": {"id": node.name, "name": node.name} | node.facts} for node in elements.nodes]
    edges = [
        {
            "data": {"id": f"e{index}", "source": link.source, "target": link.target, "interaction": link.port}
            | link.facts
        }
        for index, link in enumerate(elements.links)
    ]
    about = {"name": elements.title or "circuit"}
    return json.dumps({"data": about, "elements": {"nodes": nodes, "edges": edges}}, indent=1) + "\n"
