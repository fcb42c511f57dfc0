"""How much scoring costs beyond the bare model: time and peak memory as ratios, in one run.

    python benchmarks/speed.py [--repeats 9] [--device cpu]

The model has GPT-2 small's shape and random weights; the batch holds 8 pairs of 16 tokens that differ at position 10. The
bare cost of EAP is two plain forwards and one backward to the activations; that of EAP-IG with 5 steps is one plain
forward and five forwards with backwards. Bare and ours are timed in turn in one process, on one thread; each ratio is
that of medians. Peak memory is what the operating system counts, the weights included, a fresh process a
case.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from circuitsearch.ablation import Resample
from circuitsearch.engine.pair import pairs
from circuitsearch.methods import EAP, EAPIG
from circuitsearch.models.arch import describe
from circuitsearch.scores import Method
from circuitsearch.task import Task

PROMPTS, LENGTH, STEPS = 8, 16, 5


def model_and_task(device: str, differs_at: int) -> tuple[GPT2LMHeadModel, Task]:
    """GPT-2 small with random weights, and random pairs that differ from one position on."""
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(GPT2Config()).eval().requires_grad_(False)
    model.to(device)
    clean = torch.randint(0, 50257, (PROMPTS, LENGTH))
    corrupt = clean.clone()
    corrupt[:, differs_at] = (clean[:, differs_at] + 1) % 50257
    return model, Task.from_ids(clean, corrupt, [1] * PROMPTS, [2] * PROMPTS)


def bare(model: GPT2LMHeadModel, task: Task, forwards: int, backwards: int) -> None:
    """Plain forwards, and forwards with a backward to the activations, of the whole prompts."""
    device = model.device
    clean, corrupt = torch.stack(task.clean).to(device), torch.stack(task.corrupt).to(device)
    with torch.no_grad():
        for _ in range(forwards):
            model(corrupt)
    for _ in range(backwards):
        embedded = model.transformer.wte(clean).requires_grad_()
        logits = model(inputs_embeds=embedded).logits[:, -1]
        torch.autograd.grad((logits[:, 1] - logits[:, 2]).sum(), embedded)


def ours(model: GPT2LMHeadModel, task: Task, method: Method) -> None:
    """Score every edge; the proof of the model, which is made once, is left out."""
    for pair in pairs(describe(model), task, Resample()):
        method.effects(pair)


def cases(model: GPT2LMHeadModel, task: Task) -> dict[str, Callable[[], None]]:
    """What is timed."""
    return {
        "plain forward": lambda: bare(model, task, 1, 0),
        "bare EAP": lambda: bare(model, task, 1, 1),
        "EAP": lambda: ours(model, task, EAP()),
        "bare EAP-IG": lambda: bare(model, task, 1, STEPS),
        "EAP-IG": lambda: ours(model, task, EAPIG(STEPS)),
    }


def medians(runs: dict[str, Callable[[], None]], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each, all taken in turn, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device != "cpu":
                torch.cuda.synchronize()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_megabytes(name: str, differs_at: int) -> float:
    """Peak resident memory of a fresh process that runs one case twice."""
    command = [sys.executable, __file__, "--only", name, "--differs-at", str(differs_at)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def forget_peak() -> None:
    """Let the system count the peak from now on, so that making the model is not part of it (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_so_far() -> float:
    """Peak resident memory in megabytes, the weights included (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def report(device: str, repeats: int, differs_at: int) -> None:
    """Print the ratios for one position of the first difference."""
    model, task = model_and_task(device, differs_at)
    times = medians(cases(model, task), repeats, device)
    print(f"\n{PROMPTS} pairs of {LENGTH} tokens that differ at position {differs_at}, {device}, medians of {repeats}")
    print(f"{'':<8} {'of bare time':>14} {'in forwards':>14} {'of bare memory':>16}")
    for name in ("EAP", "EAP-IG"):
        memory = (
            ""
            if device != "cpu"
            else f"{peak_megabytes(name, differs_at) / peak_megabytes('bare ' + name, differs_at):.2f}"
        )
        time_ratio, forwards = times[name] / times["bare " + name], times[name] / times["plain forward"]
        print(f"{name:<8} {time_ratio:>14.2f} {forwards:>14.2f} {memory:>16}")


def main() -> None:
    """Read the options and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--differs-at", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only:
        run = cases(*model_and_task(options.device, options.differs_at))[options.only]
        forget_peak()
        run()
        run()
        print(peak_so_far())
        return
    for differs_at in (10, 0):
        report(options.device, options.repeats, differs_at)


if __name__ == "__main__":
    main()
