"""Lists of edges by name: those of Edge Pruning (2406.16778), of auto-circuit and of ACDC (2304.14997)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.files import checking, read_json, to_json, write_bytes
from circuitsearch.formats.eap_graph import lacked, unscored
from circuitsearch.formats.foreign import Foreign, Sign, signed
from circuitsearch.formats.query_heads import columns_of, fold, query_head_graph
from circuitsearch.graph import Graph
from circuitsearch.names import EMBED, LOGITS, canonical_name, ends_of
from circuitsearch.scores import Scores

FORM = "list of edges"
WHAT = "a list of edges"
Index = list[int | None]  # ACDC's: [null, null, head], or [null]
Edges = list[list[str]] | list[str] | list[tuple[str, Index, str, Index]] | dict[str, float | None]
_PORT = re.compile(r"blocks\.\d+\.(attn\.)?hook_[qkv](_input)?")  # ACDC also has edges within a head


def read_edge_list(path: str | Path, model: Graph | None, sign: Sign | str | None) -> Foreign:
    """Read a JSON file of edges, of one of these forms, with the nodes in any tool's spelling.

    =====================================  ===============================================
    ``[["a5.h3", "a9.h9.q"], ...]``         writer and reader: Edge Pruning's ``edges.json``
    ``["A5.3->A9.9.Q", ...]``               auto-circuit's names, or any other tool's
    ``{"A5.3->A9.9.Q": 0.12, ...}``         the same with scores
    ``[[reader, index, writer, index]]``    ACDC's hooks and indices, the reader first
    =====================================  ===============================================

    Raises
    ------
    InputError
        If it is another file, the model is not given or lacks an edge, or the file has scores and no sign is given.
    """
    content = read_json(path, WHAT, Edges, nan=True)  # pyright: ignore[reportArgumentType]
    with checking(path, WHAT):
        if model is None:
            raise InputError("it does not say of which model it is, so the model must be given, as --model")
        edges = [edge for edge in _named(content) if edge is not None]
        graph = _graph_of(edges, model)
        without_embedding = bool(edges) and not any(canonical_name(writer) == EMBED for writer, _ in edges)
        places = _places(edges, graph)
        mask = graph.mask_at(places)
        if without_embedding:
            mask[0] = graph.mask[0]
        return _foreign(content, places, mask, graph, model, sign, tuple(_notes(edges, without_embedding)))


def _graph_of(edges: list[tuple[str, str]], model: Graph) -> Graph:
    """The model's own graph if an edge goes to a port that a group of heads shares, as in our lists; otherwise each head has its own."""
    graph = query_head_graph(model, WHAT.removeprefix("a "))
    shared = model.reader_index.keys() - graph.reader_index.keys()
    return graph if shared.isdisjoint(reader for _, reader in edges) else model


def _foreign(
    content: Edges,
    places: Tensor,
    mask: Tensor,
    graph: Graph,
    model: Graph,
    sign: Sign | str | None,
    notes: tuple[str, ...],
) -> Foreign:
    columns = columns_of(graph, model)
    own = fold(mask.double(), columns) > 0
    if not isinstance(content, dict) or all(score is None for score in content.values()):
        return Foreign(FORM, model, own, None, notes)
    scores = unscored(graph)
    scores[places[:, 0], places[:, 1]] = torch.tensor(_scores(content), dtype=torch.float64)
    known = fold((~scores.isnan()).double(), columns) > 0
    chosen, said = signed(torch.where(known, fold(scores.nan_to_num(), columns), torch.nan), sign, FORM)
    return Foreign(FORM, model, own, Scores(model, chosen), (*notes, said))


def _scores(content: dict[str, float | None]) -> list[float]:
    for name, score in content.items():
        if score is not None and not math.isfinite(score):
            raise InputError(f"the score of {shortened(name)} is {score}: write null, or a number")
    return [math.nan if score is None else score for score in content.values()]


def _named(content: Edges) -> Iterable[tuple[str, str] | None]:
    """Writer and reader of each edge; None for ACDC's edges within a head."""
    for edge in content:
        if isinstance(edge, str):
            yield ends_of(edge)
        elif len(edge) == 4:
            yield _of_acdc(*edge)  # pyright: ignore[reportArgumentType]
        elif len(edge) == 2:
            yield edge[0], edge[1]  # pyright: ignore[reportReturnType]
        else:
            raise InputError(f"an edge is a pair [from, to], and one has {len(edge)} names: {shortened(edge)}")


def _of_acdc(reader: str, reader_index: Index, writer: str, writer_index: Index) -> tuple[str, str] | None:
    if _PORT.fullmatch(writer) or (_PORT.fullmatch(reader) and "_input" not in reader):
        return None
    return _hook(writer, writer_index), _hook(reader, reader_index)


def _hook(name: str, index: Index) -> str:
    """A hook with its head, as ``blocks.9.attn.hook_result.9``."""
    heads = [each for each in index if each is not None]
    return f"{name}.{heads[-1]}" if heads else name


def _places(edges: list[tuple[str, str]], graph: Graph) -> Tensor:
    try:
        return graph.places(edges)
    except InputError:
        shape = f"{graph.n_layers} layers of {graph.n_heads} heads"
        raise InputError(f"the model, {shape}, has no edge {', '.join(lacked(edges, graph))}") from None


def _notes(edges: list[tuple[str, str]], without_embedding: bool) -> Iterable[str]:
    if without_embedding:
        yield "no edge comes from the embedding, so every reader was taken to see it, as in runs without embedding nodes"
    if {writer for writer, _ in edges} & {"tok_embeds", "pos_embeds"}:
        yield "tokens and positions are one node here: its edge is kept where either was"


def edge_pruning_edges(circuit: Circuit, learned_positions: bool) -> list[list[str]]:
    """The edges as Edge Pruning names them, one for each head of a group."""
    graph = query_head_graph(circuit.graph, WHAT.removeprefix("a "))
    mask = circuit.mask[:, columns_of(graph, circuit.graph)] & graph.mask
    embeddings = ["tok_embeds", "pos_embeds"] if learned_positions else ["embeds"]
    return [
        [name, _their_reader(reader)]
        for writer, reader in graph.edges(mask)
        for name in (embeddings if writer == EMBED else [writer])
    ]


def _their_reader(reader: str) -> str:
    if reader == LOGITS:
        return "resid_post"
    owner, _, port = reader.rstrip(">").partition("<")
    return owner if port == "in" else f"{owner}.{port}"


def write_edges(path: str | Path, edges: list[list[str]]) -> None:
    """Write ``edges.json``."""
    write_bytes(path, f"{to_json(edges)}\n".encode())
