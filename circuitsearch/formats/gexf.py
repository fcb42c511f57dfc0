"""GEXF, Gephi's own format."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import networkx as nx

from circuitsearch.formats.elements import Elements


def gexf(elements: Elements) -> str:
    """Write the nodes and links with typed attributes, the strength as the edges' weight."""
    buffer = io.BytesIO()
    nx.write_gexf(elements.networkx(), buffer)
    document = ElementTree.fromstring(buffer.getvalue())
    space = document.tag.partition("}")[0] + "}"
    for meta in document.findall(f"{space}meta"):  # contains the date and NetworkX's version, so the bytes would change
        document.remove(meta)
    ElementTree.register_namespace("", space.strip("{}"))
    ElementTree.indent(document)
    return ElementTree.tostring(document, encoding="unicode", xml_declaration=True) + "\n"
