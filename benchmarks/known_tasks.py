"""Every method on every task that the bundled model does: how small, how faithful, how fast.

    python benchmarks/known_tasks.py [--n 128] [--tasks ioi induction ...] [--methods eap ...]

Half of the prompts rank the edges and choose sizes; the curve is measured on the other half. Columns: seconds to score all
edges; edges of the smallest prefix of the ranking with a faithfulness of 0.9, and of the minimal circuit that is left of
it when no edge can go; held-out faithfulness of the strongest 1, 2, 5, 10 and 20% of the edges, pruned; CPR (area under
that curve, higher is better) and CMD (area between it and 1, lower is better) of the MIB benchmark (2504.13151).
Prints a table in Markdown, a row as soon as it is known.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import torch

import circuitsearch as cs
from benchmarks.tasks import LEARNED
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.registry import METHODS, TASKS
from circuitsearch.search import smallest_prefix
from circuitsearch.validation.checks.curve import area_from_model, area_under, size_curve

SHOWN = (0.01, 0.02, 0.05, 0.1, 0.2)
HEADER = ["task", "method", "seconds", "prefix", "minimal", *(f"{share:.0%}" for share in SHOWN), "CPR", "CMD"]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    task: str
    method: str
    seconds: float
    prefix: int
    minimal: int
    shown: tuple[float, ...]
    cpr: float
    cmd: float

    def __str__(self) -> str:
        numbers = [f"{value:.2f}" for value in (*self.shown, self.cpr, self.cmd)]
        return line([self.task, self.method, f"{self.seconds:.1f}", str(self.prefix), str(self.minimal), *numbers])


def line(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def measure(model, task: cs.Task, name: str) -> Row:
    """Score, search and measure one method on one task."""
    train, held_out = task.split(0.5, seed=0)
    start = time.perf_counter()
    scores = cs.score(model, train, name)
    seconds = time.perf_counter() - start
    prefix = smallest_prefix(model, train, scores)
    curve = size_curve(prefix, Faithfulness(cs.Experiment(model, held_out)))
    shown = tuple(point.faithfulness for point in curve if point.share in SHOWN)
    smallest = cs.minimal(model, train, scores)
    return Row(task.name, name, seconds, len(prefix), len(smallest), shown, area_under(curve), area_from_model(curve))


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--tasks", nargs="+", default=LEARNED)
    parser.add_argument("--methods", nargs="+", default=METHODS.names())
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = cs.load("pico")
    print(line(HEADER), line(["---"] * len(HEADER)), sep="\n", flush=True)
    for task in options.tasks:
        prompts = TASKS.load(task)(tokenizer, n=options.n, seed=0)
        for method in options.methods:
            print(measure(model, prompts, method), flush=True)


if __name__ == "__main__":
    main()
