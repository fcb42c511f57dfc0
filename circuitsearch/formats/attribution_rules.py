"""What Neuronpedia's page and circuit-tracer's reader ask of an attribution graph beyond its schema (seen on 2026-08-20)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import parse_json, read_text
from circuitsearch.formats.attribution_graph import (
    EMBEDDING,
    FEWEST_BYTES,
    LOGIT,
    MOST_BYTES,
    TOKENS,
    UNKNOWN,
    AttributionGraphFile,
    GraphNode,
)

WHAT = "an attribution graph"
WITHOUT_FEATURE = {EMBEDDING, "mlp reconstruction error", "lorsa error", LOGIT, "bias", UNKNOWN}
_NAME = re.compile(r"[a-zA-Z0-9_.-]*")


def attribution_problems(path: str | Path) -> tuple[str, ...]:
    """Why Neuronpedia or circuit-tracer would refuse an attribution graph, or show it wrongly; a sentence each, empty if all is well.

    Checked are Neuronpedia's schema, what its page does beyond it, and where circuit-tracer's reader is stricter. Whether Neuronpedia
    knows the model that ``scan`` names is not.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    text = read_text(path, WHAT, MOST_BYTES)
    try:
        content = parse_json(text, AttributionGraphFile)
    except InputError as problem:
        return (f"the schema is not met: {problem}",)
    return tuple(problem for rule in RULES for problem in rule(content)) + tuple(_size(Path(path)))


def _size(path: Path) -> Iterator[str]:
    if path.stat().st_size < FEWEST_BYTES:
        yield f"the file has {path.stat().st_size} bytes, and an upload at least {FEWEST_BYTES}: add spaces at its end"
    if path.suffix != ".json":
        yield f"the file's name must end in .json, and {path.name} does not"


def _names(content: AttributionGraphFile) -> Iterator[str]:
    for name, value in (("slug", content.metadata.slug), ("scan", content.metadata.scan)):
        if not value or not _NAME.fullmatch(value):
            yield f"metadata.{name} may only have letters, digits, '_', '.' and '-', and is {shortened(repr(value))}"


def _layers(content: AttributionGraphFile) -> Iterator[str]:
    layers = [_number(node.layer) for node in content.nodes if node.feature_type != LOGIT]
    if max((layer for layer in layers if layer is not None), default=0.0) <= 0:
        yield "no node other than logits is above layer 0, for which the page fails ('No layer found')"
    for node in content.nodes:
        if _number(node.layer) is None and node.layer != TOKENS:
            yield f"the layer of {shortened(node.node_id)} must be a number or {TOKENS!r}, and is {shortened(repr(node.layer))}"


def _number(layer: str | int) -> float | None:
    return float(layer) if re.fullmatch(r"-?\d{1,9}", str(layer)) else None


def _logits(content: AttributionGraphFile) -> Iterator[str]:
    for node in content.nodes:
        if node.feature_type == LOGIT and node.clerp and "(p=" not in node.clerp:
            yield f"the clerp of the logit {shortened(node.node_id)} has no '(p=...)', at which the page fails: write Output \"token\" (p=0.123)"
        elif node.feature_type == LOGIT and node.clerp and node.clerp.count('"') < 2:
            yield f"the clerp of the logit {shortened(node.node_id)} has no token in double quotes, so that the page shows none"


def _tokens(content: AttributionGraphFile) -> Iterator[str]:
    n_tokens = len(content.metadata.prompt_tokens)
    for node in content.nodes:
        if not 0 <= node.ctx_idx < n_tokens:
            yield f"the ctx_idx of {shortened(node.node_id)} is {node.ctx_idx}, and there are {n_tokens} prompt_tokens"


def _ids(content: AttributionGraphFile) -> Iterator[str]:
    for name, count in Counter(node.node_id for node in content.nodes).items():
        if count > 1:
            yield f"{count} nodes have the id {shortened(name)}, of which the page keeps the last"


def _links(content: AttributionGraphFile) -> Iterator[str]:
    known = {node.node_id for node in content.nodes}
    for link in content.links:
        missing = next((end for end in (link.source, link.target) if end not in known), None)
        if missing is not None:
            yield f"a link ends at {shortened(missing)}, which is no node: the page drops it and says nothing"
    for (source, target), count in Counter((link.source, link.target) for link in content.links).items():
        if count > 1:
            yield f"{count} links go from {shortened(source)} to {shortened(target)}, of which the page keeps the last"


def _types(content: AttributionGraphFile) -> Iterator[str]:
    for node in content.nodes:
        if "error" in node.feature_type and node.feature_type not in WITHOUT_FEATURE:
            yield f"the type {shortened(repr(node.feature_type))} of {shortened(node.node_id)} counts as an error, for it has that word in it"
        elif node.feature_type not in WITHOUT_FEATURE and not _has_feature(content, node):
            yield (
                f"the page will look for a feature of {shortened(node.node_id)}, of type {shortened(repr(node.feature_type))}, and it has none:"
                " heads and MLPs are of type 'unknown'"
            )


def _has_feature(content: AttributionGraphFile, node: GraphNode) -> bool:
    return node.feature is not None and bool((content.metadata.model_extra or {}).get("feature_details"))


def _influence(content: AttributionGraphFile) -> Iterator[str]:
    threshold = (content.metadata.model_extra or {}).get("node_threshold")
    hidden = [
        node
        for node in content.nodes
        if isinstance(threshold, int | float) and node.influence is not None and node.influence > threshold
    ]
    if any(node.feature_type not in (EMBEDDING, LOGIT) for node in hidden):
        yield f"{len(hidden)} nodes have an influence above node_threshold, {threshold}, and are hidden: leave influence out to show them"


def _circuit_tracer(content: AttributionGraphFile) -> Iterator[str]:
    if not isinstance((content.metadata.model_extra or {}).get("transcoder_list"), list):
        yield "metadata.transcoder_list must be a list for circuit-tracer: [] will do"
    for node in content.nodes:
        if node.feature is None:
            yield f"the feature of {shortened(node.node_id)} must be an integer for circuit-tracer, and is null: give a head's number, or -1"
        if not isinstance(node.layer, str):
            yield f'the layer of {shortened(node.node_id)} must be a text for circuit-tracer: write "{node.layer}"'


RULES = (_names, _layers, _logits, _tokens, _ids, _links, _types, _influence, _circuit_tracer)
