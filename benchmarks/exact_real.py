"""What an exact effect costs on a real language model, by layer and for the strongest edges, and how much of it is planning.

    python benchmarks/exact_real.py --model FOLDER [--prompts 4] [--out FOLDER]
    python benchmarks/exact_real.py --memory [--out FOLDER]

The prompts are IOI's: as they come, or with --one-length all of the most frequent length. The unit of cost is fwd, one plain forward of Hugging
Face's model on the whole corrupt prompts of the batch, with the logits of every position. All times are processor time of the one
thread; fwd is timed before and after each measurement, and the median of these counts.

By layer: edges into eight readers spread over the depth, at most --edges into each, without the clean run that they start from; the
mean counts all edges into these readers. The strongest: the hundred strongest edges by EAP, which are into readers of many layers.

--memory plans interventions that ablate one edge each, on the graph of Llama 3 8B and a width of 128: how much the process grows
while 1,000 are planned at once, and while 10,000 are asked for and planned in chunks of 64.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from memory import forget_peak, peak_so_far
from record import circumstances, save
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

import circuitsearch as cs
from circuitsearch.ablation import Resample
from circuitsearch.engine.interventions import Interventions
from circuitsearch.engine.pair import Pair, pairs
from circuitsearch.engine.reference import ReferenceRun, ReplayContext, run_reference
from circuitsearch.engine.replay import Replay, measure
from circuitsearch.engine.verify import verified
from circuitsearch.graph import Graph
from circuitsearch.methods import EAP
from circuitsearch.scores import Work, ranking
from circuitsearch.task import Task

READERS = ("a2.h1<q>", "m6<in>", "a10.kv1<k>", "m14<in>", "a18.h4<q>", "m22<in>", "m26<in>", "logits")
STRONGEST = 100
LLAMA: dict[str, Any] = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 4}


@dataclass(frozen=True)
class Row:
    """Cost of an edge in fwd, and the share of it that is planning."""

    what: str
    edges: int
    cost: float
    planning: float

    def __str__(self) -> str:
        return f"| {self.what} | {self.edges:,} | {self.cost:.4f} | {self.planning:.1%} |"


@dataclass(frozen=True)
class Real:
    """A real model and one batch of prompts."""

    pair: Pair

    @classmethod
    def of(cls, name: str, prompts: int, one_length: bool) -> Real:
        """The task's first prompts, or its first ones of the most frequent length."""
        model, tokenizer = cs.load(name)
        task = cs.tasks.ioi(tokenizer, n=16 * prompts)
        task = _of_one_length(task) if one_length else task
        (pair,) = pairs(verified(model, task), task.subset(range(prompts)), Resample())
        return cls(pair)

    @property
    def graph(self) -> Graph:
        return self.pair.described.graph

    @torch.no_grad()
    def forward(self) -> None:
        """What fwd is."""
        self.pair.described.model(self.pair.batch.corrupt)

    @cached_property
    def clean(self) -> ReferenceRun:
        """The run that exact effects start from."""
        return run_reference(ReplayContext(self.pair), self.graph.mask)

    def into(self, reader: str, edges: int) -> Tensor:
        """The last edges (E, 2) into a reader, at most so many."""
        column = self.graph.find_reader(reader)
        rows = torch.arange(self.graph.visible_writers(column))[-edges:]
        return torch.stack([rows, torch.full_like(rows, column)], 1)

    def strongest(self) -> Tensor:
        """The strongest edges (E, 2) by EAP, by depth."""
        places = ranking(self.graph, EAP().effects(self.pair, Work()).double())[:STRONGEST]
        return places[places[:, 1].argsort()]

    def row(self, what: str, edges: Tensor) -> Row:
        """Cost of the exact effects of edges (E, 2)."""
        asked, clean = Interventions.ablating_each(edges), self.clean
        forwards = [_seconds(self.forward) for _ in range(2)]
        own = _seconds(lambda: measure(clean, asked))
        forwards += [_seconds(self.forward) for _ in range(2)]
        planning = _seconds(lambda: Replay(clean, asked))
        return Row(what, len(edges), own / statistics.median(forwards) / len(edges), planning / own)

    def rows(self, edges: int) -> Iterator[Row]:
        """Each reader, the mean edge into all of them, and the strongest edges."""
        measure(self.clean, Interventions.ablating_each(self.into("m26<in>", 8)))  # the first run does not count
        costs, planned, count = 0.0, 0.0, 0
        for reader in READERS:
            row = self.row(reader, self.into(reader, edges))
            yield row
            stands_for = self.graph.visible_writers(self.graph.find_reader(reader))
            costs, planned = costs + row.cost * stands_for, planned + row.cost * stands_for * row.planning
            count += stands_for
        yield Row("all edges into these readers", count, costs / count, planned / costs)
        yield self.row(f"the {STRONGEST} strongest", self.strongest())


def _of_one_length(task: Task) -> Task:
    lengths = [len(ids) for ids in task.clean]
    common = max(set(lengths), key=lengths.count)
    return task.subset([row for row, length in enumerate(lengths) if length == common])


def _seconds(run: Callable[[], Any]) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start


def memory() -> dict[str, float]:
    """Megabytes by which the process grows while interventions are planned."""
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=128, intermediate_size=64, **LLAMA)).eval()
    task = Task.from_ids([[1, 2, 3]], [[1, 4, 3]], [5], [6])
    (pair,) = pairs(verified(model, task), task, Resample())
    clean = run_reference(ReplayContext(pair), pair.described.graph.mask)
    edges = pair.described.graph.mask.nonzero()
    edges = edges[torch.randperm(len(edges), generator=torch.Generator().manual_seed(0))]
    Replay(clean, Interventions.ablating_each(edges[:2]))  # the first plan's growth is torch's own
    return {
        "1,000 planned at once": _growth(lambda: Replay(clean, Interventions.ablating_each(edges[:1000]))),
        "10,000 asked for, planned by 64": _growth(lambda: _plan_in_chunks(clean, edges[:10_000])),
    }


def _plan_in_chunks(clean: ReferenceRun, edges: Tensor) -> None:
    asked = Interventions.ablating_each(edges)
    for first in range(0, len(asked), 64):
        Replay(clean, asked[first : first + 64])


def _growth(run: Callable[[], Any]) -> float:
    forget_peak("cpu")
    before = peak_so_far("cpu")
    run()
    return peak_so_far("cpu") - before


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--edges", type=int, default=10_000, help="measured into each reader")
    parser.add_argument("--one-length", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--out", help="folder for the numbers as JSON")
    return parser.parse_args()


def main() -> None:
    """Read the options, print a table, and write it down if asked to."""
    options = read_options()
    torch.set_num_threads(1)
    if options.memory:
        report: dict[str, Any] = memory()
        print("\n".join(f"| {what} | {megabytes:.0f} MB |" for what, megabytes in report.items()))
    else:
        print("| edges into | edges | fwd an edge | planning |\n| --- | --: | --: | --: |")
        report = {"rows": []}
        for row in Real.of(options.model, options.prompts, options.one_length).rows(options.edges):
            print(row, flush=True)
            report["rows"].append(asdict(row))
    if options.out:
        name = "exact-memory" if options.memory else f"exact-{options.prompts}-prompts"
        save(options.out, name, circumstances(vars(options), "cpu", 1) | report)


if __name__ == "__main__":
    main()
