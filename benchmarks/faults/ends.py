"""A full disk, a model that vanishes, a clock set back, a second writer: each ends in one sentence, and the run can go on."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.verbs import PROGRAM, Verb, digests

FIND = Verb("find", "find induction --n 16 --passes 2 --out run")
WRONG_INPUT = 2
BYTES = (100_000, 400_000)  # of a disk that is full at the first files, at the figures


@dataclass(frozen=True)
class End:
    """How a command ended under a fault.

    Attributes
    ----------
    fault : str
        What failed.
    code : int
        The command's exit code.
    said : str
        Its last line.
    whole : bool
        Whether the same command, given again without the fault, left the bytes of an undisturbed run.
    """

    fault: str
    code: int
    said: str
    whole: bool

    @property
    def row(self) -> tuple[object, ...]:
        """For the table."""
        return self.fault, self.code, self.said, "yes" if self.whole else "NO"

    @property
    def wrong(self) -> list[str]:
        """The fault, unless it ends in one sentence without a traceback, and nothing is lost."""
        clear = self.whole and "Traceback" not in self.said and self.code in (0, WRONG_INPUT)
        return [] if clear else [self.fault]


def ends(folder: Path) -> Iterator[End]:
    """Every fault in turn."""
    expected = FIND.finish(folder / "whole")
    faults: list[tuple[str, Callable[[Path, dict[str, str]], End]]] = [
        *(
            (f"a disk of {size // 1000} kB", lambda room, expected, size=size: full_disk(room, expected, size))
            for size in BYTES
        ),
        ("a second writer", two_writers),
        ("the clock set back a year", clock_set_back),
        ("a model that vanishes", vanished_model),
    ]
    for number, (name, fault) in enumerate(faults):
        room = folder / str(number)
        room.mkdir()
        found = fault(room, expected)
        yield End(name, found.code, found.said, found.whole)
        shutil.rmtree(room)


def full_disk(room: Path, expected: dict[str, str], size: int) -> End:
    """The run's folder is a file system of its own, of so many bytes; what it holds in the end is copied out of it and goes on."""
    (room / "run").mkdir()
    (room / "kept").mkdir()
    script = f"mount -t tmpfs -o size={size} none run && {' '.join(PROGRAM)} {FIND.arguments}; code=$?; cp -r run/. kept; exit $code"
    code = FIND.start(room, ("unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh")).wait()
    said = _said(room)
    shutil.rmtree(room / "run")
    (room / "kept").rename(room / "run")
    return End("", code, said, FIND.finish(room) == expected)


def two_writers(room: Path, expected: dict[str, str]) -> End:
    """The same command twice at once: one of them goes on."""
    first = FIND.start(room)
    while not (room / "run").exists():
        time.sleep(0.01)
    second = subprocess.run([*PROGRAM, *FIND.arguments.split()], cwd=room, capture_output=True, text=True, check=False)
    ended = first.wait()
    return End("", second.returncode, _last(second.stderr), ended == 0 and FIND.finish(room) == expected)


def clock_set_back(room: Path, expected: dict[str, str]) -> End:
    """A run is killed, and goes on a year earlier."""
    process = FIND.start(room)
    while not (room / "run" / "scores.safetensors").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    code = FIND.start(room, ("faketime", "-f", "-365d", *PROGRAM)).wait()
    return End("", code, _said(room), digests(room) == expected)


def vanished_model(room: Path, expected: dict[str, str]) -> End:
    """A run is killed, its model's folder is gone when it goes on, and comes back."""
    from circuitsearch.models.load import BUNDLED

    own = Verb("find", f"{FIND.arguments} --model ./pico")
    shutil.copytree(BUNDLED["pico"], room / "pico")
    process = own.start(room)
    while not (room / "run" / "scores.safetensors").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    (room / "pico").rename(room / "gone")
    code = own.start(room).wait()
    said = _said(room)
    (room / "gone").rename(room / "pico")
    left = own.finish(room)
    alike = ("run/circuit.json", "run/scores.safetensors")
    return End("", code, said, all(left[name] == expected[name] for name in alike))


def _said(room: Path) -> str:
    return _last((room / "said.jsonl").read_text())


def _last(text: str) -> str:
    return "Traceback: " * ("Traceback" in text) + text.strip().rpartition("\n")[2]
