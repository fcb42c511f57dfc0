"""Output of a command: lines and tables for people, or one JSON object for programs; progress with the time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from circuitsearch.files import to_json


def printable(text: str) -> str:
    r"""Show control characters as escapes, so that a name cannot control the terminal.

    Examples
    --------
    >>> printable("ioi\x1b[2J")
    'ioi\\x1b[2J'
    """
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


class Terminal:
    """Output of a command: with ``json`` only the result goes to standard output, and everything else to standard error."""

    def __init__(self, json: bool = False) -> None:
        self.json = json
        self.console = Console(stderr=json, highlight=False, markup=False, soft_wrap=True)

    def say(self, label: str, text: str) -> None:
        """Print one line: a label and a text."""
        self.console.print(Text.assemble((f"{label:<9} ", "bold"), printable(text)))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; columns whose name begins with a space are aligned right."""
        table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
        for place, name in enumerate(header):
            table.add_column(name.strip(), justify="right" if name.startswith(" ") else "left", no_wrap=place == 0)
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self.console.print(table)

    def result(self, content: Any) -> None:
        """Print the JSON object, with ``--json``."""
        if self.json:
            sys.stdout.write(to_json(content) + "\n")

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """Give a callable for (steps done, steps in all); on a terminal a bar is shown after some seconds."""
        from circuitsearch.progress_bar import ProgressBar  # slow to import, which would slow --help down

        shown = ProgressBar()
        shown.started(what)
        try:
            yield partial(shown.progressed, what)
        finally:
            shown.bar.stop()
