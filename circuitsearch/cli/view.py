"""``circuitsearch view``: open the page of a run, or of several."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError
from circuitsearch.figures.viewer import Shown, draw_page, index_page
from circuitsearch.files import write_bytes
from circuitsearch.run import MANIFEST, Manifest, about_run, circuit_at, with_scores
from circuitsearch.run_files import PAGE
from circuitsearch.validation import Report


def view(runs: Sequence[Path], out: Path, opened: bool, terminal: Terminal) -> None:
    """Open the page of a run, or of several with a comparison; a missing page is written first.

    Raises
    ------
    InputError
        If a path is neither a run folder nor a circuit file, or two runs are the same.
    """
    pages = [_page_of(run) for run in runs]
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


def _page_of(run: Path) -> Path:
    """A run's page; if there is none, one is written, without prompts, which need the model."""
    page = run / PAGE if run.is_dir() else run.with_suffix(".html")
    if not page.is_file() or not run.is_dir():
        circuit, about = circuit_at(run), _about(run)
        draw_page(with_scores(circuit, run), page, **about)
    return page


def _about(run: Path) -> dict[str, Any]:
    """The report, the model's name and the method of a run folder, as far as there are any."""
    if not run.is_dir():
        return {}
    about: dict[str, Any] = {}
    if (run / "report.json").is_file():
        about["report"] = Report.load(run / "report.json")
    if (run / MANIFEST).is_file():
        about |= about_run(Manifest.load(run / MANIFEST))
    return about


def _compared(runs: Sequence[Path], pages: Sequence[Path], out: Path) -> Path:
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise InputError(f"{out} cannot be written: give a file in a folder that exists with --out")
    shown = [
        Shown(name, _seen_from(page, out), circuit_at(run), **_about(run))
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
