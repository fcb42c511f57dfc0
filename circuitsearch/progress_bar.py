"""A progress bar for terminals and notebooks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from circuitsearch.finding import Listener, Plan

PATIENCE = 2.0  # seconds after which a bar is shown


class ProgressBar(Listener):
    """Shows a bar with the time left for each stage that takes more than some seconds, on a terminal or in a notebook."""

    def __init__(self, *, disable: bool = False) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        shown = console.is_terminal or console.is_jupyter
        self.bar = Progress(*columns, console=console, transient=True, disable=disable or not shown)

    @contextmanager
    def running(self, plan: Plan) -> Iterator[None]:
        try:
            yield
        finally:
            self.bar.stop()

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return time.monotonic() - self.began

    def started(self, stage: str) -> None:
        self.began = time.monotonic()
        self.task = self.bar.add_task(stage, total=None)

    def progressed(self, stage: str, done: int, total: int) -> None:
        self.bar.update(self.task, completed=done, total=total)
        if self.seconds > PATIENCE:
            self.bar.start()

    def finished(self, stage: str, result: Any, seconds: float | None) -> None:
        self.bar.remove_task(self.task)
        self.bar.stop()
