"""The computational graph: writers, readers (ports) and the edges between them.

A *writer* adds to the residual stream: ``embed``, a head ``a3.h1``, an MLP ``m3``. A *reader*, or *port*, reads
it: ``a3.h1<q>``, ``a3.h1<k>``, ``a3.h1<v>``, ``m3<in>``, ``logits``. An edge is a (writer, reader) pair, the
reader later in the stream. Where heads share keys and values the k or v port belongs to the group: ``a3.kv0<k>``.

In tensors a set of edges is a boolean (U, V) mask over ``writers`` and ``readers``; there is no object per edge.
The constants that belong to no head or MLP (output-projection biases) are never cut, so they have no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from circuitsearch.errors import InputError, unknown

EMBED, LOGITS = "embed", "logits"
PORTS = ("q", "k", "v")


@dataclass(frozen=True)
class Graph:
    """The graph of a decoder whose blocks each hold attention heads and one MLP.

    Parameters
    ----------
    n_layers, n_heads, n_kv_heads : int
        Blocks, query heads a block, key-value heads a block.
    parallel : bool
        Whether a block's MLP reads the stream beside its attention rather than after it.

    Examples
    --------
    >>> graph = Graph(n_layers=12, n_heads=12, n_kv_heads=12)
    >>> graph.n_edges, len(graph.writers), len(graph.readers)
    (32491, 157, 445)
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: bool = False

    # ---- names

    @cached_property
    def writers(self) -> tuple[str, ...]:
        """Names of the U writers, in the order in which they write."""
        layers = [[*(f"a{i}.h{h}" for h in range(self.n_heads)), f"m{i}"] for i in range(self.n_layers)]
        return (EMBED, *(name for layer in layers for name in layer))

    @cached_property
    def readers(self) -> tuple[str, ...]:
        """Names of the V readers, in the order in which they read."""
        names: list[str] = []
        for layer in range(self.n_layers):
            names += [
                f"{self._port_owner(layer, port, h)}<{port}>" for port in PORTS for h in range(self.port_heads(port))
            ]
            names.append(f"m{layer}<in>")
        return (*names, LOGITS)

    def _port_owner(self, layer: int, port: str, head: int) -> str:
        grouped = port != "q" and self.n_kv_heads < self.n_heads
        return f"a{layer}.kv{head}" if grouped else f"a{layer}.h{head}"

    def port_heads(self, port: str) -> int:
        """How many ports of this kind (``q``, ``k`` or ``v``) a layer has."""
        return self.n_heads if port == "q" else self.n_kv_heads

    @cached_property
    def writer_index(self) -> dict[str, int]:
        """Row of each writer."""
        return {name: row for row, name in enumerate(self.writers)}

    @cached_property
    def reader_index(self) -> dict[str, int]:
        """Column of each reader."""
        return {name: column for column, name in enumerate(self.readers)}

    # ---- where a component's rows and columns lie

    @property
    def _readers_per_layer(self) -> int:
        return self.n_heads + 2 * self.n_kv_heads + 1

    def head_writers(self, layer: int) -> slice:
        """Rows of a layer's heads."""
        first = 1 + layer * (self.n_heads + 1)
        return slice(first, first + self.n_heads)

    def mlp_writer(self, layer: int) -> int:
        """Row of a layer's MLP."""
        return (layer + 1) * (self.n_heads + 1)

    def port_readers(self, layer: int, port: str) -> slice:
        """Columns of a layer's ports of one kind (``q``, ``k`` or ``v``)."""
        before = {"q": 0, "k": self.n_heads, "v": self.n_heads + self.n_kv_heads}[port]
        first = layer * self._readers_per_layer + before
        return slice(first, first + self.port_heads(port))

    def attention_readers(self, layer: int) -> slice:
        """Columns of all q, k and v ports of a layer."""
        first = layer * self._readers_per_layer
        return slice(first, first + self._readers_per_layer - 1)

    def mlp_reader(self, layer: int) -> int:
        """Column of a layer's MLP port."""
        return (layer + 1) * self._readers_per_layer - 1

    def visible_writers(self, reader: int) -> int:
        """How many writers, counted from ``embed``, stand before the reader in the stream."""
        layer = reader // self._readers_per_layer
        if layer == self.n_layers:
            return len(self.writers)
        before = 1 + layer * (self.n_heads + 1)
        after_attention = reader == self.mlp_reader(layer) and not self.parallel
        return before + self.n_heads if after_attention else before

    @cached_property
    def mask(self) -> Tensor:
        """All edges, as a boolean (U, V) tensor; treat it as read-only."""
        visible = torch.tensor([self.visible_writers(column) for column in range(len(self.readers))])  # (V,)
        return torch.arange(len(self.writers))[:, None] < visible[None, :]

    @cached_property
    def n_edges(self) -> int:
        """How many edges the graph has."""
        return sum(self.visible_writers(column) for column in range(len(self.readers)))

    # ---- from names to places and back

    def find_writer(self, name: str) -> int:
        """Row of the writer that a person called ``name``, in any tool's spelling.

        Examples
        --------
        >>> graph = Graph(2, 4, 4)
        >>> graph.find_writer("a1.h2") == graph.find_writer("1.2") == graph.find_writer("L1H2")
        True
        """
        canonical = canonical_name(name)
        if canonical not in self.writer_index:
            raise unknown("writer", name, self.writers)
        return self.writer_index[canonical]

    def find_reader(self, name: str) -> int:
        """Column of the reader that a person called ``name``; a head's k or v port finds its group's."""
        canonical = canonical_name(name)
        if re.fullmatch(r"m\d+", canonical):
            canonical += "<in>"
        head = re.fullmatch(r"a(\d+)\.h(\d+)<([kv])>", canonical)
        if head and self.n_kv_heads < self.n_heads:
            layer, index, port = int(head[1]), int(head[2]), head[3]
            canonical = f"a{layer}.kv{index * self.n_kv_heads // self.n_heads}<{port}>"
        if canonical not in self.reader_index:
            raise unknown("reader", name, self.readers)
        return self.reader_index[canonical]

    def find_edge(self, edge: tuple[str, str]) -> tuple[int, int]:
        """Row and column of the (writer, reader) that a person named.

        Raises
        ------
        InputError
            If a name is unknown, or the reader does not come after the writer.
        """
        writer, reader = edge
        row, column = self.find_writer(writer), self.find_reader(reader)
        if not self.mask[row, column]:
            raise InputError(f"{writer}->{reader} is no edge: the reader must come later in the stream than the writer")
        return row, column

    def edge_mask(self, edges: Iterable[tuple[str, str]]) -> Tensor:
        """Boolean (U, V) mask of the named edges.

        Raises
        ------
        InputError
            If a name is unknown, or the reader does not come after the writer.
        """
        mask = torch.zeros_like(self.mask)
        for edge in edges:
            mask[self.find_edge(edge)] = True
        return mask

    def edges(self, mask: Tensor) -> Iterator[tuple[str, str]]:
        """Name the edges of a (U, V) mask, in the stream's order of readers."""
        for column, row in torch.nonzero(mask.T).tolist():
            yield self.writers[row], self.readers[column]

    # ---- NetworkX

    def networkx(self, mask: Tensor | None = None) -> nx.DiGraph:
        """View the edges of a mask (all by default) as a DiGraph of writers and ports; each port feeds its component."""
        digraph = nx.DiGraph()
        digraph.add_nodes_from((EMBED, LOGITS))
        digraph.add_edges_from(self.edges(self.mask if mask is None else mask))
        for reader in [node for node in digraph if "<" in node]:
            digraph.add_edges_from((reader, component) for component in self.components(reader))
        return digraph

    def components(self, reader: str) -> list[str]:
        """Writers that a port feeds: its head, every head of its group, or its MLP.

        Examples
        --------
        >>> Graph(2, 4, 2).components("a1.kv1<k>")
        ['a1.h2', 'a1.h3']
        """
        if reader == LOGITS:
            return []
        owner = reader.partition("<")[0]
        group = re.fullmatch(r"a(\d+)\.kv(\d+)", owner)
        if not group:
            return [owner]
        size = self.n_heads // self.n_kv_heads
        return [f"a{group[1]}.h{head}" for head in range(int(group[2]) * size, (int(group[2]) + 1) * size)]

    def prune(self, mask: Tensor) -> Tensor:
        """Keep only the edges that lie on a path from ``embed`` to ``logits``; a new (U, V) mask."""
        digraph = self.networkx(mask)
        alive = (nx.descendants(digraph, EMBED) | {EMBED}) & (nx.ancestors(digraph, LOGITS) | {LOGITS})
        rows = np.fromiter((name in alive for name in self.writers), bool, len(self.writers))
        columns = np.fromiter((name in alive for name in self.readers), bool, len(self.readers))
        return mask & torch.from_numpy(rows)[:, None] & torch.from_numpy(columns)[None, :]


# Other tools' spellings: the pattern, and the canonical name that it stands for.
_SPELLINGS = [
    (r"input|hook_embed|blocks\.0\.hook_resid_pre", EMBED),
    (r"output|resid_final|blocks\.\d+\.hook_resid_post", LOGITS),
    (r"(\d+)\.(\d+)", r"a\1.h\2"),
    (r"[LA](\d+)\.?H(\d+)", r"a\1.h\2"),
    (r"(?:MLP|mlp) ?(\d+)", r"m\1"),
    (r"blocks\.(\d+)\.hook_mlp_out", r"m\1"),
    (r"blocks\.(\d+)\.hook_mlp_in", r"m\1<in>"),
    (r"blocks\.(\d+)\.attn\.hook_(?:z|result)\D*(\d+)\]?", r"a\1.h\2"),
    (r"blocks\.(\d+)\.(?:attn\.)?hook_([qkv])(?:_input)?\D*(\d+)\]?", r"a\1.h\3<\2>"),
]


def canonical_name(name: str) -> str:
    """Translate another tool's spelling of a node into ours; a name that matches none comes back as it is.

    Examples
    --------
    >>> [canonical_name(name) for name in ("9.9<q>", "L9H9", "blocks.9.attn.hook_z.9", "input", "MLP 3")]
    ['a9.h9<q>', 'a9.h9', 'a9.h9', 'embed', 'm3']
    >>> canonical_name("blocks.1.hook_k_input[:, :, 3]")
    'a1.h3<k>'
    """
    owner, bracket, port = name.strip().partition("<")
    for pattern, replacement in _SPELLINGS:
        if re.fullmatch(pattern, owner):
            return re.sub(pattern, replacement, owner) + bracket + port
    return name.strip()
