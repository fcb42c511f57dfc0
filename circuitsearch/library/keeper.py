"""``find(library=...)``: keeps a run in a library as it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from circuitsearch.finding import Finding, Listener, Plan
from circuitsearch.library.library import Library


class Keeper(Listener):
    """Adds a run to a library when all its results are there; a library that cannot be used is refused before the run."""

    def __init__(self, path: str | Path) -> None:
        self.library = Library(path)

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        """Check the library before anything slow is run."""
        self.library.check()
        yield

    def ended(self, plan: Plan, finding: Finding) -> None:
        """Add the run, from its folder if it has one."""
        name = "" if finding.folder else Path(getattr(plan.selection.model.config, "name_or_path", "")).name
        self.library.add(finding, model=name)
