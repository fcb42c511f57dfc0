"""The page of a library: one HTML file with its circuits, filters, a search, and how much the circuits of a model overlap."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from circuitsearch.errors import counted
from circuitsearch.escape import plain_text
from circuitsearch.figures.viewer.page import document, escaped, filled, json_in_html, options
from circuitsearch.library.entry import Edge, Entry
from circuitsearch.library.map import overlap_map
from circuitsearch.library.overlap import comparison
from circuitsearch.registry import METHODS
from circuitsearch.run_files import PAGE

if TYPE_CHECKING:
    from circuitsearch.library.library import Library

MOST_EDGES = 400  # of a circuit that the page's search knows, the strongest
LONGEST = 60  # letters of a cell


def page(library: Library, entries: Sequence[Entry], out: Path) -> str:
    """The page of some entries; ``out`` is where it will be, from which runs are linked."""
    nodes: dict[int, list[tuple[str, str]]] = {each.id: [] for each in entries}
    for identity, node, role, _ in library.nodes(list(nodes)):
        nodes[identity].append((node, role))
    edges, feeds = library.edges(list(nodes)), library.feeds(list(nodes))
    count, script = counted(len(entries), "circuit"), _asset("library.js")
    title = f"A library of {count}"
    body = filled(
        _asset("library.html"),
        script=script,
        title=title,
        summary=escaped(_summary(entries)),
        count=count,
        models=options(sorted(each.of_model for each in entries)),
        tasks=options(sorted(each.task for each in entries if each.task)),
        rows="\n".join(_row(each, _roles(nodes[each.id]), out) for each in entries),
        maps="\n".join(_maps(entries, edges)),
        data=json_in_html([_data(each, nodes[each.id], edges[each.id], feeds[each.id]) for each in entries]),
    )
    return document(title, body, _asset("library.css"), script)


@cache
def _asset(name: str) -> str:
    return (files("circuitsearch.library") / "assets" / name).read_text(encoding="utf-8")


def _summary(entries: Sequence[Entry]) -> str:
    models, tasks = {each.of_model for each in entries}, {each.task for each in entries if each.task}
    return (
        f"{counted(len(models), 'model')}, {counted(len(tasks), 'task')}. Search for a head in any spelling, an edge, or words of"
        " tasks and roles; a head's edges are listed below each circuit with their effects in it. Circuits with a page of their own"
        " link to it. In the squares below, the stronger the colour, the more edges two circuits share, of the edges of either (Jaccard"
        " index); the trees join the most similar ones first."
    )


# ---- the table


def _row(entry: Entry, roles: str, out: Path) -> str:
    cells = [
        f'<td class="number">{entry.id}</td>',
        f'<th scope="row">{_linked(entry, out)}</th>',
        f'<td class="model" title="{escaped(entry.of_model)}">{escaped(entry.of_model)}</td>',
        f'<td class="number">{entry.n_edges:,}</td>',
        f"<td>{_faithfulness(entry)}</td>",
        f'<td class="how">{escaped(_how(entry))}</td>',
        f'<td class="roles" title="{escaped(roles)}">{escaped(roles)}</td>',
    ]
    return f'<tr class="circuit">{"".join(cells)}</tr>'


def _linked(entry: Entry, out: Path) -> str:
    """The circuit's name, as a link to the page of its run if that is still there."""
    seed = "" if entry.seed is None else f", seed {entry.seed}"
    name = escaped(f"{(entry.task or entry.form)[:LONGEST]}{seed}")
    run = Path(entry.folder) / PAGE if entry.folder else None
    return name if run is None or not _is_file(run) else f'<a href="{escaped(_address(run, out))}">{name}</a>'


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that the system does not take
        return False


def _address(run: Path, out: Path) -> str:
    """The run's page as seen from this one; absolute if they are on different drives."""
    try:
        return quote(Path(os.path.relpath(run, out.absolute().parent)).as_posix())
    except ValueError:
        return run.as_uri()


def _faithfulness(entry: Entry) -> str:
    if entry.faithfulness != entry.faithfulness:
        return "\u2013"
    held = "" if not entry.n_seen else " (not held out)"
    bar = f'<meter min="0" max="1" value="{min(max(entry.faithfulness, 0.0), 1.0):.3f}" aria-hidden="true"></meter>'
    return bar + escaped(f"{entry.interval}{held}".replace("-", "\u2212"))


def _how(entry: Entry) -> str:
    return METHODS.text_in_words(entry.method) if entry.method else entry.form


def _roles(nodes: Sequence[tuple[str, str]]) -> str:
    """How many nodes have each role, the most frequent first."""
    roles = [plain_text(role) for _, role in nodes if role]
    names = sorted(set(roles), key=lambda role: (-roles.count(role), role))
    return ", ".join(f"{role} {roles.count(role)}" for role in names)


# ---- what the search knows


def _data(
    entry: Entry, nodes: Sequence[tuple[str, str]], edges: Sequence[Edge], feeds: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    words = (entry.task, entry.of_model, entry.method, entry.form, *(role for _, role in nodes))
    return {
        "text": plain_text(" ".join(words)).lower(),
        "model": plain_text(entry.of_model),
        "task": plain_text(entry.task),
        "size": entry.n_edges,
        "faithfulness": entry.faithfulness if entry.faithfulness == entry.faithfulness else None,
        "nodes": [[plain_text(node), plain_text(role)] for node, role in nodes],
        "edges": [[plain_text(edge.name), edge.strength] for edge in edges[:MOST_EDGES]],
        "feeds": feeds,
    }


# ---- overlap


def _maps(entries: Sequence[Entry], edges: Mapping[int, Sequence[Edge]]) -> Iterator[str]:
    """For each model, and each kind of nodes, with two circuits or more."""
    kinds = sorted(entries, key=lambda each: (each.model, each.graph))
    for _, same in groupby(kinds, key=lambda each: (each.model, each.graph)):
        some = list(same)
        if len(some) > 1:
            found = comparison(some, [[edge.name for edge in edges[each.id]] for each in some], [])
            yield overlap_map(found)
