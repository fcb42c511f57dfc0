"""Kills at random moments, from the first import to the last file: the command is given again until it ends, and leaves the same bytes."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.verbs import VERBS, Verb, unlike

MOST_KILLS = 4  # of one run, which then goes on to its end


@dataclass
class Killed:
    """What became of the runs of one command.

    Attributes
    ----------
    verb : str
        Its name.
    runs, kills : int
        Runs that came to their end, and the kills on their way.
    wrong : list of str
        Files that differ from those of a run that was not killed, and runs that ended with an error.
    """

    verb: str
    runs: int = 0
    kills: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[object, ...]:
        """For the table."""
        return f"`{self.verb}`", self.runs, self.kills, len(self.wrong)


def killed(n: int, folder: Path, seed: int, verbs: tuple[Verb, ...] = VERBS) -> Iterator[Killed]:
    """Kill every command ``n / len(verbs)`` times, and compare what is left at the end."""
    moments = random.Random(seed)
    for number, verb in enumerate(verbs):
        begun, whole = folder / f"{number}-begun", folder / f"{number}-whole"
        verb.prepare(begun)
        shutil.copytree(begun, whole)
        began = time.monotonic()
        expected = verb.finish(whole)
        lasts = time.monotonic() - began
        found = Killed(verb.name)
        while found.kills < n / len(verbs):
            broken = folder / f"{number}-{found.runs}"
            shutil.copytree(begun, broken)
            found.kills += _kill(verb, broken, lasts, moments)
            found.runs += 1
            found.wrong += _differences(verb, broken, expected)
            shutil.rmtree(broken)
        shutil.rmtree(whole)
        shutil.rmtree(begun)
        yield found


def _kill(verb: Verb, folder: Path, lasts: float, moments: random.Random) -> int:
    """Start the command and kill it, up to ``MOST_KILLS`` times; how often it was killed before it had ended."""
    for kills in range(MOST_KILLS):
        process = verb.start(folder)
        try:
            process.wait(moments.uniform(0, lasts))
            return kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return MOST_KILLS


def _differences(verb: Verb, folder: Path, expected: dict[str, str]) -> list[str]:
    try:
        left = verb.finish(folder)
    except RuntimeError as error:
        return [str(error)]
    return [f"{verb.name}: {name}" for name in unlike(expected, left)]
