"""Run by hand: see the package's docstring."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.faults.damage import damaged
from benchmarks.faults.ends import ends
from benchmarks.faults.kills import killed
from benchmarks.faults.ranks import restarted
from benchmarks.faults.shared import shared
from benchmarks.faults.verbs import VERBS, Verb


class Result(Protocol):
    """What was found of one command, file or fault."""

    @property
    def row(self) -> tuple[object, ...]:
        """For the table."""
        ...

    @property
    def wrong(self) -> list[str]:
        """What should not have been."""
        ...


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--folder", type=Path, help="where the commands run; by default a temporary folder")
    parser.add_argument("--seed", type=int, default=0)
    what = parser.add_subparsers(dest="what", required=True)
    kills = what.add_parser("kills", help="SIGKILL at random moments of every long command")
    kills.add_argument("--n", type=int, default=100)
    kills.add_argument("--only", help="commands whose name holds this text")
    kills.add_argument("--gguf", type=Path, help="a GGUF file, which is dequantised under kills as well")
    what.add_parser(
        "ends", help="a full disk, a vanished model, a clock set back, two writers; needs unshare and faketime"
    )
    ranks = what.add_parser("ranks", help="SIGKILL of one of two processes that share a run, in every stage")
    ranks.add_argument("--n", type=int, default=8, help="runs of each command")
    ranks.add_argument("--only", help="commands whose name holds this text")
    what.add_parser("shared", help="the same work in one, two and four processes")
    damage = what.add_parser("damage", help="flipped and torn files from which work goes on")
    damage.add_argument("--n", type=int, default=50, help="copies of each kind of file")
    damage.add_argument("--only", help="kinds of file whose name holds this text")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        verbs = {"kills": kill, "ranks": lose, "ends": end, "damage": spoil, "shared": share}
        return verbs[given.what](given, given.folder or Path(made))


def kill(given: argparse.Namespace, folder: Path) -> int:
    verbs = tuple(verb for verb in VERBS if given.only is None or given.only in verb.name)
    if given.gguf is not None:
        model = given.gguf.resolve()
        verbs += (Verb("a GGUF file", f"score ioi --n 8 --method eap --model {model} --out scores.safetensors"),)
    return told(("command", "runs", "kills", "files that differ"), killed(given.n, folder, given.seed, verbs))


def lose(given: argparse.Namespace, folder: Path) -> int:
    return told(
        ("command", "processes killed", "in which stage", "files that differ"),
        restarted(given.n, folder, given.only or ""),
    )


def spoil(given: argparse.Namespace, folder: Path) -> int:
    header = ("file", "refused", "measured again, or the same", "wrong")
    return told(header, damaged(given.n, folder, given.seed, given.only or ""))


def end(given: argparse.Namespace, folder: Path) -> int:
    return told(("fault", "exit code", "what is said", "then the same bytes"), ends(folder))


def share(given: argparse.Namespace, folder: Path) -> int:
    header = ("work", "results", "share of each of 2", "share of each of 4", "speed-up of 2")
    return told(header, shared(folder))


def told(header: Sequence[str], results: Iterable[Result]) -> int:
    """Print a table as its rows come, and then what is wrong; 1 if anything is."""
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}", flush=True)
    wrong: list[str] = []
    for found in results:
        print(f"| {' | '.join(map(str, found.row))} |", flush=True)
        wrong += found.wrong
    print("\n".join(wrong))
    return int(bool(wrong))


raise SystemExit(main())
