"""Runs for a library: planted models, then the bundled model on every task that it does, with few prompts.

python -m benchmarks.library_runs FOLDER [--minutes 30]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.loading import load
from circuitsearch.methods import EAP
from circuitsearch.models.planted import MOTIFS, plant
from circuitsearch.pipeline import find
from circuitsearch.registry import TASKS
from circuitsearch.search import Refine
from circuitsearch.task import Task
from circuitsearch.validation.checks import RandomCircuits

SEEDS = (0, 1, 2)
PROMPTS = 24
QUICK, MINUTES = Refine(passes=3, prompts=8), 0.4
FEW = (RandomCircuits(count=4),)

Run = tuple[str, Any, Callable[[], Task], Any, int]  # folder, model, its task, tokenizer, seed


def runs() -> Iterator[Run]:
    """Every run; which tasks the bundled model does is seen in the run."""
    for motif in MOTIFS:
        planted = plant(motif, seed=1, n=PROMPTS)
        planted.model.config.name_or_path = f"{planted.task.name}-1"
        yield planted.task.name, planted.model, partial(getattr, planted, "task"), None, 0
    model, tokenizer = load("pico")
    for seed in SEEDS:
        for name in TASKS.names():
            yield f"pico-{name}-{seed}", model, partial(_task, name, tokenizer, seed), tokenizer, seed


def _task(name: str, tokenizer: Any, seed: int) -> Task:
    return TASKS.read(name)(tokenizer, n=PROMPTS, seed=seed)


def main() -> None:
    """Write the folders that are not there yet, until the time is over."""
    parser = argparse.ArgumentParser(description="Runs for a library of circuits.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    for name, model, task, tokenizer, seed in runs():
        if time.monotonic() > end:
            break
        began = time.perf_counter()
        try:
            found = find(
                model, task(), method=EAP(), refine=QUICK, checks=FEW, out=arguments.folder / name, tokenizer=tokenizer,
                listeners=[], seed=seed, minutes=MINUTES,
            )  # fmt: skip
        except InputError as error:
            print(f"{name}: {error}", flush=True)
        else:
            print(f"{name}: {len(found.circuit)} edges, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
