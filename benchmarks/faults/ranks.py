"""One of two processes of a shared run is killed, in every stage: torchrun starts them again, and they leave the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.verbs import VERBS, Verb, unlike

PROCESSES = 2
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={PROCESSES}", "--max-restarts=1", "-m")
LAUNCHER = (*TORCHRUN, "circuitsearch", "--")
SHARED = tuple(
    verb for verb in VERBS if verb.name in ("find", "score --method exact", "score --method eap-ig", "bench")
)
BEFORE = "before the run's folder is there"


@dataclass
class Restarted:
    """What became of the runs of one command.

    Attributes
    ----------
    verb : str
        Its name.
    stages : Counter
        How often a process was killed in each stage, by the log of the first process.
    wrong : list of str
        Files that differ from those of a run that was not killed, and runs that ended with an error.
    """

    verb: str
    stages: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[object, ...]:
        """For the table."""
        stages = ", ".join(f"{stage} {times}" for stage, times in self.stages.items())
        return f"`{self.verb}`", self.stages.total(), stages, len(self.wrong)


def restarted(n: int, folder: Path, only: str = "") -> Iterator[Restarted]:
    """Kill one process of ``n`` runs of each command, at times spread over the whole run, first and second in turn."""
    for number, verb in enumerate(verb for verb in SHARED if only in verb.name):
        began = time.monotonic()
        expected = verb.finish(folder / f"{number}-whole", LAUNCHER)
        lasts, found = time.monotonic() - began, Restarted(verb.name)
        for run in range(n):
            room = folder / f"{number}-{run}"
            _kill_one(verb, room, lasts * (run + 0.5) / n, run % PROCESSES, found)
            found.wrong += [f"{room.name}: {name}" for name in unlike(expected, verb.left(room))]
            shutil.rmtree(room)
        yield found


def _kill_one(verb: Verb, room: Path, after: float, rank: int, found: Restarted) -> None:
    launcher = verb.start(room, LAUNCHER)
    time.sleep(after)
    started = sorted(_children(launcher.pid))
    if len(started) == PROCESSES:
        found.stages[_stage(room)] += 1
        os.kill(started[rank], signal.SIGKILL)
    if launcher.wait():
        found.wrong.append(f"{room.name} ended with code {launcher.returncode}")


def _children(process: int) -> list[int]:
    """The processes that torchrun started."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _stage(room: Path) -> str:
    """The last stage in the log."""
    lines = [line for path in room.rglob("log.jsonl") for line in path.read_text().splitlines() if line.endswith("}")]
    stages = [stage for line in lines if (stage := json.loads(line).get("stage"))]
    return stages[-1] if stages else BEFORE
