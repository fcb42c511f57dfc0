"""The data of a page as plain lists, for its slider, filters and panels.

Circuits of different sizes are nested: a longer prefix of the ranking, pruned, contains every shorter one, pruned. One order of
the edges and a list of lengths therefore describe all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.names import EMBED, LOGITS
from circuitsearch.reachability import components
from circuitsearch.registry import ABLATIONS
from circuitsearch.scores import ranking
from circuitsearch.search.ranked import strongest

if TYPE_CHECKING:
    from circuitsearch.validation.report import Interval, Report

LARGEST_SLIDER = 5000  # edges of the largest circuit that the slider reaches
LARGEST = 50_000  # edges of the largest circuit that a page takes
GROWTH = 1.12  # from one of the slider's sizes to the next

_KINDS = {"heads": "head", "mlp": "mlp", "neurons": "neuron", "experts": "expert", "mixer": "mixer"}


@dataclass(frozen=True)
class Prompt:
    """A pair of prompts, token by token, and the metric of the model, of the circuit, and with every edge ablated."""

    clean: tuple[str, ...]
    corrupt: tuple[str, ...]
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    model: float
    circuit: float
    ablated: float


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
    """

    prompts: Sequence[Prompt] = ()
    n_prompts: int = 0
    without: Mapping[str, float] = field(default_factory=dict)
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    direct: Mapping[str, float] = field(default_factory=dict)
    attention: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)


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
    nodes = _nodes(circuit.graph)
    content = {
        "format": 1,
        "about": _about(circuit, report, model, method),
        "nodes": [[node.name, node.kind, node.layer, node.row] for node in nodes],
        "readers": _readers(circuit.graph, places),
        "edges": _edges(circuit, places),
        "circuit": _members(circuit, places),
        "stops": stops,
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


def _lengths(most: int) -> list[int]:
    """Prefixes of the ranking that are tried: each by ``GROWTH`` longer than the one before, and the whole."""
    lengths, length = [], 1
    while length < most:
        lengths.append(length)
        length = max(length + 1, math.floor(length * GROWTH))
    return [*lengths, most] if most else []


def _edges(circuit: Circuit, places: Tensor) -> dict[str, list[Any]]:
    """Columns: writer (a node), reader (one of the readers that occur), score, effect in the circuit, and what is left without the edge.

    Of a complete circuit also what each edge does, and the edges that can take its place.
    """
    occurring = {column: index for index, column in enumerate(_columns(places))}
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
        "reader": [occurring[column] for _, column in rows],
        "score": [_short(score) for score in scores],
        "effect": [_short(effect) for effect in effects],
        "without": [_short(known.get(name)) for name in names] if known else [],
        "role": [roles.get(name, "") for name in names] if roles else [],
        "instead": [list(redundancy.replacements(name)) for name in names] if redundancy else [],
    }


def _members(circuit: Circuit, places: Tensor) -> list[int]:
    """Which of the edges are in the circuit."""
    return circuit.mask[places[:, 0], places[:, 1]].nonzero().flatten().tolist()


def _columns(places: Tensor) -> list[int]:
    return places[:, 1].unique().tolist()


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


def _readers(graph: Graph, places: Tensor) -> list[list[Any]]:
    """Of each reader that occurs: its name, its port, and the nodes that it feeds."""
    readers = []
    for column in _columns(places):
        name = graph.readers[column]
        fed = [graph.writer_index[node] for node in components(graph, name)] or [len(graph.writers)]
        readers.append([name, name.partition("<")[2].partition(">")[0] or LOGITS, fed])
    return readers


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
        "attention": {name: [_percent(each) for each in patterns] for name, patterns in evidence.attention.items()},
    }


def _prompt(prompt: Prompt) -> dict[str, Any]:
    values = {name: _short(getattr(prompt, name)) for name in ("model", "circuit", "ablated")}
    return {name: list(getattr(prompt, name)) for name in ("clean", "corrupt", "answers", "wrong")} | values


def _percent(pattern: Tensor) -> list[list[int]]:
    """A pattern in whole percent, each row up to the last key that it may look at."""
    rounded = (100 * pattern.double()).round().int().tolist()
    return [row[: query + 1] for query, row in enumerate(rounded)]


def _short(value: float | None) -> float | None:
    """Four significant digits, so that the bytes are the same where only the last bits differ."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
