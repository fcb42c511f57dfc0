"""Run by hand: ``python -m benchmarks.fuzz files --n 20000`` and ``python -m benchmarks.fuzz commands``."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable

import torch

from .watch import Outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("files", "commands"))
    parser.add_argument("--n", type=int, default=20_000, help="spoiled files")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--only", help="one reader, or the command lines that hold this text")
    parser.add_argument("--show", action="store_true", help="print every outcome, not only those that are wrong")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "files":
        from .files import spoiled_files

        outcomes = spoiled_files(given.n, given.seed, given.only)
    else:
        from .commands import wrong_commands

        outcomes = wrong_commands(given.only)
    return tell(outcomes, given.show)


def tell(outcomes: Iterable[tuple[str, object, Outcome]], show: bool) -> int:
    """Print what is wrong as it comes, then a table by kind; return 1 if anything was."""
    counts: dict[str, Counter[str]] = {}
    slowest, largest = {}, {}
    for name, case, outcome in outcomes:
        counts.setdefault(name, Counter())[outcome.kind if outcome.right else "wrong"] += 1
        slowest[name] = max(slowest.get(name, 0.0), outcome.seconds)
        largest[name] = max(largest.get(name, 0), outcome.grown)
        if show or not outcome.right:
            print(f"{name} {case}: {outcome.kind}: {outcome.said}", flush=True)
    print(f"{'':<20} {'cases':>7} {'value':>7} {'refused':>8} {'wrong':>6} {'slowest':>8} {'largest':>8}")
    for name, count in counts.items():
        figures = f"{sum(count.values()):>7} {count['value']:>7} {count['refused']:>8} {count['wrong']:>6}"
        print(f"{name:<20} {figures} {slowest[name]:>6.2f} s {largest[name] >> 20:>5} MB")
    total = sum(counts.values(), Counter())
    figures = f"{sum(total.values()):>7} {total['value']:>7} {total['refused']:>8} {total['wrong']:>6}"
    print(f"{'all':<20} {figures} {max(slowest.values()):>6.2f} s {max(largest.values()) >> 20:>5} MB")
    return int(total["wrong"] > 0)


raise SystemExit(main())
