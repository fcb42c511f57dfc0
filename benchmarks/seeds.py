"""Circuits of pico by seed: size, and faithfulness on 2,000 fresh prompts, for a target of 0.9 with 64 prompts.

Run `python -m benchmarks.seeds`; options choose the tasks, the seeds, the number of prompts and the model. It prints a line for each
seed, and at the end for each task the means, and how many circuits keep less than 0.85.
"""

from __future__ import annotations

import argparse
from statistics import fmean, median

import torch

import circuitsearch as cs
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.pipeline import METHOD, circuit_of, planned

TASKS = ("ioi", "induction", "greater_than", "docstring")
FRESH = 2000
LOW = 0.85


def found(model: object, prompts: cs.Task, seed: int) -> cs.Circuit:
    """The circuit that `find` returns, without the evidence for it."""
    return circuit_of(planned(model, prompts, 0.9, METHOD, 0, None, {"seed": seed}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--task", action="append", default=[], choices=TASKS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--n", type=int, default=64)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = cs.load(asked.model)
    for task in asked.task or TASKS:
        fresh = getattr(cs.tasks, task)(tokenizer, n=64, seed=10_000).fresh(FRESH, seed=10_000)
        measure = Faithfulness(cs.Experiment(model, fresh))
        sizes, kept = [], []
        for seed in range(asked.seeds):
            circuit = found(model, getattr(cs.tasks, task)(tokenizer, n=asked.n, seed=seed), seed)
            value = measure.measured_alone(circuit.mask)
            sizes.append(len(circuit))
            kept.append(value.value)
            assert circuit.history is not None
            judged, passes = circuit.history.stopping, len(circuit.history.passes)
            print(f"{task} seed {seed}: {len(circuit)} edges, {value}; stopping {judged}, {passes} passes", flush=True)
        print(
            f"{task}: {fmean(sizes):.1f} edges ({min(sizes)}-{max(sizes)}, median {median(sizes):g}); faithfulness"
            f" {fmean(kept):.3f} ({min(kept):.3f}-{max(kept):.3f}), below {LOW} in {sum(value < LOW for value in kept)} of {len(kept)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
