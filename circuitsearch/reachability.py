"""Reachability in a graph: the paths from ``embed`` to ``logits`` through the edges of a mask."""

from __future__ import annotations

import networkx as nx
import torch
from torch import Tensor

from circuitsearch.graph import Graph
from circuitsearch.names import LOGITS


def prune(graph: Graph, mask: Tensor) -> Tensor:
    """Keep only the edges on a path from ``embed`` to ``logits``: a new boolean (U, V) mask.

    NetworkX would find the same as the descendants of ``embed`` and the ancestors of ``logits``; two sweeps over the blocks
    need no object per edge, of which a graph may have millions.

    Examples
    --------
    >>> graph = Graph(1, 2, 2)
    >>> mask = graph.edge_mask([("embed", "a0.h0<v>"), ("a0.h0", "logits"), ("a0.h1", "logits")])
    >>> list(graph.edges(prune(graph, mask)))
    [('embed', 'a0.h0<v>'), ('a0.h0', 'logits')]
    """
    after = torch.zeros(len(graph.writers), dtype=torch.bool)  # what comes after embed
    after[: graph.per_node] = True
    reached = torch.zeros(len(graph.readers), dtype=torch.bool)
    for part in graph.parts:
        reached[part.columns] = (mask[: part.seen, part.columns] & after[: part.seen, None]).any(0)
        after[part.rows] = (graph.feeds(part) & reached[part.columns, None]).any(0)
    before = mask[:, -1].clone()  # what comes before the logits
    counts = torch.zeros(len(graph.readers), dtype=torch.bool)
    counts[-1] = reached[-1] = True
    for part in reversed(graph.parts):
        counts[part.columns] = (graph.feeds(part) & before[part.rows]).any(1)
        before[: part.seen] |= (mask[: part.seen, part.columns] & counts[part.columns]).any(1)
    return mask & (after & before)[:, None] & (reached & counts)[None, :]


def touched(graph: Graph, mask: Tensor) -> Tensor:
    """Writers (U,) at either end of an edge of a mask (U, V): those that write to it, and those whose port reads from it.

    A key or value feeds its head in all spans that may come after it: of these spans, those in which the head has an
    outgoing edge count, or all if there are none.
    """
    written, entered = mask.any(1), mask.any(0)
    touched = written.clone()
    for part in graph.parts:
        fed = graph.feeds(part) & entered[part.columns, None]  # (readers, writers)
        if graph.spans:
            writing = fed & written[part.rows]
            fed = torch.where(writing.any(1, keepdim=True), writing, fed)
        touched[part.rows] |= fed.any(0)
    return touched


def components(graph: Graph, reader: str) -> list[str]:
    """Writers that a port feeds: its head, every head of its group, its MLP, or every expert of its router.

    Examples
    --------
    >>> components(Graph(2, 4, 2), "a1.kv1<k>")
    ['a1.h2', 'a1.h3']
    """
    if reader == LOGITS:
        return []
    column = graph.reader_index[reader]
    part = graph.part_of_reader[column]
    fed = graph.feeds(part)[column - part.columns.start].nonzero().flatten()
    return [graph.writers[part.rows.start + row] for row in fed.tolist()]


def digraph(graph: Graph, mask: Tensor | None = None) -> nx.DiGraph:
    """Convert the edges of a mask (all by default) to NetworkX: writers and ports are nodes, and a port feeds its component."""
    nodes = nx.DiGraph()
    nodes.add_nodes_from((*graph.writers[: graph.per_node], LOGITS))
    nodes.add_edges_from(graph.edges(graph.mask if mask is None else mask))
    for reader in [node for node in nodes if "<" in node]:
        nodes.add_edges_from((reader, component) for component in components(graph, reader))
    return nodes
