"""From the names of a path, of senders or of receivers to rows and columns of the graph."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.names import canonical_name
from circuitsearch.reachability import components

Names = str | Iterable[str]
Path = str | Iterable[tuple[str, str]]


def path_edges(graph: Graph, path: Path) -> list[tuple[int, int]]:
    """Rows and columns of a path's edges, from its sender to its last reader.

    Parameters
    ----------
    graph : Graph
        Of the model.
    path : str or iterable of (writer, reader)
        ``"a0.h0->a1.h2<k>->logits"``, or the edges ``[("a0.h0", "a1.h2<k>"), ("a1.h2", "logits")]``. In a string a port
        names the head through which the path continues, even if heads share the port.

    Raises
    ------
    InputError
        If a name is unknown, a reader does not come after its writer, or an edge does not continue the one before.

    Examples
    --------
    >>> graph = Graph(2, 4, 2)
    >>> [(graph.writers[row], graph.readers[column]) for row, column in path_edges(graph, "a0.h0->a1.h2<k>->logits")]
    [('a0.h0', 'a1.kv1<k>'), ('a1.h2', 'logits')]
    """
    names = _edges_in(graph, path) if isinstance(path, str) else list(path)
    if not names:
        raise InputError("the path has no edge: give at least one, as in 'a0.h0->logits'")
    for _, reader in names:
        find_port(graph, reader)
    edges = [graph.find_edge(edge) for edge in names]
    for (_, column), (row, _) in pairwise(edges):
        port, writer = graph.readers[column], graph.writers[row]
        if writer not in components(graph, port):
            fed = ", ".join(components(graph, port)) or "nothing"
            raise InputError(f"the path cannot continue from {port} to {writer}: the port feeds {fed}")
    return edges


def _edges_in(graph: Graph, path: str) -> list[tuple[str, str]]:
    nodes = [node.strip() for node in path.split("->")]
    if len(nodes) < 2 or not all(nodes):
        raise InputError(f"{path!r} is not a path: write it as 'a0.h0->a1.h2<k>->logits', from a writer to a reader")
    through = [_head_or_mlp(graph, node) for node in nodes[1:-1]]
    return list(zip([nodes[0], *through], nodes[1:], strict=True))


def _head_or_mlp(graph: Graph, node: str) -> str:
    """Find the writer through which a path continues from the reader named ``node``."""
    fed = components(graph, graph.readers[find_port(graph, node)])
    owner = canonical_name(node).partition("<")[0]
    if owner in fed:
        return owner
    if not fed:
        raise InputError("a path ends at the logits: nothing comes after them")
    port = canonical_name(node).partition("<")[2]
    raise InputError(
        f"{node} feeds {', '.join(fed)}: name the one through which the path continues, as in {fed[0]}<{port}"
    )


def find_port(graph: Graph, name: str) -> int:
    """Column of a reader; an InputError lists the ports if the name is that of a head."""
    canonical = canonical_name(name)
    if canonical in graph.writer_index and canonical.startswith("a"):
        ports = ", ".join(f"{canonical}<{port}>" for port in ("q", "k", "v"))
        raise InputError(f"{name} is a head, which reads at three ports: name one of {ports}")
    return graph.find_reader(name)


def readers_named(graph: Graph, names: Names) -> Tensor:
    """Boolean (V,) of the named readers; an InputError if there is none or one is unknown."""
    chosen = torch.zeros(len(graph.readers), dtype=torch.bool)
    chosen[[find_port(graph, name) for name in _several(names, "receiver", "a1.h2<k>")]] = True
    return chosen


def writers_named(graph: Graph, names: Names) -> Tensor:
    """Boolean (U,) of the named writers; an InputError if there is none or one is unknown."""
    chosen = torch.zeros(len(graph.writers), dtype=torch.bool)
    chosen[[graph.find_writer(name) for name in _several(names, "sender", "a0.h0")]] = True
    return chosen


def _several(names: Names, kind: str, example: str) -> list[str]:
    several = [names] if isinstance(names, str) else list(names)
    if not several:
        raise InputError(f"there is no {kind}: name at least one, as in {example!r}")
    return several
