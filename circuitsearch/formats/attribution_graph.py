"""The attribution graphs of Neuronpedia and circuit-tracer: what a file holds, and a circuit as one of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.files import STRICT, Number, plain, to_json, write_bytes
from circuitsearch.formats.elements import Link, elements
from circuitsearch.graph import Graph
from circuitsearch.names import EMBED, LOGITS
from circuitsearch.version import __version__

FEWEST_BYTES, MOST_BYTES = 1 << 10, 100 << 20  # of a file that Neuronpedia takes
UNKNOWN, LOGIT, EMBEDDING = "unknown", "logit", "embedding"  # types of nodes for which the page fetches no feature
TOKENS = "E"  # the layer of the embedding
OWN = ("graph", "n_edges_total", "edges", "scores", "effects")  # of a circuit's file, that are added to the metadata
NO_HEAD = -1  # the feature of an MLP and of the embedding


class File(BaseModel):
    """Base of a file's parts: keys that Neuronpedia's schema does not name are allowed there, and kept."""

    model_config = ConfigDict(strict=True, extra="allow")


class Metadata(File):
    """What the graph is of; ``scan`` is Neuronpedia's name of the model."""

    slug: str
    scan: str
    prompt_tokens: list[str]
    prompt: str


class GraphNode(File):
    """A node at a token, ``ctx_idx``."""

    node_id: str
    feature: int | None
    layer: str | int
    ctx_idx: int
    feature_type: str
    jsNodeId: str
    clerp: str
    influence: float | None = None


class GraphLink(File):
    """A link, and what it brings to its target."""

    source: str
    target: str
    weight: float


class AttributionGraphFile(File):
    """A file's content."""

    metadata: Metadata
    qParams: dict[str, Any]
    nodes: list[GraphNode]
    links: list[GraphLink]


@dataclass(frozen=True)
class Written:
    """What our own files add, so that they are read back whole; it is under ``circuitsearch`` in the metadata.

    ``edges`` are the circuit's, with a score each if it has scores, and an effect each if they were measured.
    """

    __pydantic_config__ = STRICT

    graph: Graph
    n_edges_total: int
    edges: list[str]
    scores: list[Number] | None = None
    effects: list[Number] | None = None
    positive: str = Field(default="supports")


def write_attribution_graph(
    path: str | Path,
    circuit: Circuit,
    scan: str,
    slug: str,
    tokens: tuple[str, ...],
    answer: str,
    probability: float | None,
) -> tuple[str, ...]:
    """Write a circuit as an attribution graph; what is said differently there, a sentence each.

    Raises
    ------
    InputError
        If the circuit has nodes for named spans, or fewer tokens are given than it has positions.
    """
    _check_positions(circuit.graph, tokens)
    links, notes = _links(circuit)
    place = _Places(circuit.graph, len(tokens))
    names = [*dict.fromkeys(name for pair in links for name in pair)]
    nodes = [place.node(name, answer, probability) for name in names]
    content = {
        "metadata": _metadata(circuit, scan, slug, tokens),
        "qParams": {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""},
        "nodes": nodes,
        "links": [
            {"source": place.id_of(source), "target": place.id_of(target), "weight": weight}
            for (source, target), weight in links.items()
        ],
    }
    write_bytes(path, to_json(content).ljust(FEWEST_BYTES - 1).encode() + b"\n")
    return notes


def _metadata(circuit: Circuit, scan: str, slug: str, tokens: tuple[str, ...]) -> dict[str, Any]:
    about = circuit.to_dict()
    own = {name: about[name] for name in OWN} | {"positive": "supports"}
    generator = {"name": "circuitsearch", "version": __version__}
    text = "A circuit: its nodes are attention heads and MLPs over all positions, and a weight above 0 supports the behaviour."
    return {
        "slug": slug,
        "scan": scan,
        "transcoder_list": [],
        "prompt_tokens": list(tokens),
        "prompt": "".join(tokens),
        "info": {"description": text, "generator": generator},
        "circuitsearch": plain(own),
    }


def _check_positions(graph: Graph, tokens: tuple[str, ...]) -> None:
    if graph.granularity.spans:
        raise InputError(
            "an attribution graph has nodes at tokens, and this circuit's are of named spans: search it with positions"
        )
    if len(tokens) < max(1, graph.granularity.positions):
        raise InputError(
            f"the prompt has {len(tokens)} tokens, and the circuit {max(1, graph.granularity.positions)} positions: give tokens=..."
        )


def _links(circuit: Circuit) -> tuple[dict[tuple[str, str], float], tuple[str, ...]]:
    """The weight of each pair of nodes, over all ports; an edge into a shared port is divided among the heads that it enters."""
    found: dict[tuple[str, str], float] = {}
    parts = elements(circuit).links
    shares: dict[str, int] = {}
    for link in parts:
        shares[link.edge] = shares.get(link.edge, 0) + 1
    known = any(link.strength is not None for link in parts)
    for link in parts:
        ends = (link.source, link.target)
        found[ends] = found.get(ends, 0.0) + _weight(link, known) / shares[link.edge]
    return found, tuple(_notes(circuit, parts, known))


def _weight(link: Link, known: bool) -> float:
    return 1.0 if not known else link.strength or 0.0


def _notes(circuit: Circuit, links: tuple[Link, ...], known: bool) -> Iterable[str]:
    yield "edges into the q, k and v ports of a head are one link, with the sum of their weights"
    if not known:
        yield "the circuit has no scores, and every edge has the weight 1"
    elif any(link.strength is None for link in links):
        yield "an edge without a score has the weight 0"
    if not circuit.graph.granularity.positions:
        yield "nodes that work at all positions stand at the last token, and the embedding at the first"


@dataclass(frozen=True)
class _Places:
    """Where nodes stand, and their ids."""

    graph: Graph
    n_tokens: int

    def id_of(self, name: str) -> str:
        layer, _, position = self._place(name)
        return f"{layer}_{name.partition('@')[0]}_{position}"

    def node(self, name: str, answer: str, probability: float | None) -> Mapping[str, Any]:
        layer, feature, position = self._place(name)
        kind = LOGIT if name == LOGITS else EMBEDDING if name.startswith(f"{EMBED}@") else UNKNOWN
        return {
            "node_id": self.id_of(name),
            "feature": feature,
            "layer": layer,
            "ctx_idx": position,
            "feature_type": kind,
            "jsNodeId": f"{layer}_{feature}-{position}",
            "clerp": _answer(answer, probability) if name == LOGITS else name,
        }

    def _place(self, name: str) -> tuple[str, int, int]:
        """Layer, feature and token of a node."""
        node, _, span = name.partition("@")
        position = int(span[1:]) if span else 0 if node == EMBED else self.n_tokens - 1
        if node == LOGITS:
            return str(self.graph.n_layers + 1), 0, position
        found = re.match(r"([ams])(\d+)", node)
        return (TOKENS, NO_HEAD, position) if found is None else (found[2], self._feature(found[1], node), position)

    def _feature(self, letter: str, node: str) -> int:
        """A number that differs among the nodes of a layer: the head, or -1 for the MLP."""
        found = re.search(r"\.([hne])(\d+)$", node)
        if found is None:
            return {"m": NO_HEAD, "s": -2, "a": -3}[letter] if "." not in node else -4
        return int(found[2]) + (0 if found[1] == "h" else self.graph.n_heads)


def _answer(answer: str, probability: float | None) -> str:
    """The label of the logits, from which the page reads the token in quotes and the probability."""
    if probability is None or not math.isfinite(probability):
        return ""
    quoted = answer.replace('"', "'")
    return f'Output "{quoted}" (p={probability:.3f})'
