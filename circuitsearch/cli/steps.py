"""The steps of a run, each computed once, with a bar, and read back the next time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from circuitsearch.cli.terminal import Terminal
from circuitsearch.run import Kind, RunFolder

Bar = Callable[[int, int], None]


@dataclass
class Steps:
    """Takes the steps of one run; ``took`` says of the last one how long it took, or that it was read back."""

    folder: RunFolder
    terminal: Terminal
    took: str = ""

    def take(self, name: str, kind: type[Kind], make: Callable[[Bar], Kind]) -> Kind:
        """Read the file ``name`` back if it is finished, else make what belongs in it and write it."""
        there, began = self.folder.has(name), perf_counter()
        with self.terminal.progress(name.partition(".")[0]) as bar:
            answer = self.folder.once(name, kind, lambda: make(bar))
        self.took = "read back" if there else f"{perf_counter() - began:.1f} s"
        return answer
