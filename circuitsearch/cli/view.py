"""``circuitsearch view``: open the page of a run, or of several."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.cli.asked import AskedRun
from circuitsearch.cli.beside import results_beside, roles_beside, run_of
from circuitsearch.cli.draw import known_roles
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.figures.index import Shown, index_page
from circuitsearch.figures.viewer import Evidence, draw_page
from circuitsearch.files import write_bytes
from circuitsearch.page import evidence
from circuitsearch.run import circuit_at, with_scores
from circuitsearch.run_files import PAGE

Changed = dict[str, Any]  # where the model is now, and where it runs


def view(runs: Sequence[Path], changed: Changed, out: Path, opened: bool, terminal: Terminal) -> None:
    """Open the page of a run, or of several with a comparison; a missing page is written first, for which its model is run.

    Raises
    ------
    InputError
        If a path is neither a run folder nor a circuit file, or two runs are the same.
    """
    pages = [_page_of(run, changed, terminal) for run in runs]
    if len(set(pages)) < len(pages):
        raise InputError("view compares different runs, and the same run is given twice: leave one out")
    place = pages[0] if len(runs) == 1 else _compared(runs, pages, out)
    show_page(place, opened, terminal)
    terminal.result({"page": str(place), "runs": [str(run) for run in runs]})


def show_page(page: Path, opened: bool, terminal: Terminal) -> None:
    """Say where a page is, and open it in the browser if that is asked for."""
    terminal.say("page", str(page))
    if opened and not webbrowser.open(page.absolute().as_uri()):
        terminal.say("", "no browser could be started: open the file in one")


def _page_of(run: Path, changed: Changed, terminal: Terminal) -> Path:
    """The page of a run, which is written if it is not there, or of a circuit."""
    folder = run_of(run) or run
    page = folder / PAGE if folder.is_dir() else run.with_suffix(".html")
    if not page.is_file() or not folder.is_dir():
        circuit = circuit_at(run)
        shown = _evidence(circuit, run, changed, terminal)
        draw_page(with_scores(circuit, folder), page, evidence=shown, **results_beside(run))
    return page


def _evidence(circuit: Circuit, run: Path, changed: Changed, terminal: Terminal) -> Evidence:
    """What a run's model shows on its held-out prompts; where it cannot be run, the known roles, and a line that says why."""
    folder = run_of(run)
    try:
        return known_roles(circuit, roles_beside(run)) if folder is None else _measured(folder, changed)
    except InputError as error:
        terminal.say("note", f"the page is without prompts and attention, for which the model is run: {error}")
        return known_roles(circuit, roles_beside(run))


def _measured(folder: Path, changed: Changed) -> Evidence:
    run = AskedRun.read(folder, changed, "cs.write_page")
    model, tokenizer = run.question.load_model()
    held_out = Experiment.of(model, run.held_out(tokenizer), run.circuit, **run.question.beside_circuit)
    return evidence(held_out, run.circuit, tokenizer)


def _compared(runs: Sequence[Path], pages: Sequence[Path], out: Path) -> Path:
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise InputError(f"{out} cannot be written: give a file in a folder that exists with --out")
    shown = [
        Shown(name, _seen_from(page, out), circuit_at(run), **results_beside(run))
        for name, run, page in zip(_names(runs), runs, pages, strict=True)
    ]
    write_bytes(out, index_page(shown).encode())
    return out


def _seen_from(page: Path, out: Path) -> str:
    """The relative path from one file to another, or the absolute one if they are on different drives."""
    try:
        return Path(os.path.relpath(page.absolute(), out.absolute().parent)).as_posix()
    except ValueError:
        return page.absolute().as_posix()


def _names(runs: Sequence[Path]) -> list[str]:
    """The names of the runs' folders, or if two are equal their paths."""
    names = [run.absolute().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
