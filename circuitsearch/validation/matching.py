"""Random circuits that match a circuit in the layers and degrees of its nodes."""

from __future__ import annotations

import re
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from circuitsearch.blocks import Part
from circuitsearch.graph import Graph

SWAPS = 10  # that are tried for each edge
PATIENCE = 30  # draws in a row that may repeat earlier ones before there count as no others


def matched_circuits(graph: Graph, mask: Tensor, count: int, seed: int) -> Tensor:
    """Draw different random circuits with the layers and degrees of a circuit: boolean (C, U, V), of which there may be fewer than asked.

    The circuit's heads are first exchanged at random within each layer (with shared keys and values: groups of heads, and heads within
    each group; of experts and neurons likewise), and then pairs of edges u1->v1, u2->v2 are replaced by u1->v2, u2->v1 where both writers, or both
    readers, are of one layer and kind (degree-preserving double-edge swaps, Maslov and Sneppen 2002). So these are as in the
    circuit: the number of edges, how many there are from each kind of writer of each layer to each kind of port of each layer, and how
    many nodes with how many incoming or outgoing edges each layer has. None is the circuit itself, and no edge is on no path.

    Parameters
    ----------
    graph : Graph
        The graph of the circuit.
    mask : Tensor
        Boolean (U, V), the circuit, in which every edge is on a path from ``embed`` to ``logits``.
    count : int
        How many.
    seed : int
        The same seed gives the same circuits.
    """
    rng, found, repeats = np.random.default_rng(seed), {_key(mask): mask}, 0
    while len(found) <= count and repeats < PATIENCE:
        drawn, known = _swapped(graph, _exchanged(graph, mask, rng), rng), len(found)
        found.setdefault(_key(drawn), drawn)
        repeats = 0 if len(found) > known else repeats + 1
    others = list(found.values())[1:]
    return torch.stack(others) if others else mask.new_zeros(0, *mask.shape)


def _key(mask: Tensor) -> bytes:
    return np.packbits(mask.numpy()).tobytes()


# ---- nodes exchanged within a layer


def _exchanged(graph: Graph, mask: Tensor, rng: np.random.Generator) -> Tensor:
    """The circuit (U, V) with the nodes of each part exchanged at random."""
    rows, columns = list(range(graph.per_node)), list[int]()
    for part in graph.parts:
        of_rows, of_columns = _orders(graph, part, rng)
        rows += _spread(part.rows.start, of_rows, graph.per_node)
        columns += _spread(part.columns.start, of_columns, graph.per_node)
    return mask[rows][:, [*columns, len(graph.readers) - 1]]


def _spread(first: int, order: list[int], per_node: int) -> list[int]:
    """An order of nodes as one of rows or columns: each node has so many, one for each token span."""
    return [first + node * per_node + span for node in order for span in range(per_node)]


def _orders(graph: Graph, part: Part, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """A random order of a part's writers, and the order of its readers that belongs to it."""
    n_rows, n_columns = ((each.stop - each.start) // graph.per_node for each in (part.rows, part.columns))
    if part.kind == "heads" and not graph.merged:
        return _of_heads(graph, rng)
    rows = rng.permutation(n_rows).tolist()
    with_writers = rows if part.kind == "experts" else []
    return rows, [*with_writers, *range(len(with_writers), n_columns)]


def _of_heads(graph: Graph, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """An order of heads that keeps each group together, and the order of the q, k and v ports."""
    size = graph.n_heads // graph.key_heads
    groups = rng.permutation(graph.key_heads).tolist()
    heads = list(chain.from_iterable((group * size + rng.permutation(size)).tolist() for group in groups))
    ports = [
        heads,
        [graph.n_heads + group for group in groups],
        [graph.n_heads + graph.key_heads + group for group in groups],
    ]
    return heads, list(chain.from_iterable(ports))


# ---- edges swapped


def _swapped(graph: Graph, mask: Tensor, rng: np.random.Generator) -> Tensor:
    """The circuit (U, V) after random swaps of its edges' readers; swaps that would give no edge, or an edge twice, are left out."""
    writers, readers = (each.numpy().copy() for each in mask.nonzero().unbind(1))  # (E,) each
    of_writer, of_reader = _kinds_of_writers(graph), _kinds_of_readers(graph)
    allowed, kept = graph.mask.numpy(), mask.numpy().copy()
    for one in rng.integers(len(writers), size=SWAPS * len(writers)) if len(writers) else ():
        alike = (of_writer[writers] == of_writer[writers[one]]) | (of_reader[readers] == of_reader[readers[one]])
        others = np.flatnonzero(alike)
        other = others[rng.integers(len(others))]
        new = (writers[one], readers[other]), (writers[other], readers[one])
        if all(allowed[edge] and not kept[edge] for edge in new):
            kept[writers[one], readers[one]] = kept[writers[other], readers[other]] = False
            readers[[one, other]] = readers[[other, one]]
            kept[new[0]] = kept[new[1]] = True
    return torch.from_numpy(kept)


def _kinds_of_writers(graph: Graph) -> np.ndarray:
    """For each writer (U,) a number of its part and token span."""
    parts = np.zeros(len(graph.writers), dtype=int)
    for number, part in enumerate(graph.parts, 1):
        parts[part.rows] = number
    return parts * graph.per_node + np.arange(len(parts)) % graph.per_node


def _kinds_of_readers(graph: Graph) -> np.ndarray:
    """For each reader (V,) a number of its part, its kind of port and its token span."""
    kinds: dict[tuple[int, str, int], int] = {}
    parts = np.zeros(len(graph.readers), dtype=int)
    for number, part in enumerate(graph.parts, 1):
        parts[part.columns] = number
    ports = [re.sub(r"^.*?(router)?<(\w+)>.*$", r"\1\2", reader) for reader in graph.readers]  # q, k, v, in, routerin
    spans = np.arange(len(ports)) % graph.per_node
    places = zip(parts.tolist(), ports, spans.tolist(), strict=True)
    return np.array([kinds.setdefault(place, len(kinds)) for place in places])
