"""How near each estimate comes to what it estimates: the metric lost when one edge alone is cut.

    python benchmarks/estimates.py [--n 24] [--tasks ioi induction ...] [--methods eap relp "EAPIG(steps=5)" ...]
    python benchmarks/estimates.py --model FOLDER --tasks FILE.jsonl ... --edges 400

A task is a built-in one's name or a file of JSON lines. The exact effects are measured on the same prompts, of all edges
or of so many drawn at random. Columns: Pearson and Spearman correlation with them; Pearson's over edges into queries and
keys alone (q, k); and the share of the strongest edges by exact effect (100, or --strongest) whose sign the estimate has
right; a score of exactly zero has no sign and counts as wrong. Prints a table in Markdown, a row
as soon as it is known, and the means over tasks at the end.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

import circuitsearch as cs
from benchmarks.tasks import LEARNED
from circuitsearch.registry import TASKS

METHODS = ("EAP()", "EAPIG(steps=5)", "RelP()", "GIM()", "QKFix(first=EAP())", "QKFix(first=EAPIG(steps=5))")
HEADER = ("task", "method", "seconds", "Pearson", "Spearman", "q, k", "signs")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    task: str
    method: str
    seconds: float
    pearson: float
    spearman: float
    into_softmax: float
    signs: float

    def __str__(self) -> str:
        numbers = [f"{value:.3f}" for value in (self.pearson, self.spearman, self.into_softmax)]
        return line([self.task, self.method, f"{self.seconds:.2f}", *numbers, f"{self.signs:.0%}"])


def line(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def exact_effects(model, task: cs.Task, edges: int | None) -> cs.Scores:
    """Measure all edges, or so many of them drawn at random."""
    if edges is None:
        return cs.score(model, task, cs.Exact())
    graph = cs.score(model, task.subset([0]), cs.EAP()).graph
    places = graph.mask.nonzero()
    drawn = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))[:edges]].tolist()
    return cs.score(model, task, cs.Exact(tuple((graph.writers[u], graph.readers[v]) for u, v in drawn)))


def compare(model, task: cs.Task, method: str, exact: cs.Scores, strongest: int) -> Row:
    """Score with one method and hold it against the exact effects."""
    start = time.perf_counter()
    scores = cs.score(model, task, method)
    seconds = time.perf_counter() - start
    truth, estimate = exact.values[exact.scored], scores.values[exact.scored]
    pearson, spearman = correlation(truth, estimate), correlation(rankdata(truth), rankdata(estimate))
    into_softmax = exact.scored & torch.tensor([name.endswith(("<q>", "<k>")) for name in exact.graph.readers])
    attended = correlation(exact.values[into_softmax], scores.values[into_softmax])
    return Row(task.name, method, seconds, pearson, spearman, attended, sign_agreement(truth, estimate, strongest))


def correlation(a, b) -> float:
    """Pearson's correlation coefficient."""
    return float(np.corrcoef(a, b)[0, 1])


def sign_agreement(truth: Tensor, estimate: Tensor, strongest: int) -> float:
    """Share of the strongest true effects whose sign the estimate has."""
    top = truth.abs().topk(min(strongest, len(truth))).indices
    return float((truth[top].sign() == estimate[top].sign()).double().mean())


def read_task(name: str, tokenizer, n: int) -> cs.Task:
    """Take n prompts of a built-in task, or the first n of a file's."""
    if TASKS.knows(name):
        return TASKS.load(name)(tokenizer, n=n, seed=0)
    task = cs.Task.from_file(Path(name), tokenizer)
    return task.subset(list(range(min(n, len(task)))))


def mean_row(method: str, rows: list[Row]) -> Row:
    """A method's mean over tasks."""
    mine = [row for row in rows if row.method == method]
    numbers = np.mean([(row.seconds, row.pearson, row.spearman, row.into_softmax, row.signs) for row in mine], axis=0)
    return Row("mean", method, *map(float, numbers))


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--n", type=int, default=24)
    parser.add_argument("--tasks", nargs="+", default=LEARNED)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--edges", type=int, help="measure so many edges, drawn at random, in place of all")
    parser.add_argument("--strongest", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = cs.load(options.model)
    print(line(list(HEADER)), line(["---"] * len(HEADER)), sep="\n", flush=True)
    rows: list[Row] = []
    for name in options.tasks:
        task = read_task(name, tokenizer, options.n)
        exact = exact_effects(model, task, options.edges)
        for method in options.methods:
            rows.append(compare(model, task, method, exact, options.strongest))
            print(rows[-1], flush=True)
    for method in options.methods:
        print(mean_row(method, rows))


if __name__ == "__main__":
    main()
