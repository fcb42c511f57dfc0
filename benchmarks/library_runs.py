"""Runs for a library: the bundled model on every task that it does, and planted models, with few prompts.

    python -m benchmarks.library_runs FOLDER
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
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
QUICK = Refine(passes=3, prompts=8)
FEW = (RandomCircuits(count=4),)


Run = tuple[str, Any, Callable[[], Task], Any, int]  # folder, model, its task, tokenizer, seed


def runs() -> Iterator[Run]:
    """Planted models, then the bundled one on every task with one seed after another; which tasks it does is seen in the run."""
    for motif in MOTIFS:
        planted = plant(motif, seed=1, n=PROMPTS)
        planted.model.config.name_or_path = f"{planted.task.name}-1"
        yield planted.task.name, planted.model, lambda: planted.task, None, 0
    model, tokenizer = load("pico")
    for seed in SEEDS:
        for name in TASKS.names():
            yield f"pico-{name}-{seed}", model, lambda: TASKS.read(name)(tokenizer, n=PROMPTS, seed=seed), tokenizer, seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name, model, task, tokenizer, seed in runs():
        began = time.perf_counter()
        try:
            found = find(
                model, task(), method=EAP(), refine=QUICK, checks=FEW, out=folder / name, tokenizer=tokenizer, listeners=[],
                seed=seed,
            )  # fmt: skip
        except InputError as error:
            print(f"{name}: {error}", flush=True)
        else:
            print(f"{name}: {len(found.circuit)} edges, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
