"""GraphML, which yEd, Gephi, Cytoscape, igraph and NetworkX read."""

from __future__ import annotations

import io

import networkx as nx

from circuitsearch.formats.elements import Elements


def graphml(elements: Elements) -> str:
    """Write the nodes and links with typed attributes."""
    buffer = io.BytesIO()
    # The writer by name: `write_graphml` takes lxml where that is installed, whose bytes differ.
    nx.write_graphml_xml(elements.networkx(), buffer, named_key_ids=True)
    return buffer.getvalue().decode() + "\n"
