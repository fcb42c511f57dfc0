"""Run by hand: see the package's docstring."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.faults.damage import damaged
from benchmarks.faults.ends import ends
from benchmarks.faults.kills import killed
from benchmarks.faults.verbs import VERBS, Verb


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
    damage = what.add_parser("damage", help="flipped and torn files from which work goes on")
    damage.add_argument("--n", type=int, default=50, help="copies of each kind of file")
    damage.add_argument("--only", help="kinds of file whose name holds this text")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        return {"kills": kill, "ends": end, "damage": spoil}[given.what](given, given.folder or Path(made))


def kill(given: argparse.Namespace, folder: Path) -> int:
    verbs = tuple(verb for verb in VERBS if given.only is None or given.only in verb.name)
    if given.gguf is not None:
        verbs += (
            Verb(
                "a GGUF file",
                f"score induction --n 2 --method eap --model {given.gguf.resolve()} --out scores.safetensors",
            ),
        )
    print("| command | runs | kills | files that differ |\n|---|--:|--:|--:|", flush=True)
    wrong: list[str] = []
    for found in killed(given.n, folder, given.seed, verbs):
        print(f"| `{found.verb}` | {found.runs} | {found.kills} | {len(found.unlike)} |", flush=True)
        wrong += found.unlike
    print("\n".join(wrong))
    return int(bool(wrong))


def spoil(given: argparse.Namespace, folder: Path) -> int:
    print("| file | refused | measured again, or the same | wrong |\n|---|--:|--:|--:|", flush=True)
    wrong: list[str] = []
    for found in damaged(given.n, folder, given.seed, given.only or ""):
        print(f"| {found.kind} | {found.refused} | {found.same} | {len(found.wrong)} |", flush=True)
        wrong += found.wrong
    print("\n".join(wrong))
    return int(bool(wrong))


def end(given: argparse.Namespace, folder: Path) -> int:
    print("| fault | exit code | what is said | then the same bytes |\n|---|--:|---|---|", flush=True)
    clear = True
    for found in ends(folder):
        print(f"| {found.fault} | {found.code} | {found.said} | {'yes' if found.whole else 'NO'} |", flush=True)
        clear &= found.is_clear
    return int(not clear)


raise SystemExit(main())
