"""Rankings as the start of a search: size, held-out faithfulness and cost of the circuit that the search finds from each.

Run `python -m benchmarks.starts --model pico --task ioi`. The model is a name or a folder, the task a built-in one or a file of prompts;
options choose the number of prompts, the seeds and the rankings. A name with `+mlps` has exact effects of the edges from embed into
MLPs in place of the estimates. It prints a line for each.
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
from circuitsearch.pipeline import METHOD, Plan, planned

STARTS = ("eap", "eap+mlps", "eap-ig", "eap-ig+mlps", "relp", "relp+mlps", "qkfix", "qkfix+mlps")
WITH_MLPS = "+mlps"


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


def line(plan: Plan, start: str, fwd: float) -> str:
    """What the search finds from one start."""
    plan.selection.evaluator.release()
    began = time.process_time()
    scores = scored(plan.selection, start)
    cost = time.process_time() - began
    circuit = cs.refine(plan.selection, plan.selection.task, scores, plan.stopping, plan.faithfulness)
    search = time.process_time() - began - cost
    (held_out,) = Faithfulness(plan.held_out).measured(circuit.mask[None])
    assert circuit.history is not None
    judged, passes = circuit.history.stopping, len(circuit.history.passes)
    return (
        f"{len(circuit)} edges, held out {held_out}, judged {judged}, {passes} passes,"
        f" scores {cost / fwd:.1f} and search {search / fwd:.1f} fwd"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--start", action="append", default=[], choices=STARTS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n", type=int, default=64)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = cs.load(asked.model)
    for seed in range(asked.seeds):
        task = prompts(tokenizer, asked.task, asked.n, seed)
        plan = planned(model, task, 0.9, METHOD, 0, tokenizer, {"seed": seed})
        fwd = forward_seconds(model, plan.selection.task)
        for start in asked.start or STARTS:
            print(f"{Path(asked.task).stem} seed {seed}, {start}: {line(plan, start, fwd)}", flush=True)


if __name__ == "__main__":
    main()
