"""EAP-IG's graphs as the tensors of a .pt file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import checking, write_whole
from circuitsearch.formats.eap_graph import Config, EAPContent, check_same_model, their_names
from circuitsearch.formats.torch_file import read_torch
from circuitsearch.graph import Graph

WHAT = "an EAP-IG graph"


class Tensors(BaseModel):
    """A file's content; tensors are (F, B) over sources and destinations, or (F,) over sources."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)

    cfg: Config
    src_nodes: list[str]
    dst_nodes: list[str]
    edges_scores: Tensor
    edges_in_graph: Tensor
    nodes_in_graph: Tensor
    nodes_scores: Tensor | None = None
    neurons_in_graph: Tensor | None = None
    neurons_scores: Tensor | None = None


def read_eap_pt(path: str | Path, expected: Graph | None) -> EAPContent:
    """Read a file; ``expected`` is the query-head graph of the model, if it is known.

    Raises
    ------
    InputError
        If it is no such file, would run code, or is of another model.
    """
    loaded = read_torch(path, WHAT)
    with checking(path, WHAT):
        content = _checked(loaded)
        graph = content.cfg.graph(expected)
        check_same_model(content.cfg, graph.edges(graph.mask), expected)
        _check_names(content, graph)
        return EAPContent(content.cfg, graph, *_tensors(content, graph), tuple(_notes(content)))


def _checked(loaded: Any) -> Tensors:
    if not isinstance(loaded, dict):
        raise InputError(f"it holds a {type(loaded).__name__}, not a dictionary")
    try:
        return Tensors.model_validate({str(name): _plain(value) for name, value in loaded.items()})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"at {shortened(repr(place))}: {first['msg']}") from None


def _plain(value: Any) -> Any:
    """A dictionary of torch's, or of EAP-IG's, as an ordinary one."""
    return dict(value) if isinstance(value, dict) else value


def _check_names(content: Tensors, graph: Graph) -> None:
    for kind, given, wanted in zip(
        ("src_nodes", "dst_nodes"), (content.src_nodes, content.dst_nodes), their_names(graph), strict=True
    ):
        if given != wanted:
            different = next(
                (name for name, other in zip(given, wanted, strict=False) if name != other), "their number"
            )
            raise InputError(f"its {kind} are not those of {content.cfg.shape}: {shortened(different)} differs")


def _tensors(content: Tensors, graph: Graph) -> tuple[Tensor, Tensor]:
    """Scores and circuit (U, V'); cells that are no edge may hold anything."""
    scores = _tensor(content.edges_scores, "edges_scores", graph.mask.shape).double().masked_fill(~graph.mask, 0.0)
    if not scores.isfinite().all():
        row, column = (~scores.isfinite()).nonzero()[0].tolist()
        raise InputError(f"the score of {graph.edge_name(row, column)} is {float(scores[row, column])}: give a number")
    marked = _tensor(content.edges_in_graph, "edges_in_graph", graph.mask.shape)
    _tensor(content.nodes_in_graph, "nodes_in_graph", graph.mask.shape[:1])
    return scores, (marked != 0) & graph.mask


def _tensor(tensor: Tensor, name: str, shape: torch.Size) -> Tensor:
    """A copy of a tensor of the file, in memory, if it has the shape and numbers in it."""
    if tensor.shape != shape or tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise InputError(f"its {name} must be {list(shape)}, and is {shortened(list(tensor.shape), 40)}")
    return tensor.clone()


def _notes(content: Tensors) -> list[str]:
    notes = ["scores of nodes are left out"] if content.nodes_scores is not None else []
    neurons = content.neurons_in_graph is not None or content.neurons_scores is not None
    return [*notes, "neurons are left out: a node is kept whole"] if neurons else notes


def write_eap_pt(path: str | Path, content: EAPContent) -> None:
    """Write the tensors, scores in float64, so that they are read back unchanged."""
    sources, destinations = their_names(content.graph)
    tensors = {
        "cfg": content.config.model_dump(),
        "src_nodes": sources,
        "dst_nodes": destinations,
        "edges_scores": content.scores.nan_to_num(),
        "edges_in_graph": content.mask.clone(),
        "nodes_in_graph": content.mask.any(1),
    }
    write_whole(path, lambda part: torch.save(tensors, part))
