"""The commands that take long, in their smallest sizes, and what they leave behind."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CELLS = "--model pico --task induction --method eap --method find(passes=1) --method minimal"
EXPORTED = "exported.json"
_EXPORT = f"library export {EXPORTED} --library kept.sqlite"
PROGRAM = (sys.executable, "-m", "circuitsearch")
# Not the same in every run: the log and leaderboards, with times and memory, and databases, whose pages depend on the order of transactions.
TIMED = "leaderboard"
UNLIKE = (".jsonl", ".sqlite", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal")


@dataclass(frozen=True)
class Verb:
    """A command that is run in a folder of its own.

    Attributes
    ----------
    name : str
        For tables.
    arguments : str
        As typed.
    after : str
        A command that makes files out of those that cannot be compared, run once the command has ended.
    before : tuple of str
        Commands whose files it needs, which are not killed.
    """

    name: str
    arguments: str
    after: str = ""
    before: tuple[str, ...] = ()

    def prepare(self, folder: Path) -> None:
        """Make a folder with the files that the command needs."""
        folder.mkdir(parents=True)
        for command in self.before:
            _run(command, folder)

    def start(self, folder: Path, launcher: tuple[str, ...] = PROGRAM) -> subprocess.Popen:
        """The command as a process, with one thread and a cache of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        fonts = str(folder.parent / "matplotlib")
        own = {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "MPLCONFIGDIR": fonts,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        with (folder / "said.jsonl").open("ab") as said:
            return subprocess.Popen(
                [*launcher, *self.arguments.split()],
                cwd=folder,
                env=os.environ | own,
                stdout=said,
                stderr=said,
            )

    def finish(self, folder: Path, launcher: tuple[str, ...] = PROGRAM) -> dict[str, str]:
        """Run the command to its end, and digest every file that it left.

        Raises
        ------
        RuntimeError
            If it does not end with code 0.
        """
        code = self.start(folder, launcher).wait()
        if code:
            raise RuntimeError(f"{self.name} ended with code {code}: {(folder / 'said.jsonl').read_text()[-500:]}")
        return self.left(folder)

    def left(self, folder: Path) -> dict[str, str]:
        """The digest of every file that the command, which has ended, left."""
        if self.after:
            _run(self.after, folder)
            _forget_circumstances(folder / EXPORTED)
        return digests(folder)


def _run(command: str, folder: Path) -> None:
    subprocess.run([*PROGRAM, *command.split()], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _forget_circumstances(exported: Path) -> None:
    """Leave out when a run came into a library, and where its folder is."""
    rows = json.loads(exported.read_text())
    kept = [{name: value for name, value in row.items() if name not in ("added", "folder")} for row in rows]
    exported.write_text(json.dumps(kept))


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 by path of every file that must be the same in every run."""
    same = (path for path in folder.rglob("*") if path.suffix not in UNLIKE and path.stem != TIMED)
    files = sorted(path for path in same if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def unlike(expected: dict[str, str], left: dict[str, str]) -> list[str]:
    """The files that differ, or are in one of two runs alone."""
    return [name for name in sorted({*expected, *left}) if expected.get(name) != left.get(name)]


_ONE = "find induction --n 16 --passes 1 --out one"
_TWO = "find greater_than --n 16 --passes 1 --out two"
VERBS = (
    Verb("find", "find induction --n 16 --passes 2 --out run"),
    Verb("find --recheck", "find induction --n 16 --passes 1 --recheck 40 --out run"),
    Verb("find --complete", "find induction --n 16 --passes 2 --complete --out run"),
    Verb("score --method exact", "score greater_than --n 2 --method exact --out scores.safetensors"),
    Verb("score --method eap-ig", "score ioi --n 128 --method eap-ig(steps=150) --out scores.safetensors"),
    Verb("score --method matryoshka", "score induction --n 16 --method matryoshka(steps=60) --out scores.safetensors"),
    Verb("stability", "stability induction --n 32 --passes 1 --vary parts(count=2) --out stability"),
    Verb("bench", f"bench run {_CELLS} --n 16 --seed 0 --out bench"),
    Verb("find --library", "find induction --n 16 --passes 1 --library kept.sqlite --out run", after=_EXPORT),
    Verb(
        "validate --out", "validate one --check matched-circuits --check conventions --out report.json", before=(_ONE,)
    ),
    Verb("judge", "judge one/circuit.json --task induction --n 32 --out judged", before=(_ONE,)),
    Verb("specificity", "specificity one two --out both", before=(_ONE, _TWO)),
    Verb("inspect patch", "inspect patch --task induction --n 96 --site head --out look"),
    Verb("inspect trace", "inspect trace --task country_facts --n 64 --seeds 4 --out look"),
)
