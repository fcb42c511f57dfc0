"""Rankings as the start of a search: faithfulness of their prefixes, and what the search finds from each.

Run `python -m benchmarks.starts --model pico --task ioi`. The model is a name or a folder, the task a built-in one or a file of prompts;
options choose the number of prompts, the seeds and the rankings, and `--prefixes` leaves the search out. A name with `+mlps` has exact
effects of the edges from embed into MLPs in place of the estimates. Edges are scored on as many prompts as `find` takes.
It prints lines for each.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import circuitsearch as cs
from benchmarks.real import forward_seconds
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.pipeline import METHOD, Plan, planned, scored_on
from circuitsearch.search.prompts import PassPrompts

STARTS = ("eap", "eap+mlps", "eap-ig", "eap-ig+mlps", "relp", "relp+mlps", "qkfix", "qkfix+mlps")
WITH_MLPS = "+mlps"
SIZES = (64, 128, 256, 512, 1024, 2048, 4096, 8192)  # of prefixes
ENOUGH = 0.9  # the faithfulness after which no larger prefix is run


def scored(experiment: cs.Experiment, start: str) -> cs.Scores:
    """The ranking of that name."""
    scores = experiment.score(start.removesuffix(WITH_MLPS))
    if not start.endswith(WITH_MLPS):
        return scores
    into_mlps = tuple(("embed", reader) for reader in experiment.graph.readers if reader.startswith("m"))
    exact = experiment.score(cs.Exact(edges=into_mlps)).values
    return replace(scores, values=torch.where(exact.isnan(), scores.values, exact))


def prompts(tokenizer: Any, task: str, n: int, seed: int) -> cs.Task:
    """The task of that name or file."""
    if Path(task).suffix == ".jsonl":
        return cs.Task.from_file(task, tokenizer)
    return getattr(cs.tasks, task)(tokenizer, n=n, seed=seed)


def prefixes(plan: Plan, scores: cs.Scores) -> str:
    """Faithfulness of prefixes of the ranking, pruned, on new prompts."""
    faithfulness = Faithfulness(PassPrompts(plan.selection, plan.refine.prompts).of_pass(0))
    found = []
    for size in SIZES:
        if size < scores.graph.n_edges:
            circuit = cs.top(scores, size)
            found.append((len(circuit), faithfulness.measured_alone(circuit.mask).value))
            if found[-1][1] > ENOUGH:
                break
    return ", ".join(f"{n_edges} {value:.2f}" for n_edges, value in found)


def search(plan: Plan, scores: cs.Scores, fwd: float) -> str:
    """What the search finds from a ranking."""
    began = time.process_time()
    circuit = cs.refine(plan.selection, plan.selection.task, scores, plan.stopping, plan.faithfulness)
    cost = time.process_time() - began
    held_out = Faithfulness(plan.held_out).measured_alone(circuit.mask)
    assert circuit.history is not None
    judged, passes = circuit.history.stopping, len(circuit.history.passes)
    return f"{len(circuit)} edges, held out {held_out}, judged {judged}, {passes} passes, {cost / fwd:.1f} fwd"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--start", action="append", default=[], choices=STARTS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--prefixes", action="store_true", help="only prefixes, without the search")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = cs.load(asked.model)
    for seed in range(asked.seeds):
        task = prompts(tokenizer, asked.task, asked.n, seed)
        plan = planned(model, task, 0.9, METHOD, 0, tokenizer, {"seed": seed})
        fwd = forward_seconds(model, plan.selection.task)
        for start in asked.start or STARTS:
            began = time.process_time()
            scores = scored(scored_on(plan.selection), start)
            name = f"{Path(asked.task).stem} seed {seed}, {start}"
            print(
                f"{name}: scored in {(time.process_time() - began) / fwd:.1f} fwd; {prefixes(plan, scores)}", flush=True
            )
            if not asked.prefixes:
                print(f"{name}: {search(plan, scores, fwd)}", flush=True)


if __name__ == "__main__":
    main()
