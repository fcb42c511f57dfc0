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

from circuitsearch.details import tell_details
from circuitsearch.errors import InputError
from circuitsearch.files import to_json
from circuitsearch.memory import in_words, peak


def printable(text: str) -> str:
    r"""Show control characters as escapes, so that a name cannot control the terminal.

    Examples
    --------
    >>> printable("ioi\x1b[2J")
    'ioi\\x1b[2J'
    """
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


class Terminal:
    """Output of a command: with ``json`` only the result goes to standard output, and everything else to standard error.

    If it is ``quiet``, nothing else is printed; if it is ``verbose``, details are printed too.
    """

    def __init__(self, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        if quiet and verbose:
            raise InputError("--quiet and --verbose cannot both be given: leave one out")
        self.json, self.quiet, self.verbose = json, quiet, verbose
        self.console = Console(stderr=json, quiet=quiet, highlight=False, markup=False, soft_wrap=True)
        if verbose:
            tell_details(self.detail)

    def say(self, label: str, text: str) -> None:
        """Print one line: a label and a text."""
        self.console.print(Text.assemble((f"{label:<9} ", "bold"), printable(text)))

    def detail(self, text: str) -> None:
        """Print one line, if it is verbose."""
        if self.verbose:
            self.say("", text)

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

        shown = ProgressBar(disable=self.quiet)
        shown.started(what)
        try:
            yield partial(shown.progressed, what)
        finally:
            shown.bar.stop()
            self.detail(f"{what}: {shown.seconds:.1f} s, {memory_so_far()}")


def memory_so_far() -> str:
    """The most memory that this process has taken, in words."""
    most = peak()
    return "memory unknown" if most is None else f"{in_words(most)} of memory at most so far"
