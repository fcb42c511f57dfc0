"""How often a model of shuffled weights passes as doing a task.

    python -m benchmarks.shuffled [--models 45] [--n 256] [--tasks ioi ...]

Each model is the bundled one with the entries of each weight tensor permuted, by a seed of its own: it has the norms of a trained model
and no behaviour. Prints, for each task, how many of the models pass each part of the test of :class:`circuitsearch.validation.TaskTest`
and how many pass both, and beside them the criterion before: a greater mean of the metric than with every edge ablated.
"""

from __future__ import annotations

import argparse

import torch

import circuitsearch as cs
from benchmarks.known_tasks import line
from benchmarks.tasks import LEARNED
from circuitsearch.models.planted import reset
from circuitsearch.registry import TASKS
from circuitsearch.validation.significance import LEVEL

HEADER = [
    "task",
    "mean above",
    f"metric p <= {LEVEL:g}",
    f"accuracy p <= {LEVEL:g}",
    "both",
    "smallest of the larger p",
]


def row(name: str, found: list[cs.Behaviour]) -> str:
    """One line of the table: counts over the models."""
    tests = [each.test for each in found if each.test is not None]
    counts = [
        sum(each.clean > each.ablated for each in found),
        sum(test.metric_p <= LEVEL for test in tests),
        sum(test.accuracy_p <= LEVEL for test in tests),
        sum(test.significant for test in tests),
    ]
    nearest = min(max(test.metric_p, test.accuracy_p) for test in tests)
    return line([name, *(f"{count} of {len(tests)}" for count in counts), f"{nearest:.2g}"])


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=45)
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--tasks", nargs="+", default=LEARNED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = cs.load("pico")
    models = [reset(model, seed) for seed in range(options.models)]
    print(line(HEADER), line(["---"] * len(HEADER)), sep="\n", flush=True)
    for name in options.tasks:
        task = TASKS.load(name)(tokenizer, n=options.n, seed=0)
        print(row(name, [cs.behaviour(each, task) for each in models]), flush=True)


if __name__ == "__main__":
    main()
