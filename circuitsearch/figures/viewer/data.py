"""The data of a page as plain lists, for its slider, filters and panels.

Circuits of different sizes are nested: a longer prefix of the ranking, pruned, contains every shorter one, pruned. One order of
the edges and a list of lengths therefore describe all of them.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.figures.placed import Placed
from circuitsearch.figures.plan import layer_of, nodes_fed
from circuitsearch.figures.viewer.places import found_place, looks, placement, port_of, sizes_place
from circuitsearch.graph import Graph
from circuitsearch.names import EMBED, LOGITS
from circuitsearch.registry import ABLATIONS
from circuitsearch.roles import roles_of
from circuitsearch.scores import ranking
from circuitsearch.search.ranked import strongest

if TYPE_CHECKING:
    from circuitsearch.validation.report import Interval, Report

LARGEST_SLIDER = 5000  # edges of the largest circuit that the slider reaches
LARGEST = 50_000  # edges of the largest circuit that a page takes
GROWTH = 1.12  # from one of the slider's sizes to the next

_KINDS = {"heads": "head", "mlp": "mlp", "neurons": "neuron", "experts": "expert", "mixer": "mixer"}


Said = Sequence[tuple[str, float]]  # tokens, each with a number


@dataclass(frozen=True)
class Prompt:
    """A pair of prompts, token by token; the metric of the model, of the circuit, and with every edge ablated; and what the model predicts."""

    clean: tuple[str, ...]
    corrupt: tuple[str, ...]
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    model: float
    circuit: float
    ablated: float
    likeliest: Said = ()  # the model's likeliest tokens after the clean prompt, with their probabilities


@dataclass(frozen=True)
class Evidence:
    """What was measured for the page; each part may be missing.

    Attributes
    ----------
    prompts : sequence of Prompt
        Examples shown on the page.
    n_prompts : int
        Number of prompts in the task.
    without : mapping
        Faithfulness of the circuit without each of its nodes.
    roles : mapping
        Roles of each head: ``{"a1.h3": ("induction",)}``.
    direct : mapping
        Direct logit attribution of each node.
    attention : mapping
        Attention patterns of each head, (T, T) from query (row) to key (column), on the first prompts.
    words : mapping
        Tokens whose logits each node raises most, and those that it lowers most, by how much, averaged over prompts.
    raised : mapping
        The tokens that each node raises most on each of the first prompts.
    """

    prompts: Sequence[Prompt] = ()
    n_prompts: int = 0
    without: Mapping[str, float] = field(default_factory=dict)
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    direct: Mapping[str, float] = field(default_factory=dict)
    attention: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    words: Mapping[str, tuple[Said, Said]] = field(default_factory=dict)
    raised: Mapping[str, Sequence[Said]] = field(default_factory=dict)


NOTHING = Evidence()


def page_data(
    circuit: Circuit,
    report: Report | None = None,
    evidence: Evidence = NOTHING,
    *,
    model: str = "",
    method: str = "",
) -> dict[str, Any]:
    """Gather a page's content as plain JSON types.

    Raises
    ------
    InputError
        If the circuit has more edges than a page can show.
    """
    if len(circuit) > LARGEST:
        raise InputError(
            f"a page can show circuits of up to {LARGEST:,} edges, and this one has {len(circuit):,}: draw a smaller one,"
            " such as cs.top(scores, 5000)"
        )
    places, stops = _order(circuit)
    found, sizes = (
        found_place(circuit, roles_of(circuit, evidence.roles)),
        sizes_place(_largest(circuit, places, stops)),
    )
    nodes = [*_nodes(circuit.graph), *_of_spans(circuit.graph, found, sizes)]
    index = {node.name: place for place, node in enumerate(nodes)}
    readers = _readers(circuit.graph, places, index)
    content = {
        "format": 2,
        "about": _about(circuit, report, model, method),
        "nodes": [[node.name, node.kind, node.layer, node.row] for node in nodes],
        "readers": list(readers.values()),
        "edges": _edges(circuit, places, list(readers)),
        "circuit": _members(circuit, places),
        "stops": stops,
        "looks": looks(),
        "places": {"found": placement(found, index), "sizes": placement(sizes, index)},
        "curve": [] if report is None else _curve(report),
    }
    return content | _evidence(evidence)


# ---- the edges, in one order for circuits of all sizes


def _order(circuit: Circuit) -> tuple[Tensor, list[int]]:
    """Edges (E, 2) such that the first of them are the circuits of the slider's sizes, which come with them.

    Edges of the circuit that are in none of these come last.
    """
    graph = circuit.graph
    entered, stops = torch.full(circuit.mask.shape, -1, dtype=torch.long), []
    ranked = torch.empty(0, 2, dtype=torch.long) if circuit.scores is None else ranking(graph, circuit.scores)
    if circuit.scores is not None and len(ranked) < int(graph.mask.sum()) and len(ranked) <= len(circuit):
        ranked = ranked[:0]  # a circuit read from a file has scores of its own edges only, so there are no other sizes
    for length in _lengths(len(ranked)):
        mask = strongest(graph, ranked, length)
        size = int(mask.sum())
        if size > LARGEST_SLIDER:
            break
        if size > (stops[-1] if stops else 0):
            entered[mask & (entered < 0)] = len(stops)
            stops.append(size)
    rank = torch.full(circuit.mask.shape, len(ranked), dtype=torch.long)
    rank[ranked[:, 0], ranked[:, 1]] = torch.arange(len(ranked))
    entered[circuit.mask & (entered < 0)] = len(stops)
    places = (entered >= 0).nonzero()
    key = entered[places[:, 0], places[:, 1]] * (len(ranked) + 1) + rank[places[:, 0], places[:, 1]]
    return places[torch.sort(key, stable=True).indices], stops


def _largest(circuit: Circuit, places: Tensor, stops: list[int]) -> Circuit:
    """The largest circuit that the slider reaches."""
    mask = torch.zeros_like(circuit.mask)
    reached = places[: stops[-1] if stops else 0]
    mask[reached[:, 0], reached[:, 1]] = True
    return replace(circuit, mask=mask, effects=None, redundancy=None)


def _lengths(most: int) -> list[int]:
    """Prefixes of the ranking that are tried: each by ``GROWTH`` longer than the one before, and the whole."""
    lengths, length = [], 1
    while length < most:
        lengths.append(length)
        length = max(length + 1, math.floor(length * GROWTH))
    return [*lengths, most] if most else []


def _edges(circuit: Circuit, places: Tensor, readers: list[Reader]) -> dict[str, list[Any]]:
    """Columns: writer (a node), reader (one of the readers that occur), score, effect in the circuit, and what is left without the edge.

    Of a complete circuit also what each edge does, and the edges that can take its place.
    """
    occurring = {reader: index for index, reader in enumerate(readers)}
    rows = places.tolist()
    names = [circuit.graph.edge_name(*row) for row in rows]
    redundancy = circuit.redundancy
    certified = circuit.certificate.without if circuit.certificate else {}
    known = certified if redundancy is None else redundancy.without
    roles = {} if redundancy is None else redundancy.roles
    scores = [None] * len(rows) if circuit.scores is None else circuit.scores[places[:, 0], places[:, 1]].tolist()
    effects = [] if circuit.effects is None else circuit.effects[places[:, 0], places[:, 1]].tolist()
    return {
        "writer": [row for row, _ in rows],
        "reader": [occurring[_reader(circuit.graph, *row)] for row in rows],
        "score": [_short(score) for score in scores],
        "effect": [_short(effect) for effect in effects],
        "without": [_short(known.get(name)) for name in names] if known else [],
        "role": [roles.get(name, "") for name in names] if roles else [],
        "instead": [list(redundancy.replacements(name)) for name in names] if redundancy else [],
    }


def _members(circuit: Circuit, places: Tensor) -> list[int]:
    """Which of the edges are in the circuit."""
    return circuit.mask[places[:, 0], places[:, 1]].nonzero().flatten().tolist()


# ---- nodes and readers


@dataclass(frozen=True)
class _Node:
    """A writer, or the logits, with its layer and its row, counted from the bottom."""

    name: str
    kind: str
    layer: int | None
    row: int


def _nodes(graph: Graph) -> list[_Node]:
    """The writers in their order, then the logits: parts that read the same stream share a row."""
    rows = {part: row for row, stage in enumerate(graph.stages, 1) for part in stage}
    ends = graph.parts[0].rows.start if graph.parts else len(graph.writers)
    nodes = [_Node(name, EMBED, None, 0) for name in graph.writers[:ends]]
    for index, part in enumerate(graph.parts):
        names = graph.writers[part.rows]
        nodes += [_Node(name, _KINDS.get(part.kind, part.kind), part.layer, rows[index]) for name in names]
    return [*nodes, _Node(LOGITS, LOGITS, None, len(graph.stages) + 1)]


def _of_spans(graph: Graph, *placed: Placed | None) -> list[_Node]:
    """Places that only the drawing of columns has: the logits of each column, and keys and values where no head of theirs writes."""
    known = {*graph.writers, LOGITS}
    names = dict.fromkeys(name for each in placed if each for name in each.nodes if name not in known)
    return [_Node(name, LOGITS if name.startswith(LOGITS) else _KINDS["heads"], layer_of(name), 0) for name in names]


Reader = tuple[int, str]  # its column, and of the logits the span of what writes to them


def _readers(graph: Graph, places: Tensor, nodes: Mapping[str, int]) -> dict[Reader, list[Any]]:
    """Of each reader that occurs: its name, its port, and the nodes that it feeds, as the figure draws them."""
    readers = {}
    for reader in sorted({_reader(graph, *row) for row in places.tolist()}):
        name, span = graph.readers[reader[0]], reader[1]
        fed = [f"{LOGITS}@{span}"] if span else nodes_fed(graph, name)
        readers[reader] = [name, port_of(name), [nodes[each] for each in fed]]
    return readers


def _reader(graph: Graph, writer: int, column: int) -> Reader:
    own = graph.readers[column] == LOGITS and bool(graph.spans)
    return column, graph.writers[writer].partition("@")[2] if own else ""


# ---- words and numbers


def _curve(report: Report) -> list[list[float | None]]:
    """Edges, faithfulness and its interval at each measured size, but for sizes that are pruned to nothing."""
    points = [point for point in report.curve if point.n_edges]
    return [[each.n_edges, _short(each.faithfulness), _short(each.low), _short(each.high)] for each in points]


SHOWN = (
    "metric",
    "faithfulness",
    "per_prompt",
    "new_prompts",
    "accuracy",
    "controls",
)  # measurements with rows of their own


def _about(circuit: Circuit, report: Report | None, model: str, method: str) -> dict[str, Any]:
    about: dict[str, Any] = {"model": model, "method": method, "n_edges": len(circuit), "total": circuit.graph.n_edges}
    if circuit.certificate is not None:
        about |= {"target": circuit.certificate.target, "found": _short(circuit.certificate.faithfulness)}
    if report is None:
        return about
    for name in ("faithfulness", "per_prompt"):
        if not math.isnan(getattr(report, name).value):
            about |= {name: _ends(getattr(report, name))}
    return about | {
        "task": report.task,
        "metric": report.metric,
        "ablation": ABLATIONS.in_words(report.setup and report.setup.ablation),
        "prompts": report.prompts,
        "confidence": report.confidence,
        "controls": [_short(value) for value in report.controls if math.isfinite(value)],
        "clean": _short(report.clean),
        "ablated": _short(report.ablated),
        "kept": _short(report.circuit),
        "accuracy": [_short(report.model_accuracy), _short(report.circuit_accuracy)],
        "cautions": report.cautions,
        "others": [
            *([["quote", report.quote]] if report.quote else []),
            *(list(line) for each in report.measurements if each.name not in SHOWN for line in each.lines),
        ],
        "by_factor": [
            [each.label, each.n, _ends(each.faithfulness), _ends(each.per_prompt)]
            for each in report.by_factor
            if not math.isnan(each.faithfulness.value)
        ],
    }


def _ends(interval: Interval) -> list[float | None]:
    return [_short(interval.value), _short(interval.low), _short(interval.high)]


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "prompts": [_prompt(prompt) for prompt in evidence.prompts],
        "n_prompts": max(evidence.n_prompts, len(evidence.prompts)),
        "without": {name: _short(value) for name, value in evidence.without.items()},
        "roles": {name: list(roles) for name, roles in evidence.roles.items()},
        "direct": {name: _short(value) for name, value in evidence.direct.items()},
        "attention": {name: [_packed(each) for each in patterns] for name, patterns in evidence.attention.items()},
        "words": {name: [_said(each) for each in both] for name, both in evidence.words.items()},
        "raised": {name: [_said(each) for each in prompts] for name, prompts in evidence.raised.items()},
    }


def _said(said: Said) -> list[list[Any]]:
    return [[token, _short(number)] for token, number in said]


def _prompt(prompt: Prompt) -> dict[str, Any]:
    values = {name: _short(getattr(prompt, name)) for name in ("model", "circuit", "ablated")}
    return (
        {name: list(getattr(prompt, name)) for name in ("clean", "corrupt", "answers", "wrong")}
        | values
        | {"likeliest": _said(prompt.likeliest)}
    )


def triangle(length: int) -> int:
    """Cells of a pattern on a prompt of that many tokens: each token and all before it."""
    return length * (length + 1) // 2


def _packed(pattern: Tensor) -> str:
    """A pattern in whole percent, each row up to the last key that it may look at, a byte each, in base64."""
    percent = (100 * pattern.double()).round().clamp(0, 255).to(torch.uint8)
    rows, keys = torch.tril_indices(*percent.shape)
    return base64.b64encode(bytes(percent[rows, keys].tolist())).decode()


def _short(value: float | None) -> float | None:
    """Four significant digits, so that the bytes are the same where only the last bits differ."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
