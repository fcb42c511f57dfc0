"""Attribution graphs that this package wrote, read back as circuits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.files import checking, parse_json, read_json, to_json
from circuitsearch.formats.attribution_graph import MOST_BYTES, OWN, UNKNOWN, AttributionGraphFile, Written
from circuitsearch.formats.foreign import Foreign, scores_of
from circuitsearch.graph import Graph

FORM = "attribution graph"
WHAT = "an attribution graph of heads and MLPs"


def read_attribution_graph(path: str | Path, model: Graph | None) -> Foreign:
    """Read a file that :func:`circuitsearch.export` wrote.

    Raises
    ------
    InputError
        If it is another file, of another model, or a graph of features, which are no nodes of a model.
    """
    content = read_json(path, WHAT, AttributionGraphFile, MOST_BYTES)
    with checking(path, WHAT):
        own = (content.metadata.model_extra or {}).get("circuitsearch")
        if own is None:
            raise InputError(_refusal(content))
        circuit = _circuit(own)
        if model is not None and circuit.graph != model:
            raise InputError(
                f"it is of another model, with {circuit.graph.n_layers} layers of {circuit.graph.n_heads} heads"
            )
        return Foreign(FORM, circuit.graph, circuit.mask, scores_of(circuit), effects=circuit.effects)


def _refusal(content: AttributionGraphFile) -> str:
    features = next((node for node in content.nodes if node.feature_type != UNKNOWN), None)
    kind = (
        "nodes of no stated kind" if features is None else f"nodes such as {features.node_id} ({features.feature_type})"
    )
    return f"it has {kind}, and only graphs of heads and MLPs that circuitsearch wrote are circuits of a model"


def _circuit(own: Any) -> Circuit:
    """The circuit in our own part of the metadata."""
    written = parse_json(to_json(own), Written)
    if written.positive != "supports":
        raise InputError("positive must be 'supports'")
    return Circuit.from_dict({name: own.get(name) for name in OWN})
