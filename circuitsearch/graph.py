"""The computational graph: writers, readers (ports) and the edges between them.

A *writer* adds to the residual stream: ``embed``, a head ``a3.h1``, an MLP ``m3``. A *reader*, or *port*, reads
it: ``a3.h1<q>``, ``a3.h1<k>``, ``a3.h1<v>``, ``m3<in>``, ``logits``. An edge is a (writer, reader) pair, the
reader later in the stream. Where heads share keys and values the k or v port belongs to the group: ``a3.kv0<k>``.

In tensors a set of edges is a boolean (U, V) mask over ``writers`` and ``readers``; there is no object per edge.
The constants that belong to no head or MLP (output-projection biases) are never cut, so they have no row.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property

import networkx as nx
import torch
from torch import Tensor

from circuitsearch.errors import InputError, shortened, unknown
from circuitsearch.files import STRICT

EMBED, LOGITS = "embed", "logits"
REST = "rest"  # the span of tokens that are in no named one
PORTS = ("q", "k", "v")


@dataclass(frozen=True)
class Granularity:
    """What counts as a node of the graph; by default every head and every MLP, over all positions.

    Attributes
    ----------
    merged_heads : bool
        A block's heads are one node, ``a3``, with one q, k and v port.
    query_heads : bool
        Where heads share keys and values, each has k and v ports of its own; a group's share is the sum over its heads.
    neurons : tuple of int
        Blocks whose MLP is a node a neuron, ``m3.n17``; they share the MLP's port.
    experts : bool
        In a mixture of experts each is a node, ``m3.e5``, with a port of its own; so has the router, ``m3.router<in>``,
        which feeds them all. What it gives is what it adds to the stream: its output, weighted as it is routed. An expert
        that all tokens share is a node too, ``m3.shared``.
    spans : tuple of str
        Token spans that the task names (``"IO"``, ``"END"``), each of which has nodes of its own: ``a0.h1@IO``. Tokens in
        none of them are ``"rest"``.
    positions : int
        The number of tokens of every prompt, where each position has nodes of its own: ``a0.h1@t3``.

    Raises
    ------
    InputError
        If a span is named twice or ``"rest"``, or both spans and positions are given.
    """

    __pydantic_config__ = STRICT

    merged_heads: bool = False
    query_heads: bool = False
    neurons: tuple[int, ...] = ()
    experts: bool = False
    spans: tuple[str, ...] = ()
    positions: int = 0

    def __post_init__(self) -> None:
        for name in ("neurons", "spans"):  # lists, when they come from a file
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "neurons", tuple(sorted(set(self.neurons))))
        if len(set(self.spans)) < len(self.spans) or REST in self.spans:
            raise InputError(
                f"spans must be named once each, and {REST!r} is the name of all other tokens: {self.spans}"
            )
        if any(not re.fullmatch(r"[^\s@<>]+", name) or "->" in name for name in self.spans):
            raise InputError(f"a span's name must be a word without '@', '<' and '>': {self.spans}")
        if self.positions < 0 or (self.positions and self.spans):
            raise InputError(
                "give spans, or a number of positions above 0, not both: every position is a span of its own"
            )

    def __repr__(self) -> str:
        chosen = {
            each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) != each.default
        }
        return f"Granularity({', '.join(f'{name}={value!r}' for name, value in chosen.items())})"


WHOLE = Granularity()


@dataclass(frozen=True)
class Part:
    """One part of a block, and where it stands in the graph.

    Attributes
    ----------
    kind : str
        ``heads`` (attention, a writer a head and q, k and v ports), ``mlp``, ``neurons`` (an MLP, a writer a neuron),
        ``experts`` (an MLP, a writer and a port an expert, and a port of their router), ``shared`` (the expert beside them
        that all tokens share), or ``mixer`` (what moves information between positions without heads: Mamba, RWKV ...).
    letter : str
        What its nodes' names begin with: ``a`` attention, ``m`` MLP, ``s`` any other mixer.
    layer, stage : int
        Its block; and which of the block's stages, for parts of one stage read the same stream.
    size : int
        Heads, neurons or experts; 1 otherwise.
    rows, columns : slice
        Its writers and its readers.
    seen : int
        How many writers, counted from the first, stand before it in the stream.
    """

    kind: str
    letter: str
    layer: int
    stage: int
    size: int
    rows: slice
    columns: slice
    seen: int

    @property
    def mixes(self) -> bool:
        """Whether it moves information from one position to another."""
        return self.kind in ("heads", "mixer")


_MOST_BLOCKS = 10_000
_MOST_PLACES = 1 << 31  # of a mask: Llama's 405 billion have 1.3, with the neurons of one block as nodes
_WORD = re.compile(r"heads|mlp|mixer|shifted|shared|(neurons|experts):[1-9]\d{0,8}")
_LETTERS = {"heads": "a", "mlp": "m", "neurons": "m", "experts": "m", "shared": "m", "mixer": "s", "shifted": "m"}


@dataclass(frozen=True)
class Graph:
    """The graph of a decoder: blocks of attention heads, MLPs and other parts that read one stream and add to it.

    Parameters
    ----------
    n_layers, n_heads, n_kv_heads : int
        Blocks, query heads a block, key-value heads a block.
    parallel : bool
        Whether a block's MLP reads the stream beside its attention rather than after it.
    blocks : tuple of str
        What each block holds, where that is not attention heads and an MLP: its stages in the order in which they read
        the stream, ``"heads>mlp"``, ``"heads+mlp"`` where parts stand side by side, ``"mixer>mlp"``,
        ``"heads+mixer>experts:8"``; ``"shifted"`` is an MLP that reads the position before as well, and so a mixer.
    granularity : Granularity
        What counts as a node.

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
            raise InputError(f"the graph has {self.n_layers} blocks, but says what {len(self.blocks)} hold")
        if not all(layer in range(self.n_layers) for layer in self.granularity.neurons):
            raise InputError(
                f"there is no such block: neurons of {self.granularity.neurons}, of {self.n_layers} blocks"
            )
        for block in set(self.blocks):
            words = re.split("[>+]", block)
            known = [word.partition(":")[0] for word in words if _WORD.fullmatch(word)]
            named_apart = {"shared" if kind == "shared" else _LETTERS[kind] for kind in known}
            if len(named_apart) < len(words):
                raise InputError(f"a block cannot hold {shortened(repr(block))}: write it as 'heads>mlp'")

    def _check_size(self) -> None:
        """Refuse a graph whose (U, V) mask no memory would hold, before its names are made."""
        rows, columns = self.parts[-1].rows.stop, self.parts[-1].columns.stop + 1
        if rows * columns > _MOST_PLACES:
            raise InputError(
                f"a graph of {rows:,} writers and {columns:,} readers is too large: take larger nodes, whole MLPs for"
                " neurons, or fewer positions or spans"
            )

    @property
    def merged(self) -> bool:
        """Whether a block's heads are one node."""
        return self.granularity.merged_heads

    @cached_property
    def spans(self) -> tuple[str, ...]:
        """Token spans that have nodes of their own, tokens in no named one being the last; empty if there are none."""
        named = self.granularity.spans
        return (*named, REST) if named else tuple(f"t{place}" for place in range(self.granularity.positions))

    @cached_property
    def key_heads(self) -> int:
        """How many k ports a block has, and how many v ports, where heads are not merged."""
        return self.n_heads if self.granularity.query_heads else self.n_kv_heads

    @cached_property
    def base(self) -> Graph:
        """The graph in which the model is run: every head a node, over all positions alike."""
        whole = replace(self.granularity, merged_heads=False, spans=(), positions=0)
        return replace(self, granularity=whole) if self.merged or self.spans else self

    # ---- what stands where

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every part of every block, in the stream's order."""
        blocks = self.blocks or (("heads+mlp" if self.parallel else "heads>mlp"),) * self.n_layers
        parts: list[Part] = []
        written, read = self._per_node, 0
        for layer, block in enumerate(blocks):
            for stage, together in enumerate(block.split(">")):
                seen = written
                for word in together.split("+"):
                    kind, _, count = word.partition(":")
                    size = self.n_heads if kind == "heads" else int(count or 1)
                    rows, columns = (self._per_node * n for n in self._width(kind, size))
                    parts.append(
                        Part(
                            "mixer" if kind == "shifted" else kind,
                            _LETTERS[kind],
                            layer,
                            stage,
                            size,
                            slice(written, written + rows),
                            slice(read, read + columns),
                            seen,
                        )
                    )
                    written, read = written + rows, read + columns
        return tuple(parts)

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The parts' places, those of one stage together."""
        together: dict[tuple[int, int], list[int]] = {}
        for index, part in enumerate(self.parts):
            together.setdefault((part.layer, part.stage), []).append(index)
        return tuple(map(tuple, together.values()))

    @property
    def _per_node(self) -> int:
        """Nodes that stand for one: one a span."""
        return self.granularity.positions or len(self.granularity.spans) + bool(self.granularity.spans) or 1

    def _width(self, kind: str, size: int) -> tuple[int, int]:
        """How many writers and readers a part has."""
        if kind == "heads":
            return (1, 3) if self.merged else (size, size + 2 * self.key_heads)
        return size, size + 1 if kind == "experts" else 1

    @cached_property
    def _of_layer(self) -> dict[tuple[str, int], Part]:
        return {(part.letter, part.layer): part for part in reversed(self.parts)}

    def attention(self, layer: int) -> Part:
        """A block's attention."""
        return self._of_layer["a", layer]

    def mlp(self, layer: int) -> Part:
        """A block's MLP."""
        return self._of_layer["m", layer]

    # ---- names

    @cached_property
    def writers(self) -> tuple[str, ...]:
        """Names of the U writers, in the order in which they write."""
        return self._spread([EMBED, *(name for part in self.parts for name in self._writers_of(part))])

    @cached_property
    def readers(self) -> tuple[str, ...]:
        """Names of the V readers, in the order in which they read."""
        return (*self._spread([name for part in self.parts for name in self._readers_of(part)]), LOGITS)

    def _spread(self, names: list[str]) -> tuple[str, ...]:
        return tuple(f"{name}@{span}" for name in names for span in self.spans) if self.spans else tuple(names)

    def _writers_of(self, part: Part) -> list[str]:
        name = f"{part.letter}{part.layer}"
        if part.kind in ("mlp", "mixer") or (part.kind == "heads" and self.merged):
            return [name]
        if part.kind == "shared":
            return [f"{name}.shared"]
        each = {"heads": "h", "neurons": "n", "experts": "e"}[part.kind]
        return [f"{name}.{each}{index}" for index in range(part.size)]

    def _readers_of(self, part: Part) -> list[str]:
        if part.kind == "heads":
            return [f"{owner}<{port}>" for port in PORTS for owner in self._port_owners(part, port)]
        if part.kind == "shared":
            return [f"{name}<in>" for name in self._writers_of(part)]
        name = f"{part.letter}{part.layer}"
        experts = [f"{writer}<in>" for writer in self._writers_of(part)] if part.kind == "experts" else []
        return [*experts, f"{name}.router<in>" if experts else f"{name}<in>"]

    def _port_owners(self, part: Part, port: str) -> list[str]:
        if self.merged or port == "q" or self.key_heads == self.n_heads:
            return self._writers_of(part)
        return [f"a{part.layer}.kv{group}" for group in range(self.key_heads)]

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

    # ---- where a component's rows and columns lie

    def head_writers(self, layer: int) -> slice:
        """Rows of a layer's heads."""
        return self.attention(layer).rows

    def mlp_writer(self, layer: int) -> int:
        """Row of a layer's MLP."""
        return self.mlp(layer).rows.start

    def port_readers(self, layer: int, port: str) -> slice:
        """Columns of a layer's ports of one kind (``q``, ``k`` or ``v``)."""
        before = [self.port_heads(earlier) for earlier in PORTS[: PORTS.index(port)]]
        first = self.attention(layer).columns.start + self._per_node * sum(before)
        return slice(first, first + self._per_node * self.port_heads(port))

    def attention_readers(self, layer: int) -> slice:
        """Columns of all q, k and v ports of a layer."""
        return self.attention(layer).columns

    def mlp_reader(self, layer: int) -> int:
        """Column of a layer's MLP port."""
        return self.mlp(layer).columns.start

    @cached_property
    def _visible(self) -> list[int]:
        """How many writers stand before each reader."""
        visible = [part.seen for part in self.parts for _ in range(part.columns.start, part.columns.stop)]
        return [*visible, len(self.writers)]

    def visible_writers(self, reader: int) -> int:
        """How many writers, counted from the first, stand before the reader in the stream."""
        return self._visible[reader]

    @cached_property
    def mask(self) -> Tensor:
        """All edges, as a boolean (U, V) tensor; treat it as read-only."""
        rows, columns = torch.arange(len(self.writers)), torch.arange(len(self.readers))
        mask = rows[:, None] < torch.tensor(self._visible)[None, :]
        if self.spans:  # the stream carries nothing from one position to another; all of it that is read counts as read
            same = (rows[:, None] - columns[None, :]) % len(self.spans) == 0
            same[:, -1] = True
            mask &= same
        return mask

    @cached_property
    def n_edges(self) -> int:
        """How many edges the graph has."""
        return sum(self._visible[:-1]) // self._per_node + self._visible[-1]

    # ---- from these nodes to those in which the model is run

    @cached_property
    def _atoms(self) -> tuple[Tensor, Tensor]:
        """Where each writer and each reader of the base graph stands among this one's, span by span: (S, U'), (S, V')."""
        rows, columns = [torch.zeros(1, dtype=torch.long)], []
        for own, fine in zip(self.parts, self.base.parts, strict=True):
            merged = own.kind == "heads" and self.merged
            n_rows, n_columns = fine.rows.stop - fine.rows.start, fine.columns.stop - fine.columns.start
            groups = [self.base.port_heads(port) for port in PORTS]
            ports = torch.arange(3).repeat_interleave(torch.tensor(groups)) if merged else torch.arange(n_columns)
            within = torch.zeros(n_rows, dtype=torch.long) if merged else torch.arange(n_rows)
            rows.append(own.rows.start + within * self._per_node)
            columns.append(own.columns.start + ports * self._per_node)
        span = torch.arange(self._per_node)[:, None]
        to_logits = torch.full((self._per_node, 1), len(self.readers) - 1)
        rows[0] = rows[0] * self._per_node
        return torch.cat(rows) + span, torch.cat([torch.cat(columns) + span, to_logits], 1)

    def expand(self, mask: Tensor) -> Tensor:
        """Say of a (..., U, V) mask which edges of the base graph it keeps, in each span: (..., U', V', S)."""
        if self.base is self:
            return mask[..., None]
        rows, columns = self._atoms
        spans = [mask[..., row, :][..., column] for row, column in zip(rows, columns, strict=True)]
        return torch.stack(spans, -1)

    def collapse(self, scores: Tensor) -> Tensor:
        """Add up scores (U', V', S) of the base graph's edges, in each span, to those of this graph's: (U, V)."""
        if self.base is self:
            return scores[..., 0]
        out = scores.new_zeros(len(self.writers), len(self.readers))
        for span, (row, column) in enumerate(zip(*self._atoms, strict=True)):
            place = row[:, None] * len(self.readers) + column
            out.view(-1).index_add_(0, place.flatten().to(out.device), scores[..., span].flatten())
        return out

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
        canonical, at, span = canonical_name(name).partition("@")
        if re.fullmatch(r"[ms]\d+|m\d+\.(e\d+|shared|router)", canonical):
            canonical += "<in>"
        head = re.fullmatch(r"a(\d+)\.h(\d+)<([kv])>", canonical)
        if head and self.key_heads < self.n_heads:
            layer, index, port = int(head[1]), int(head[2]), head[3]
            canonical = f"a{layer}.kv{index * self.key_heads // self.n_heads}<{port}>"
        canonical += at + span
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
        rows, columns = self.places(edges).unbind(1)
        mask[rows, columns] = True
        return mask

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
            self.find_edge((self.writers[row], self.readers[column]))  # says what is wrong with it
        return places

    def edges(self, mask: Tensor) -> Iterator[tuple[str, str]]:
        """Name the edges of a (U, V) mask, in the stream's order of readers."""
        writers = self.writers
        for column in (
            mask.any(0).nonzero().flatten().tolist()
        ):  # reader by reader, for a mask may have millions of edges
            reader = self.readers[column]
            yield from ((writers[row], reader) for row in mask[:, column].nonzero().flatten().tolist())

    # ---- NetworkX

    def networkx(self, mask: Tensor | None = None) -> nx.DiGraph:
        """View the edges of a mask (all by default) as a DiGraph of writers and ports; each port feeds its component."""
        digraph = nx.DiGraph()
        digraph.add_nodes_from((*self.writers[: self._per_node], LOGITS))
        digraph.add_edges_from(self.edges(self.mask if mask is None else mask))
        for reader in [node for node in digraph if "<" in node]:
            digraph.add_edges_from((reader, component) for component in self.components(reader))
        return digraph

    def components(self, reader: str) -> list[str]:
        """Writers that a port feeds: its head, every head of its group, its MLP, every expert of its router ...

        Examples
        --------
        >>> Graph(2, 4, 2).components("a1.kv1<k>")
        ['a1.h2', 'a1.h3']
        """
        column = self.reader_index[reader]
        if reader == LOGITS:
            return []
        part = self._part_of_reader[column]
        fed = self.feeds(part)[column - part.columns.start].nonzero().flatten()
        return [self.writers[part.rows.start + row] for row in fed.tolist()]

    @cached_property
    def _part_of_reader(self) -> list[Part]:
        return [part for part in self.parts for _ in range(part.columns.start, part.columns.stop)]

    def feeds(self, part: Part) -> Tensor:
        """Which of a part's readers feed which of its writers: boolean (readers, writers).

        Between positions, keys and values feed all that may come after them: later positions, and named spans in
        whatever order, for that differs from prompt to prompt.
        """
        key = (part.kind, part.size)
        if key not in self._feeds:
            self._feeds[key] = self._spread_feeds(part)
        return self._feeds[key]

    @cached_property
    def _feeds(self) -> dict[tuple[str, int], Tensor]:
        return {}

    def _spread_feeds(self, part: Part) -> Tensor:
        feeds, moves = self._feeds_of(part)
        if not self.spans:
            return feeds
        here = torch.eye(self._per_node, dtype=torch.bool)
        beyond = torch.ones_like(here).triu() if self.granularity.positions else torch.ones_like(here)
        spans = here | (moves[:, None, None] & beyond)  # (readers, S, S)
        spread = feeds[:, None, :, None] & spans[:, :, None, :]  # (readers, S, writers, S)
        return spread.flatten(2).flatten(0, 1)

    def _feeds_of(self, part: Part) -> tuple[Tensor, Tensor]:
        """The same with no spans, and which readers (readers,) feed later positions."""
        if part.kind == "heads":
            heads = torch.eye(1 if self.merged else self.n_heads, dtype=torch.bool)
            groups = heads.unflatten(0, (self.port_heads("k"), -1)).any(1)
            moves = torch.tensor([False] * len(heads) + [True] * 2 * len(groups))
            return torch.cat([heads, groups, groups]), moves
        router = torch.ones(1, part.size, dtype=torch.bool)
        feeds = torch.cat([torch.eye(part.size, dtype=torch.bool), router]) if part.kind == "experts" else router
        return feeds, torch.full((len(feeds),), part.mixes)

    def touched(self, mask: Tensor) -> Tensor:
        """Which writers (U,) an edge of a mask (U, V) leaves, or is fed by a port that one enters.

        A key or value feeds its head in all spans that may come after it: those count in which the head writes, if any.
        """
        written, entered = mask.any(1), mask.any(0)
        touched = written.clone()
        for part in self.parts:
            fed = self.feeds(part) & entered[part.columns, None]  # (readers, writers)
            if self.spans:
                writing = fed & written[part.rows]
                fed = torch.where(writing.any(1, keepdim=True), writing, fed)
            touched[part.rows] |= fed.any(0)
        return touched

    def prune(self, mask: Tensor) -> Tensor:
        """Keep only the edges that lie on a path from ``embed`` to ``logits``; a new (U, V) mask.

        What NetworkX finds as descendants of the one and ancestors of the other, in two sweeps over the blocks, so that
        graphs of millions of edges need no object for each.
        """
        after = torch.zeros(len(self.writers), dtype=torch.bool)  # what comes after embed
        after[: self._per_node] = True
        reached = torch.zeros(len(self.readers), dtype=torch.bool)
        for part in self.parts:
            reached[part.columns] = (mask[: part.seen, part.columns] & after[: part.seen, None]).any(0)
            after[part.rows] = (self.feeds(part) & reached[part.columns, None]).any(0)
        before = mask[:, -1].clone()  # what comes before the logits
        counts = torch.zeros(len(self.readers), dtype=torch.bool)
        counts[-1] = reached[-1] = True
        for part in reversed(self.parts):
            counts[part.columns] = (self.feeds(part) & before[part.rows]).any(1)
            before[: part.seen] |= (mask[: part.seen, part.columns] & counts[part.columns]).any(1)
        return mask & (after & before)[:, None] & (reached & counts)[None, :]


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
    node, at, span = name.strip().partition("@")
    owner, bracket, port = node.partition("<")
    for pattern, replacement in _SPELLINGS:
        if re.fullmatch(pattern, owner):
            return re.sub(pattern, replacement, owner) + bracket + port + at + span
    return name.strip()
