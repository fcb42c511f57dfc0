"""Between graphs whose heads share keys and values and other programs' graphs, in which each head has its own."""

from __future__ import annotations

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.names import canonical_reader


def query_head_graph(graph: Graph, form: str) -> Graph:
    """The graph with a k and a v port for each head, the only one that other programs know.

    Raises
    ------
    InputError
        If some blocks are not attention heads and an MLP, or the nodes are not whole heads and MLPs over all positions.

    Examples
    --------
    >>> query_head_graph(Graph(2, 4, 2), "EAP-IG graph").n_edges, Graph(2, 4, 2).n_edges
    (110, 82)
    """
    blocks = set(graph.blocks) or {"heads+mlp" if graph.parallel else "heads>mlp"}
    if len(blocks) > 1 or not blocks <= {"heads+mlp", "heads>mlp"}:
        raise InputError(
            f"an {form} has blocks of attention heads and an MLP, and this graph has {', '.join(sorted(blocks))}"
        )
    chosen = graph.granularity
    if chosen.merged_heads or chosen.neurons or graph.spans:
        raise InputError(
            f"an {form} has nodes for whole heads and MLPs over all positions, and this graph has {chosen}"
        )
    return Graph(graph.n_layers, graph.n_heads, graph.n_heads, parallel=blocks == {"heads+mlp"})


def columns_of(theirs: Graph, ours: Graph) -> Tensor:
    """For each reader of a query-head graph the column of the same reader, or of its group, in ours: (V',)."""
    names = (canonical_reader(name, ours.n_heads, ours.key_heads) for name in theirs.readers)
    return torch.tensor([ours.reader_index[name] for name in names])


def share(scores: Tensor, columns: Tensor) -> Tensor:
    """Divide a group's scores (U, V) equally among its heads: (U, V'); :func:`fold` gives the same numbers back, to the last bit.

    The last head takes what the others leave, a difference of two numbers within a factor of two, which is exact (Sterbenz).

    Examples
    --------
    >>> ours = Graph(1, 14, 2)
    >>> columns = columns_of(query_head_graph(ours, "EAP-IG graph"), ours)
    >>> scores = torch.rand(ours.mask.shape, dtype=torch.float64)
    >>> torch.equal(fold(share(scores, columns), columns), scores)
    True
    """
    size = columns.bincount()
    shares, given = (scores / size)[:, columns], torch.zeros_like(scores)
    for count, heads in enumerate(_in_turn(columns), 1):
        group = columns[heads]
        shares[:, heads] = torch.where(size[group] == count, scores[:, group] - given[:, group], shares[:, heads])
        given[:, group] += shares[:, heads]
    return shares


def fold(shares: Tensor, columns: Tensor) -> Tensor:
    """Sum the scores of each group's heads, in their order: (U, V') to (U, V)."""
    scores = shares.new_zeros(len(shares), int(columns.max()) + 1)
    for heads in _in_turn(columns):
        scores[:, columns[heads]] += shares[:, heads]
    return scores


def _in_turn(columns: Tensor) -> list[Tensor]:
    """Readers of a query-head graph: the first head of every group, then the second of every group, and so on."""
    order = columns.argsort(stable=True)
    first = columns[order].diff(prepend=columns.new_tensor([-1])).ne(0).nonzero().flatten()
    size = columns.bincount()
    turn = torch.arange(len(columns)) - first.repeat_interleave(size)
    return [order[turn == count] for count in range(int(size.max()))]
