"""Mermaid, which GitHub and many notebooks draw inside Markdown."""

from __future__ import annotations

import json
import re

from circuitsearch import colours
from circuitsearch.errors import InputError
from circuitsearch.formats.elements import Elements, Link

MOST_EDGES, MOST_LETTERS = 500, 50_000  # Mermaid's defaults
_ARROWS = {"q": "-.->", "k": "-.->"}
_COLOURS = {"supports": colours.SUPPORTS, "opposes": colours.OPPOSES}
_STEPS = 6  # of width, half a pixel each: links of one look share a line


def mermaid(elements: Elements) -> str:
    """Write a flowchart, from bottom to top.

    Raises
    ------
    InputError
        If the circuit is too large for Mermaid.
    """
    ids = {node.name: f"n{index}" for index, node in enumerate(elements.nodes)}
    nodes = [f'  {ids[node.name]}["{_label(node.name, node.role)}"]' for node in elements.nodes]
    links = [
        f'  {ids[link.source]} {_ARROWS.get(link.port, "-->")}|"{_label(_told(link))}"| {ids[link.target]}'
        for link in elements.links
    ]
    # JSON's escapes are YAML's too, so that no title ends its line or the front matter
    title = [f"---\ntitle: {json.dumps(elements.title)}\n---"] if elements.title else []
    text = "\n".join([*title, "flowchart BT", *nodes, *links, *_looks(elements.links)]) + "\n"
    if len(links) > MOST_EDGES or len(text) > MOST_LETTERS:
        raise InputError(
            f"the circuit is too large for Mermaid, which draws up to {MOST_EDGES} edges and {MOST_LETTERS:,} letters: it has"
            f" {len(links):,} edges and {len(text):,} letters; export fewer edges, or to .graphml, .gexf or .cyjs"
        )
    return text


def _told(link: Link) -> str:
    return link.port if link.strength is None else f"{link.port} {link.strength:+.3g}"


def _looks(links: tuple[Link, ...]) -> list[str]:
    """Colour and width of the links, those of one look together."""
    strongest = max((abs(link.strength) for link in links if link.strength is not None), default=0.0) or 1.0
    looks: dict[tuple[str, float], list[str]] = {}
    for index, link in enumerate(links):
        width = 1 + round(abs(link.strength or 0.0) / strongest * _STEPS) * 0.5
        looks.setdefault((_COLOURS.get(link.sign, colours.UNKNOWN), width), []).append(str(index))
    return [
        f"  linkStyle {','.join(indices)} stroke:{colour},stroke-width:{width:g}px"
        for (colour, width), indices in looks.items()
    ]


def _label(*lines: str) -> str:
    """Lines of text, with all but letters, digits and basic punctuation as character codes, which Mermaid decodes."""
    return "<br/>".join(re.sub(r"[^A-Za-z0-9 .+-]", lambda found: f"#{ord(found[0])};", line) for line in lines if line)
