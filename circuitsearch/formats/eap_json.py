"""EAP-IG's graphs as JSON, in the layouts that they have had; the newest is written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import checking, read_json, to_json, write_bytes
from circuitsearch.formats.eap_graph import (
    Config,
    EAPContent,
    between_nodes,
    check_same_model,
    lacked,
    their_names,
    unscored,
)
from circuitsearch.graph import Graph
from circuitsearch.names import LOGITS, ends_of

WHAT = "an EAP-IG graph"
MOST_BYTES = 1 << 28  # Llama-8B's 1.6 million edges take 100 MB


class Node(BaseModel):
    """A node; its score is NaN if it is always kept."""

    model_config = ConfigDict(strict=True)

    in_graph: bool = False
    score: float | None = None
    neurons: list[bool | float] | None = None
    neurons_scores: list[float | None] | None = None


Edge = dict[str, float | bool | None]  # score, which files with one circuit for each size lack, and in_graph


class EAPFile(BaseModel):
    """A file's content; in older ones a node is true or false, and neurons stand beside the nodes."""

    model_config = ConfigDict(strict=True)

    cfg: Config
    nodes: dict[str, bool | Node]
    edges: dict[str, Edge]
    neurons: dict[str, list[bool | float]] = Field(default_factory=dict)


def read_eap_json(path: str | Path, expected: Graph | None) -> EAPContent:
    """Read a file; ``expected`` is the query-head graph of the model, if it is known.

    Raises
    ------
    InputError
        If it is no such file, or of another model.
    """
    content = read_json(path, WHAT, EAPFile, MOST_BYTES, nan=True)
    with checking(path, WHAT):
        edges = [ends_of(name) for name in content.edges]
        check_same_model(content.cfg, edges, expected)
        graph = content.cfg.graph(expected)
        return EAPContent(content.cfg, graph, *_tensors(content, edges, graph), tuple(_notes(content)))


def _tensors(content: EAPFile, edges: list[tuple[str, str]], graph: Graph) -> tuple[Tensor, Tensor]:
    """Scores and circuit (U, V'); of a file without edges, the edges between its nodes."""
    scores = unscored(graph)
    if not edges:
        return scores, between_nodes(graph, [name for name in _kept(content) if name != LOGITS])
    places, given = _places(edges, graph), list(content.edges.values())
    if len(places.unique(dim=0)) < len(places):
        raise InputError("an edge is named twice")
    scores[places[:, 0], places[:, 1]] = torch.tensor(_scores(content), dtype=torch.float64)
    marked = torch.tensor([each.get("in_graph") is True for each in given])
    return scores, graph.mask_at(places[marked])


def _places(edges: Iterable[tuple[str, str]], graph: Graph) -> Tensor:
    writers, readers = (
        dict(zip(theirs, ours, strict=True))
        for theirs, ours in zip(their_names(graph), (graph.writers, graph.readers), strict=True)
    )
    named = [(writers.get(writer, writer), readers.get(reader, reader)) for writer, reader in edges]
    try:
        return graph.places(named)
    except InputError:
        raise InputError(f"its graph has no edge {', '.join(lacked(named, graph))}") from None


def _scores(content: EAPFile) -> list[float]:
    """A score for each edge, NaN if there is none."""
    scores = [each.get("score") for each in content.edges.values()]
    for name, score in zip(content.edges, scores, strict=True):
        if score is not None and (isinstance(score, bool) or not math.isfinite(score)):
            raise InputError(
                f"the score of {shortened(name)} is {score}: leave an edge without a score out, or give a number"
            )
    return [math.nan if score is None else score for score in scores]


def _kept(content: EAPFile) -> list[str]:
    """The nodes that are in the circuit."""
    return [name for name, node in content.nodes.items() if (node if isinstance(node, bool) else node.in_graph)]


def _notes(content: EAPFile) -> Iterable[str]:
    nodes = [node for node in content.nodes.values() if not isinstance(node, bool)]
    if not content.edges:
        yield "it has nodes and no edges: the circuit has all edges between them"
    if any(node.score is not None for node in nodes):
        yield "scores of nodes are left out"
    if content.neurons or any(node.neurons is not None or node.neurons_scores is not None for node in nodes):
        yield "neurons are left out: a node is kept whole"


def write_eap_json(path: str | Path, content: EAPContent) -> None:
    """Write the newest layout.

    Edges without a score that are not in the circuit are left out: EAP-IG reads them as 0.
    """
    writers, readers = their_names(content.graph)
    known = content.graph.mask & (content.mask | ~content.scores.isnan())
    places = known.T.nonzero().flip(1)
    rows, columns = places.T
    scores = content.scores[rows, columns].nan_to_num().tolist()
    marked = content.mask[rows, columns].tolist()
    edges = {
        f"{writers[row]}->{readers[column]}": {"score": score, "in_graph": kept}
        for (row, column), score, kept in zip(places.tolist(), scores, marked, strict=True)
    }
    kept = content.mask.any(1).tolist()
    nodes = {name: {"in_graph": each} for name, each in zip(writers, kept, strict=True)} | {LOGITS: {"in_graph": True}}
    text = to_json({"cfg": content.config.model_dump(), "nodes": nodes, "edges": edges})
    write_bytes(path, f"{text}\n".encode())
