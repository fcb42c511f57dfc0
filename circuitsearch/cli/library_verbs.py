"""What the commands of ``circuitsearch library`` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuitsearch.cli.options import LIBRARY
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError, counted, shortened, unknown
from circuitsearch.files import plain, write_bytes, write_json
from circuitsearch.library import Comparison, Conditions, Entry, Library, Match
from circuitsearch.loading import load
from circuitsearch.registry import METHODS
from circuitsearch.table_files import table_text

SHOWN = 12  # edges of a node, in or out, that are printed
COMPARED = 8  # circuits, up to which tables are printed
FORMATS = ("svg", "pdf", "png", "tex")


def add(
    at: Path, sources: Sequence[Path], model: str, task: str, roles: Path | None, of: str | None, sign: str | None,
    terminal: Terminal,
) -> None:  # fmt: skip
    """Add each source; those before a wrong one stay added."""
    library, shape, entries = Library(at), None if of is None else load(of)[0], []
    if at == LIBRARY:
        at.parent.mkdir(exist_ok=True)
    for source in sources:
        found = library.add(source, model=model, task=task, roles=roles, of=shape, sign=sign)
        terminal.say("added" if found.new else "known", str(found.entry))
        if found.entry.notes:
            terminal.say("note", found.entry.notes)
        entries.append(found)
    terminal.say("library", f"{counted(len(library), 'circuit')} in {at}")
    terminal.result([_entry(each.entry) | {"new": each.new} for each in entries])


def remove(at: Path, ids: Sequence[int], terminal: Terminal) -> None:
    """Remove the circuits, and print what each was."""
    library = Library(at)
    entries = library.remove(*ids)
    for entry in entries:
        terminal.say("removed", str(entry))
    terminal.say("library", f"{counted(len(library), 'circuit')} in {at}")
    terminal.result([_entry(entry) for entry in entries])


def show(at: Path, asked: Conditions, terminal: Terminal) -> None:
    """Print the entries as a table."""
    library = Library(at)
    entries = library.entries(**asked)
    rows = [
        (
            str(each.id),
            each.task or "\u2013",
            each.of_model,
            f"{each.n_edges:,}",
            _faithfulness(each),
            METHODS.text_in_words(each.method) if each.method else each.form,
        )
        for each in entries
    ]
    terminal.table(
        f"{len(entries)} of {counted(len(library), 'circuit')}",
        (" no.", "task", "model", " edges", "faithfulness", "found by"),
        rows,
    )
    terminal.result([_entry(each) for each in entries])


def search(at: Path, words: str, asked: Conditions, terminal: Terminal) -> None:
    """Print each circuit that fits, with how it uses what was asked for."""
    library = Library(at)
    matches = library.search(words, **asked)
    for match in matches:
        terminal.say(f"{match.entry.id}", str(match.entry).partition(": ")[2])
        for edge in match.edges:
            terminal.say("", f"  {edge}")
        for use in match.uses:
            terminal.say("", f"  {use.node}: {use.role or 'no role known'}")
            for label, edges in (("in ", use.incoming), ("out", use.outgoing)):
                terminal.say("", f"    {label} {_listed(edges)}")
    terminal.say("found", f"{len(matches)} of {counted(len(library), 'circuit')}")
    terminal.result([_match(each) for each in matches])


def _listed(edges: Sequence[Any]) -> str:
    more = f" and {len(edges) - SHOWN} more" if len(edges) > SHOWN else ""
    return (", ".join(map(str, edges[:SHOWN])) or "none") + more


def compare(
    at: Path, asked: Conditions, out: Path | None, form: str, theme: str, least: int, terminal: Terminal
) -> None:
    """Print overlap and heads of few circuits; write figures and tables to a folder if one is given."""
    if form not in FORMATS:
        raise unknown("format of figures", form, FORMATS)
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"the folder {shortened(out.parent)} does not exist: make it, or choose another with --out")
    found = Library(at).compare(**asked)
    _print_overlap(found, terminal)
    if len(found.entries) <= COMPARED:
        header, *rows = found.table(least)
        terminal.table(f"Nodes of {least} circuits or more: edges and role", header, rows)
    if out is not None:
        _write(found, out, form, theme, least)
        terminal.say("written", f"{out}/ (heatmap.{form}, smaller.{form}, tree.{form}, heads.csv, compare.json)")
    terminal.result(found.to_dict())


def _print_overlap(found: Comparison, terminal: Terminal) -> None:
    pairs = [(one, other) for one in range(len(found.entries)) for other in range(one)]
    closest = sorted(pairs, key=lambda pair: -found.jaccard[pair])[:SHOWN]
    rows = [
        (
            found.labels[other],
            found.labels[one],
            str(found.shared[one, other]),
            f"{found.jaccard[one, other]:.2f}",
            f"{found.of_smaller[one, other]:.2f}",
        )
        for one, other in closest
    ]
    terminal.table(
        f"{found.title}: the most alike", ("circuit", "and", " edges shared", " Jaccard", " of the smaller"), rows
    )


def _write(found: Comparison, out: Path, form: str, theme: str, least: int) -> None:
    out.mkdir(exist_ok=True)
    found.draw_heatmap(out / f"heatmap.{form}", theme=theme)
    found.draw_heatmap(out / f"smaller.{form}", smaller=True, theme=theme)
    if len(found.entries) > 1:
        found.draw_tree(out / f"tree.{form}", theme=theme)
    write_bytes(out / "heads.csv", table_text(found.table(least)).encode())
    write_json(out / "compare.json", found.to_dict())


def export(at: Path, out: Path, asked: Conditions, terminal: Terminal) -> None:
    """Write the circuits that fit."""
    entries = Library(at).export(out, **asked)
    terminal.say("written", f"{counted(len(entries), 'circuit')} to {out}")
    terminal.result({"out": str(out), "ids": [each.id for each in entries]})


def page(at: Path, out: Path, asked: Conditions, terminal: Terminal) -> None:
    """Write the page."""
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise InputError(f"{shortened(out)} cannot be written: give a file in a folder that exists with --out")
    entries = Library(at).write_page(out, **asked)
    terminal.say("page", f"{counted(len(entries), 'circuit')} in {out}")
    terminal.result({"page": str(out), "ids": [each.id for each in entries]})


def _faithfulness(entry: Entry) -> str:
    return "\u2013" if entry.faithfulness != entry.faithfulness else str(entry.interval)


def _entry(entry: Entry) -> dict[str, Any]:
    return plain(asdict(entry))


def _match(match: Match) -> dict[str, Any]:
    return plain(asdict(match))
