"""A circuit as a figure for a paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.escape import plain_text
from circuitsearch.figures.canvas import FORMATS, encode, figure_style, suffix_of
from circuitsearch.figures.caption import caption_for, write_caption
from circuitsearch.figures.dot import dot_source
from circuitsearch.figures.example import ExamplePrompt
from circuitsearch.figures.insets import insets_of
from circuitsearch.figures.page import POINTS, WIDTHS, inches
from circuitsearch.figures.paint import paint, room_for_drawing
from circuitsearch.figures.place import place
from circuitsearch.figures.plan import Plan, check_size, plan
from circuitsearch.figures.sheet import Look
from circuitsearch.figures.style import NODE_WIDTH, theme_named
from circuitsearch.files import write_bytes
from circuitsearch.graph import Graph
from circuitsearch.names import LOGITS, canonical_name, ends_of, spelled
from circuitsearch.roles import Roles, roles_of

if TYPE_CHECKING:
    from torch import Tensor

    from circuitsearch.validation.report import Report

WIDEST = WIDTHS["two-column"]  # inches: the largest width of a figure without a given width
ROOM_BESIDE = 0.7  # of a column's room that a head with its inset may take


Size = tuple[float, float]  # width and height, in inches


class Options(TypedDict, total=False):
    """What :func:`circuitsearch.draw` and :func:`circuitsearch.draw_comparison` take alike."""

    title: str
    caption: str
    highlight: Iterable[str]
    roles: Roles | None
    labels: str
    example: ExamplePrompt | None
    insets: Mapping[str, Any]
    tokens: Sequence[str]
    theme: str
    width: str | float | None


def draw_circuit(
    circuit: Circuit,
    path: str | Path,
    *,
    report: Report | None = None,
    inclusion: Tensor | None = None,
    **options: Unpack[Options],
) -> Size | None:
    """Draw a circuit as a figure; see :func:`circuitsearch.draw`. Returns the width and height of a figure for a page."""
    suffix = suffix_of(path, (*FORMATS, "dot", "html"))
    if suffix == "html":
        from circuitsearch.figures.viewer import draw_page

        draw_page(circuit, path, report=report)
        return None
    check_size(circuit, suffix)
    figure = plan(circuit, roles_of(circuit, options.get("roles")), inclusion)
    size = finish(
        figure, circuit, path, plain_text(f"Circuit on {circuit.task}") if circuit.task else "Circuit", options
    )
    if report is not None:
        write_caption(path, caption_for(circuit, report))
    return size


def finish(figure: Plan, circuit: Circuit, path: str | Path, name: str, options: Options) -> Size | None:
    """Place and paint a plan, and write the file; ``name`` is its title in a reader of files, if it has no other.

    Returns its size in inches; a DOT file has none.
    """
    suffix, example = suffix_of(path, (*FORMATS, "dot")), options.get("example")
    look = _look(figure, circuit.graph, options)
    if example is not None:
        figure = replace(figure, looks=example.looks(list(figure.row_of)))
    if suffix == "dot":
        write_bytes(path, dot_source(figure, look).encode())
        return None
    given = options.get("insets") or {}
    patterns = {_node_named(circuit.graph, figure.row_of, node): pattern for node, pattern in given.items()}
    with figure_style():
        room = room_for_drawing(look.width or POINTS * WIDEST)
        beside = insets_of(patterns, options.get("tokens", ()), ROOM_BESIDE * room / len(figure.columns) - NODE_WIDTH)
        sizes = {node: inset.size for node, inset in beside.items()}
        placed = place(figure, room, sizes, fill=look.width is not None)
        painted = paint(placed, replace(look, insets=beside))
        content = encode(painted, suffix, look.title or name)
    write_bytes(path, content)
    return painted.get_figwidth(), painted.get_figheight()


def _look(figure: Plan, graph: Graph, options: Options) -> Look:
    """The look that the options ask for."""
    width, example, labels = options.get("width"), options.get("example"), options.get("labels", "a9.h9")
    spelled(LOGITS, labels)  # raises if there are no such labels
    return Look(
        theme_named(options.get("theme", "light")),
        None if width is None else POINTS * inches(width),
        plain_text(options.get("title", "")),
        plain_text(options.get("caption", "")),
        "" if example is None else plain_text(example.text),
        example.of_spans() if example is not None and figure.columns != ("",) else {},
        highlight=frozenset(_part_named(graph, figure, name) for name in options.get("highlight", ())),
        labels=labels,
    )


def _part_named(graph: Graph, figure: Plan, name: str) -> str:
    """Canonical name of a node or an edge, in any spelling; an InputError if the figure does not have it."""
    if "->" not in name:
        return _node_named(graph, figure.row_of, name)
    writer, reader = ends_of(name)
    edge = graph.edge_name(graph.find_writer(writer.strip()), graph.find_reader(reader.strip()))
    if edge not in {strand.edge for strand in figure.strands}:
        raise InputError(f"the circuit has no edge {name!r}: give one that is drawn")
    return edge


def _node_named(graph: Graph, nodes: Mapping[str, object], name: str) -> str:
    """Canonical name of the node ``name``, in any spelling; an InputError if the figure does not have it."""
    canonical = canonical_name(name)
    if canonical != LOGITS and canonical not in nodes:
        canonical = graph.writers[graph.find_writer(name)]
    if canonical not in nodes:
        raise InputError(f"the circuit has no node {name!r}: it has {', '.join(list(nodes)[:8])} ...")
    return canonical
