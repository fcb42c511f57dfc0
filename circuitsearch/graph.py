"""The computational graph: writers, readers (ports) and the edges between them.

A *writer* adds to the residual stream: ``embed``, a head ``a3.h1``, an MLP ``m3``. A *reader*, or *port*, reads
it: ``a3.h1<q>``, ``a3.h1<k>``, ``a3.h1<v>``, ``m3<in>``, ``logits``. An edge is a (writer, reader) pair, the
reader later in the stream. Where heads share keys and values the k or v port belongs to the group: ``a3.kv0<k>``.

In tensors a set of edges is a boolean (U, V) mask over ``writers`` and ``readers``; there is no object per edge.
The constants that belong to no head or MLP (output-projection biases) are never ablated, so they have no row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from circuitsearch.blocks import Part, check_block, feeds_between, feeds_within, parts_of
from circuitsearch.errors import InputError, unknown
from circuitsearch.files import STRICT
from circuitsearch.granularity import REST, WHOLE, Granularity
from circuitsearch.names import EMBED, LOGITS, PORTS, canonical_name, canonical_reader, readers_of, writers_of

_MOST_BLOCKS = 10_000
_MOST_PLACES = 1 << 31  # entries of a mask; Llama 405B has 1.3 billion with the neurons of one block as nodes


@dataclass(frozen=True)
class Graph:
    """The graph of a decoder: blocks of attention heads, MLPs and other parts that read the residual stream and add to it.

    Parameters
    ----------
    n_layers, n_heads, n_kv_heads : int
        Blocks, query heads per block, key-value heads per block.
    parallel : bool
        Whether a block's MLP reads the same stream as its attention rather than the stream after it.
    blocks : tuple of str
        The parts of each block, if they are not attention heads and an MLP. Stages are in the order in which they read
        the stream, separated by ``>``; parts that read the same stream are joined by ``+``: ``"heads>mlp"``,
        ``"heads+mlp"``, ``"mixer>mlp"``, ``"heads+mixer>experts:8"``. ``"shifted"`` is an MLP that also reads the previous
        position, and so a mixer.
    granularity : Granularity
        What the nodes are.

    Examples
    --------
    >>> graph = Graph(n_layers=12, n_heads=12, n_kv_heads=12)
    >>> graph.n_edges, len(graph.writers), len(graph.readers)
    (32491, 157, 445)
    >>> Graph(2, 4, 4, blocks=("mixer", "heads+mlp")).writers
    ('embed', 's0', 'a1.h0', 'a1.h1', 'a1.h2', 'a1.h3', 'm1')
    """

    __pydantic_config__ = STRICT

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: bool = False
    blocks: tuple[str, ...] = ()
    granularity: Granularity = WHOLE

    def __post_init__(self) -> None:  # plain JSON types, when they come from a file
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if isinstance(self.granularity, dict):
            object.__setattr__(self, "granularity", Granularity(**self.granularity))
        self._check_blocks()
        self._check_size()

    def _check_blocks(self) -> None:
        if not 1 <= self.n_layers <= _MOST_BLOCKS:
            raise InputError(f"a graph has 1 to {_MOST_BLOCKS:,} blocks, not {self.n_layers}")
        if self.n_heads < 1 or self.n_kv_heads < 1 or self.n_heads % self.n_kv_heads:
            raise InputError(
                f"{self.n_heads} heads cannot share {self.n_kv_heads} keys and values: groups must be equal"
            )
        if self.blocks and len(self.blocks) != self.n_layers:
            raise InputError(f"the graph has {self.n_layers} blocks, but the parts of {len(self.blocks)} are given")
        if not all(layer in range(self.n_layers) for layer in self.granularity.neurons):
            raise InputError(
                f"neurons of blocks {self.granularity.neurons} cannot be nodes: the graph has {self.n_layers} blocks"
            )
        for block in set(self.blocks):
            check_block(block)

    def _check_size(self) -> None:
        """Refuse a graph whose (U, V) mask would not fit into memory, before its names are made."""
        rows, columns = self.parts[-1].rows.stop, self.parts[-1].columns.stop + 1
        if rows * columns > _MOST_PLACES:
            raise InputError(
                f"a graph of {rows:,} writers and {columns:,} readers is too large: take larger nodes, MLPs instead of"
                " neurons, or fewer positions or spans"
            )

    @property
    def merged(self) -> bool:
        """Whether a block's heads are one node."""
        return self.granularity.merged_heads

    @cached_property
    def spans(self) -> tuple[str, ...]:
        """Token spans that have nodes of their own; the last is that of all other tokens. Empty if there are none."""
        named = self.granularity.spans
        return (*named, REST) if named else tuple(f"t{position}" for position in range(self.granularity.positions))

    @cached_property
    def per_node(self) -> int:
        """How many nodes a component has: one for each span."""
        return self.granularity.positions or len(self.granularity.spans) + bool(self.granularity.spans) or 1

    @cached_property
    def key_heads(self) -> int:
        """How many k ports, and how many v ports, a block has if heads are not merged."""
        return self.n_heads if self.granularity.query_heads else self.n_kv_heads

    @cached_property
    def base(self) -> Graph:
        """The graph in which the model is run: every head a node, over all positions alike."""
        whole = replace(self.granularity, merged_heads=False, spans=(), positions=0)
        return replace(self, granularity=whole) if self.merged or self.spans else self

    # ---- parts of the blocks

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every part of every block, in the stream's order."""
        blocks = self.blocks or (("heads+mlp" if self.parallel else "heads>mlp"),) * self.n_layers
        return tuple(parts_of(blocks, self.n_heads, self._width, self.per_node))

    def _width(self, kind: str, size: int) -> tuple[int, int]:
        """How many writers and readers a part has."""
        if kind == "heads":
            rows, columns = (1, 3) if self.merged else (size, size + 2 * self.key_heads)
        else:
            rows, columns = size, size + 1 if kind == "experts" else 1
        return rows * self.per_node, columns * self.per_node

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the parts, those of one stage together."""
        together: dict[tuple[int, int], list[int]] = {}
        for index, part in enumerate(self.parts):
            together.setdefault((part.layer, part.stage), []).append(index)
        return tuple(map(tuple, together.values()))

    @cached_property
    def part_of_reader(self) -> tuple[Part, ...]:
        """The part of each reader except the last one, the logits."""
        return tuple(part for part in self.parts for _ in range(part.columns.start, part.columns.stop))

    def part(self, letter: str, layer: int) -> Part:
        """A block's attention (``a``), MLP (``m``) or mixer (``s``)."""
        return self._part_of[letter, layer]

    @cached_property
    def _part_of(self) -> dict[tuple[str, int], Part]:
        return {(part.letter, part.layer): part for part in reversed(self.parts)}

    def feeds(self, part: Part) -> Tensor:
        """Which of a part's readers feed which of its writers: boolean (readers, writers); treat it as read-only."""
        key = (part.kind, part.size)
        if key not in self._feeds:
            feeds, moves = feeds_within(part, self.port_heads("q"), self.port_heads("k"))
            ordered = self.granularity.positions > 0
            self._feeds[key] = feeds_between(feeds, moves, len(self.spans), ordered) if self.spans else feeds
        return self._feeds[key]

    @cached_property
    def _feeds(self) -> dict[tuple[str, int], Tensor]:
        return {}

    # ---- names

    @cached_property
    def writers(self) -> tuple[str, ...]:
        """Names of the U writers, in the order in which they write."""
        return self._spread([EMBED, *(name for part in self.parts for name in writers_of(part, self.merged))])

    @cached_property
    def readers(self) -> tuple[str, ...]:
        """Names of the V readers, in the order in which they read."""
        names = [name for part in self.parts for name in readers_of(part, self.merged, self.key_heads)]
        return (*self._spread(names), LOGITS)

    def _spread(self, names: list[str]) -> tuple[str, ...]:
        return tuple(f"{name}@{span}" for name in names for span in self.spans) if self.spans else tuple(names)

    def port_heads(self, port: str) -> int:
        """How many ports of this kind (``q``, ``k`` or ``v``) a layer has."""
        if self.merged:
            return 1
        return self.n_heads if port == "q" else self.key_heads

    @cached_property
    def writer_index(self) -> dict[str, int]:
        """Row of each writer."""
        return {name: row for row, name in enumerate(self.writers)}

    @cached_property
    def reader_index(self) -> dict[str, int]:
        """Column of each reader."""
        return {name: column for column, name in enumerate(self.readers)}

    # ---- edges

    def port_readers(self, layer: int, port: str) -> slice:
        """Columns of a layer's ports of one kind (``q``, ``k`` or ``v``)."""
        before = [self.port_heads(earlier) for earlier in PORTS[: PORTS.index(port)]]
        first = self.part("a", layer).columns.start + self.per_node * sum(before)
        return slice(first, first + self.per_node * self.port_heads(port))

    @cached_property
    def _visible(self) -> list[int]:
        """How many writers come before each reader."""
        return [*(part.seen for part in self.part_of_reader), len(self.writers)]

    def visible_writers(self, reader: int) -> int:
        """How many writers, counted from the first, come before the reader in the stream."""
        return self._visible[reader]

    @cached_property
    def mask(self) -> Tensor:
        """All edges, as a boolean (U, V) tensor; treat it as read-only."""
        rows, columns = torch.arange(len(self.writers)), torch.arange(len(self.readers))
        mask = rows[:, None] < torch.tensor(self._visible)[None, :]
        if self.spans:  # the residual stream moves nothing between positions; the logits read it at every span
            same = (rows[:, None] - columns[None, :]) % len(self.spans) == 0
            same[:, -1] = True
            mask &= same
        return mask

    @cached_property
    def n_edges(self) -> int:
        """How many edges the graph has."""
        return sum(self._visible[:-1]) // self.per_node + self._visible[-1]

    # ---- to and from the base graph, in which the model is run

    @cached_property
    def _atoms(self) -> tuple[Tensor, Tensor]:
        """Row and column in this graph of each writer and reader of the base graph, span by span: (S, U'), (S, V')."""
        rows, columns = [torch.zeros(1, dtype=torch.long)], []
        for own, fine in zip(self.parts, self.base.parts, strict=True):
            merged = own.kind == "heads" and self.merged
            n_rows, n_columns = fine.rows.stop - fine.rows.start, fine.columns.stop - fine.columns.start
            groups = [self.base.port_heads(port) for port in PORTS]
            ports = torch.arange(3).repeat_interleave(torch.tensor(groups)) if merged else torch.arange(n_columns)
            within = torch.zeros(n_rows, dtype=torch.long) if merged else torch.arange(n_rows)
            rows.append(own.rows.start + within * self.per_node)
            columns.append(own.columns.start + ports * self.per_node)
        span = torch.arange(self.per_node)[:, None]
        to_logits = torch.full((self.per_node, 1), len(self.readers) - 1)
        rows[0] = rows[0] * self.per_node
        return torch.cat(rows) + span, torch.cat([torch.cat(columns) + span, to_logits], 1)

    def expand(self, mask: Tensor) -> Tensor:
        """The edges of the base graph that a (..., U, V) mask keeps, in each span: (..., U', V', S)."""
        if self.base is self:
            return mask[..., None]
        rows, columns = self._atoms
        spans = [mask[..., row, :][..., column] for row, column in zip(rows, columns, strict=True)]
        return torch.stack(spans, -1)

    def expand_edges(self, edges: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The edges of the base graph that these edges (E, 2) stand for: which of them, row, column and span, (E',) each."""
        if self.base is self:
            return torch.arange(len(edges)), edges[:, 0], edges[:, 1], torch.zeros(len(edges), dtype=torch.long)
        found: list[Tensor] = []
        for span, (row, column) in enumerate(zip(*self._atoms, strict=True)):
            of_row, rows = _members(row, edges[:, 0])
            of_column, columns = _members(column, edges[of_row, 1])
            found.append(torch.stack([of_row[of_column], rows[of_column], columns, torch.full_like(columns, span)]))
        which, rows, columns, spans = torch.cat(found, 1)
        return which, rows, columns, spans

    def collapse(self, scores: Tensor) -> Tensor:
        """Sum scores (U', V', S) of the base graph's edges in each span to scores of this graph's edges: (U, V)."""
        if self.base is self:
            return scores[..., 0]
        out = scores.new_zeros(len(self.writers), len(self.readers))
        for span, (row, column) in enumerate(zip(*self._atoms, strict=True)):
            place = row[:, None] * len(self.readers) + column
            out.view(-1).index_add_(0, place.flatten().to(out.device), scores[..., span].flatten())
        return out

    # ---- from names to rows and columns, and back

    def find_writer(self, name: str) -> int:
        """Row of the writer ``name``, in any tool's spelling.

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
        """Column of the reader ``name``, in any tool's spelling; the name of a head's k or v port gives that of its group."""
        canonical = canonical_reader(name, self.n_heads, self.key_heads)
        if canonical not in self.reader_index:
            raise unknown("reader", name, self.readers)
        return self.reader_index[canonical]

    def find_edge(self, edge: tuple[str, str]) -> tuple[int, int]:
        """Row and column of a (writer, reader) pair, in any tool's spelling.

        Raises
        ------
        InputError
            If a name is unknown, or the reader does not come after the writer.
        """
        writer, reader = edge
        row, column = self.find_writer(writer), self.find_reader(reader)
        if not self.mask[row, column]:
            raise InputError(
                f"{writer}->{reader} is not an edge: the reader must come later in the stream than the writer"
            )
        return row, column

    def edge_mask(self, edges: Iterable[tuple[str, str]]) -> Tensor:
        """Boolean (U, V) mask of the named edges.

        Raises
        ------
        InputError
            If a name is unknown, or the reader does not come after the writer.
        """
        return self.mask_at(self.places(edges))

    def places(self, edges: Iterable[tuple[str, str]]) -> Tensor:
        """Rows and columns (E, 2) of the named edges.

        Raises
        ------
        InputError
            If a name is unknown, or the reader does not come after the writer.
        """
        writers, readers = self.writer_index, self.reader_index
        flat = array("q")  # rows and columns in turn: eight bytes each, where a list of pairs would take a hundred
        for edge in edges:
            row, column = writers.get(edge[0]), readers.get(edge[1])
            flat.extend(self.find_edge(edge) if row is None or column is None else (row, column))
        places = torch.tensor(flat, dtype=torch.long).view(-1, 2)
        for row, column in places[~self.mask[places[:, 0], places[:, 1]]].tolist():
            self.find_edge((self.writers[row], self.readers[column]))  # raises
        return places

    def mask_at(self, places: Tensor) -> Tensor:
        """Boolean (U, V) mask of the edges at some rows and columns (E, 2)."""
        mask = torch.zeros_like(self.mask)
        mask[places[:, 0], places[:, 1]] = True
        return mask

    def edge_name(self, row: int, column: int) -> str:
        """The name of an edge, ``"a0.h1->a2.h3<q>"``."""
        return f"{self.writers[row]}->{self.readers[column]}"

    def edges(self, mask: Tensor) -> Iterator[tuple[str, str]]:
        """Name the edges of a (U, V) mask, in the stream's order of readers."""
        writers = self.writers
        for column in mask.any(0).nonzero().flatten().tolist():  # one reader at a time: there may be millions of edges
            reader = self.readers[column]
            yield from ((writers[row], reader) for row in mask[:, column].nonzero().flatten().tolist())


def _members(groups: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """The places in ``groups`` of each group that is asked for: which question, and place, one pair after another."""
    order, counts = groups.argsort(stable=True), groups.bincount(minlength=int(asked.max()) + 1 if len(asked) else 0)
    starts, of_asked = counts.cumsum(0) - counts, counts[asked]
    which = torch.arange(len(asked)).repeat_interleave(of_asked)
    within = torch.arange(len(which)) - (of_asked.cumsum(0) - of_asked)[which]
    return which, order[starts[asked[which]] + within]
