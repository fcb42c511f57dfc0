"""The log of a long run: what it did and when, in a file in its folder to which lines are only added.

A line is a JSON object. All have ``time`` (UTC), ``event``, ``seconds`` since this process began, and ``memory``, the most bytes that the
process has taken so far, as the operating system counts them. Events: ``began`` (with process, host and command), ``started``, ``step`` (done
of total) and ``finished`` of a stage, and at the end ``ended``, ``stopped`` (Ctrl-C) or ``failed`` with a sentence. A process that
was killed writes no end; the file is locked while one is writing.
"""

from __future__ import annotations

import datetime
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError, shortened
from circuitsearch.files import locked_file, remove_parts, to_json
from circuitsearch.memory import peak
from circuitsearch.progress import Progress
from circuitsearch.version import __version__

LOG = "log.jsonl"
PATIENCE = 30.0  # seconds after which a step is written though no percent was done


class RunLog:
    """Adds lines to the log in a folder.

    Parameters
    ----------
    folder : path
        An existing folder.
    command : str
        What continues the run.
    """

    def __init__(self, folder: Path, command: str = "") -> None:
        self.path, self.command = folder / LOG, command
        self._file: Any = None
        self._last = (-1, 0.0)  # percent and time of the last step

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write how the work in a ``with`` block begins and ends, in a folder without what killed processes left half written.

        Raises
        ------
        InputError
            If another process is writing.
        """
        self._began = time.monotonic()
        with self.path.open("a+b") as self._file, locked_file(self._file, self.path.parent):
            self._end_torn_line()
            remove_parts(self.path.parent)
            self.write(
                "began", process=os.getpid(), host=socket.gethostname(), command=self.command, version=__version__
            )
            try:
                yield
            except BaseException as error:
                self.write(*_end(error))
                raise
            self.write("ended")

    def started(self, stage: str) -> None:
        """A stage begins."""
        self._last = (-1, time.monotonic())
        self.write("started", stage=stage)

    def step(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of a stage are done; written once a percent, or if nothing was for a while."""
        percent, now = 100 * done // max(total, 1), time.monotonic()
        if percent != self._last[0] or now - self._last[1] > PATIENCE:
            self._last = percent, now
            self.write("step", stage=stage, done=done, total=total)

    def finished(self, stage: str, seconds: float | None) -> None:
        """A stage has its result; ``seconds`` is None where it was read back."""
        self.write("finished", stage=stage, took=seconds)

    def write(self, event: str, sentence: str | None = None, **more: Any) -> None:
        """Add a line, in one piece."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        seconds = round(time.monotonic() - self._began, 3)
        said = {} if sentence is None else {"sentence": sentence}
        line = to_json({"time": now, "event": event, "seconds": seconds, "memory": peak(), **said, **more})
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def _end_torn_line(self) -> None:
        """Begin on a line of our own after one that a kill cut short."""
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")


def _end(error: BaseException) -> tuple[str, str]:
    """The event and the sentence with which a run ends early."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", "it was stopped (Ctrl-C)"
    if isinstance(error, InputError | OSError):
        return "failed", shortened(error, 300)
    return "failed", shortened(f"{type(error).__name__}: {error}", 300)


@contextmanager
def logged(folder: Path, command: str, stage: str, progress: Progress) -> Iterator[Progress]:
    """The log of work of one stage in a folder, which is made; yield a progress that is logged too.

    Where the work leaves nothing in the folder, neither does the log.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{shortened(folder, 100)} is a file: choose a folder with --out")
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder, command)

    def step(done: int, total: int) -> None:
        log.step(stage, done, total)
        progress(done, total)

    try:
        with log.running():
            began = time.monotonic()
            log.started(stage)
            yield step
            log.finished(stage, time.monotonic() - began)
    finally:
        if list(folder.iterdir()) == [log.path]:
            log.path.unlink()
            for each in new:
                each.rmdir()
