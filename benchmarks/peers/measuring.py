"""What the peer benchmarks share: the plain model, the batch, its bare cost, the clock and the memory gauge.

It needs torch and transformers, which every peer brings along, and neither circuitsearch nor a peer.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

RIGHT, WRONG, STEPS = 1, 2, 5
PLAIN_FORWARD, ONE_PROMPT = "plain forward", "plain forward of one prompt"
BARE_EAP, BARE_EAP_IG = "bare EAP", "bare EAP-IG"


@dataclass(frozen=True)
class Batch:
    """Random prompts and their corrupt versions, which differ at one position."""

    clean: torch.Tensor
    corrupt: torch.Tensor

    def first(self) -> Batch:
        """The first pair alone."""
        return Batch(self.clean[:1], self.corrupt[:1])


@dataclass(frozen=True)
class Case:
    """Something to time, the plain case that it is compared with, and whether its memory is measured as well."""

    run: Callable[[], Any]
    compared_with: str = PLAIN_FORWARD
    weigh: bool = True


MakeCases = Callable[[Batch], dict[str, Case]]


def read_options(description: str | None) -> argparse.Namespace:
    """The options that all peer benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--differs-at", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", nargs="+", help="the peer's cases to time, beside the plain forward; by default all")
    parser.add_argument("--no-memory", action="store_true", help="time alone")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser.parse_args()


def random_batch(options: argparse.Namespace) -> Batch:
    """The same prompts for every peer."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(0, 50257, (options.prompts, options.length), generator=generator)
    corrupt = clean.clone()
    corrupt[:, options.differs_at] = (clean[:, options.differs_at] + 1) % 50257
    return Batch(clean, corrupt)


def gpt2_small() -> Any:
    """GPT-2 small's shape with random weights, as transformers makes it."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config()).eval()


def forward(model: Any, tokens: torch.Tensor) -> None:
    """One forward without gradients."""
    with torch.no_grad():
        model(tokens)


def bare(model: Any, batch: Batch, backwards: int) -> None:
    """One plain forward, and forwards with a backward to the activations, of the whole prompts."""
    forward(model, batch.corrupt)
    for _ in range(backwards):
        embedded = model.transformer.wte(batch.clean).requires_grad_()
        logits = model(inputs_embeds=embedded).logits[:, -1]
        torch.autograd.grad((logits[:, RIGHT] - logits[:, WRONG]).sum(), embedded)


def plain_cases(batch: Batch) -> dict[str, Case]:
    """What the plain model is timed at."""
    model = gpt2_small().requires_grad_(False)
    return {
        PLAIN_FORWARD: Case(lambda: forward(model, batch.corrupt)),
        ONE_PROMPT: Case(lambda: forward(model, batch.corrupt[:1]), weigh=False),
        BARE_EAP: Case(lambda: bare(model, batch, 1)),
        BARE_EAP_IG: Case(lambda: bare(model, batch, STEPS)),
    }


def medians(cases: dict[str, Case], repeats: int) -> dict[str, float]:
    """Median seconds of each, all taken in turn, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(repeats + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            case.run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
        print(f"round {repeat} of {repeats} done", file=sys.stderr)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_megabytes(name: str, options: argparse.Namespace) -> float:
    """Peak resident memory of a fresh process that builds one model and runs one case twice."""
    batch = ["--prompts", options.prompts, "--length", options.length, "--differs-at", options.differs_at]
    command = [sys.executable, sys.argv[0], "--only", name, *map(str, batch)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def peak_of(case: Case) -> float:
    """Peak resident memory in megabytes of two runs, the weights included, making the model left out (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    case.run()
    case.run()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def row(name: str, against: str | None, seconds: dict[str, float], peaks: dict[str, float]) -> dict[str, Any]:
    """What is said of one case, set against a plain one where it has one."""
    said: dict[str, Any] = {
        "seconds": round(seconds[name], 3),
        "in_plain_forwards": round(seconds[name] / seconds[PLAIN_FORWARD], 2),
    }
    if name in peaks:
        said["peak_megabytes"] = round(peaks[name])
    if against:
        said |= {"compared_with": against, "of_its_time": round(seconds[name] / seconds[against], 2)}
        if name in peaks and against in peaks:
            said["of_its_peak"] = round(peaks[name] / peaks[against], 2)
    return said


def measure(make_cases: MakeCases, options: argparse.Namespace) -> dict[str, Any]:
    """Time and weigh the peer's cases beside the plain ones: one row a case."""
    batch = random_batch(options)
    peer = make_cases(batch)
    plain = plain_cases(batch)
    if options.cases:
        peer, plain = {name: peer[name] for name in options.cases}, {PLAIN_FORWARD: plain[PLAIN_FORWARD]}
    cases = plain | peer
    seconds = medians(cases, options.repeats)
    weighed = [name for name, case in cases.items() if case.weigh and not options.no_memory]
    peaks = {name: peak_megabytes(name, options) for name in weighed}
    return {
        name: row(
            name,
            peer[name].compared_with if name in peer and peer[name].compared_with in cases else None,
            seconds,
            peaks,
        )
        for name in cases
    }


def print_peak(make_cases: MakeCases, options: argparse.Namespace) -> None:
    """Build the one model that the case needs, run it and print the peak."""
    batch = random_batch(options)
    plain = options.only in (PLAIN_FORWARD, BARE_EAP, BARE_EAP_IG)
    cases = (plain_cases if plain else make_cases)(batch)
    print(peak_of(cases[options.only]))


def circumstances(options: argparse.Namespace, packages: list[str]) -> dict[str, Any]:
    """The batch, the repeats and the versions that the numbers belong to."""
    return {
        "prompts": options.prompts,
        "length": options.length,
        "differs_at": options.differs_at,
        "repeats": options.repeats,
        "threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in ["torch", "transformers", "numpy", *packages]},
    }
