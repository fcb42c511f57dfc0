"""Running cases in a forked worker that is killed when it hangs, with its time and memory measured for each case."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

Case = TypeVar("Case")

SECONDS, KILLED_AFTER = 5.0, 40.0  # of the processor; of the clock, since others may use the machine
MOST_GROWTH = 200 << 20  # bytes
_ROOM = 6 << 30  # bytes of address space beyond what the worker has when it starts


class Wrong(Exception):
    """What a case does that it should not, in a few words."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended: ``value`` and ``refused`` are right."""

    kind: str
    said: str
    seconds: float = 0.0
    grown: int = 0

    @property
    def right(self) -> bool:
        return self.kind in ("value", "refused")


def watched(cases: Sequence[Case], do: Callable[[Case], Outcome]) -> Iterator[Outcome]:
    """Do each case in a forked worker; after one that hangs or dies the next goes to a new worker."""
    context: Any = multiprocessing.get_context("fork")
    done = 0
    while done < len(cases):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(theirs, cases[done:], do), daemon=True)
        worker.start()
        theirs.close()
        for outcome in _answers(ours, len(cases) - done):
            done += 1
            yield outcome
        worker.kill()
        worker.join()


def _answers(connection: Connection, count: int) -> Iterator[Outcome]:
    for _ in range(count):
        try:
            outcome = connection.recv() if connection.poll(KILLED_AFTER) else Outcome("hang", f"over {KILLED_AFTER} s")
        except EOFError:
            outcome = Outcome("died", "the process ended")
        yield outcome
        if outcome.kind in ("hang", "died"):
            return


def _work(connection: Connection, cases: Sequence[Case], do: Callable[[Case], Outcome]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    limit = _kilobytes("VmSize") * 1024 + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for case in cases:
        connection.send(measured(do, case))


def measured(do: Callable[[Case], Outcome], case: Case) -> Outcome:
    """Do one case; what it raises, takes too long for or grows by is its outcome."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, began = _kilobytes("VmRSS"), time.process_time()
    try:
        outcome = do(case)
    except Wrong as wrong:
        outcome = Outcome(*wrong.args)
    except BaseException as error:  # a panic of Rust code is no Exception
        outcome = Outcome("traceback", _last_lines(error))
    seconds, grown = time.process_time() - began, (_kilobytes("VmHWM") - before) * 1024
    kind, said = outcome.kind, outcome.said
    if outcome.right and seconds > SECONDS:
        kind, said = "hang", f"{seconds:.1f} s of processor time; {said}"
    elif outcome.right and grown > MOST_GROWTH:
        kind, said = "growth", f"{grown >> 20} MB; {said}"
    return Outcome(kind, said, seconds, grown)


def _last_lines(error: BaseException) -> str:
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"{type(error).__name__}: {str(error)[:150]!r} at {' '.join(frames[-4:])}"


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
