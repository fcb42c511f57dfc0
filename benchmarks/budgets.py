"""Whether commands stay within their --memory, what loading takes, and whether repeated runs grow.

    python benchmarks/budgets.py [--models smollm2 gpt2-small] [--budgets 1GiB 2GiB 4GiB] [--n 64] [--out FOLDER]
    python benchmarks/budgets.py --instruments [--models smollm2] [--budgets 2GiB]
    python benchmarks/budgets.py --loading
    python benchmarks/budgets.py --repeats 2000

Each command runs in a fresh process with one thread; its peak is what the operating system has counted when it ends (``wait4``). Of a
budget that is refused, the sentence is kept. ``gpt2-small`` is GPT-2 small's shape with random weights and a word for each token, made
in a temporary folder. --repeats finds the circuit of a small planted model so often in one process, and prints the resident memory
after a tenth of the runs and at the end.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from record import circumstances, save

from circuitsearch.memory import bytes_in, forget_peak, give_back, peak, taken

SHAPE = "gpt2-small"
PASSES = 1  # of the search
N_PATCHED = 4  # prompts of instruments that patch, which run the model hundreds of times on each
PROMPT = "When Mary and John went to the store, John gave a drink to"


@dataclass(frozen=True)
class Run:
    """A command under a budget: its peak in MiB, or the sentence that refused it."""

    model: str
    dtype: str
    budget: str
    command: str
    peak: float
    seconds: float
    refused: str = ""

    @property
    def within(self) -> bool:
        """Whether the peak is within the budget; so is that of a refusal."""
        return bool(self.refused) or self.peak * 2**20 <= bytes_in(self.budget)

    def __str__(self) -> str:
        said = (
            f"refused: {self.refused}" if self.refused else f"{self.peak:,.0f} MiB | {'yes' if self.within else 'NO'}"
        )
        return f"| {self.model} | {self.dtype} | {self.budget} | {self.command} | {said} | {self.seconds:.0f} |"


def measured(command: list[str]) -> tuple[int, float, float, str]:
    """A command's exit code, its peak in MiB, its seconds, and the last line of its errors."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "circuitsearch", *command], stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().strip().splitlines()
    return process.returncode, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, said[-1] if said else ""


def runs(name: str, model: str, task: str, n: int, budget: str, dtype: str, folder: Path) -> list[Run]:
    """Find, score and validate under one budget; nothing after a refusal."""
    run, usual = folder / f"{name}-{budget}-{dtype}", options_of(model, budget, dtype)
    commands = {
        "find": ["find", task, *usual, "--n", str(n), "--passes", str(PASSES), "--out", str(run)],
        "score": ["score", task, *usual, "--n", str(n), "--out", str(folder / f"{run.name}.safetensors")],
        "validate": ["validate", str(run), "--memory", budget],
    }
    return run_in(budget, commands, name, dtype)


def looks(name: str, model: str, task: str, n: int, budget: str, dtype: str, folder: Path) -> list[Run]:
    """Every instrument under one budget."""
    usual = [*options_of(model, budget, dtype), "--out", str(folder / f"{name}-{budget}-{dtype}")]
    on_task, on_few = (["--task", task, "--n", str(count), *usual] for count in (n, min(n, N_PATCHED)))
    commands = {f"inspect {each}": ["inspect", each, *on_task] for each in ("logit-lens", "dla", "residual", "heads")}
    commands["inspect attention"] = ["inspect", "attention", *on_task, "--heads", "a0.h0,a1.h0"]
    commands["inspect patch"] = ["inspect", "patch", *on_few, "--spans", "S1,END"]
    commands["inspect trace"] = ["inspect", "trace", *on_few, "--subject", "S1", "--seeds", "1"]
    commands["scan"] = ["scan", PROMPT, *usual, "--no-open"]
    return run_in(budget, commands, name, dtype)


def options_of(model: str, budget: str, dtype: str) -> list[str]:
    """Model, budget and dtype as options."""
    return ["--model", model, "--memory", budget, *([] if dtype == "float32" else ["--dtype", dtype])]


def run_in(budget: str, commands: dict[str, list[str]], name: str, dtype: str) -> list[Run]:
    """Run commands of one model under a budget, up to one that is refused."""
    found: list[Run] = []
    for verb, command in commands.items():
        code, most, seconds, said = measured(command)
        if code and "cannot run in" not in said:
            raise SystemExit(f"{' '.join(command)} ended with {code}: {said}")
        found.append(Run(name, dtype, budget, verb, most, seconds, said if code else ""))
        print(found[-1], flush=True)
        if code:
            break
    return found


def made(name: str, folder: Path) -> tuple[str, str]:
    """A model's place and a task for it."""
    if name != SHAPE:
        return name, "ioi"
    from peers.measuring import gpt2_small
    from random_task import likelier

    model = gpt2_small()
    model.save_pretrained(folder / SHAPE)
    task = likelier(model, 64, 12, 6)
    columns = {"clean_ids": task.clean, "corrupt_ids": task.corrupt, "answer_id": task.answers, "wrong_id": task.wrong}
    rows = [{name: column[row].tolist() for name, column in columns.items()} for row in range(len(task))]
    (folder / "task.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(folder / SHAPE), str(folder / "task.jsonl")


def loading(name: str, dtype: str) -> dict[str, Any]:
    """What loading a model takes above the interpreter, in MiB, and its weights."""
    import circuitsearch as cs

    cs.load("pico")  # so that all libraries are there
    give_back()
    forget_peak()
    before = taken() or 0
    model, _ = cs.load(name, dtype=dtype)
    most = (peak() or 0) - before
    weights = sum(weight.nbytes for weight in set(model.parameters()))
    return {
        "model": name,
        "dtype": dtype,
        "weights": weights / 2**20,
        "peak": most / 2**20,
        "of_weights": most / weights,
    }


def growth(repeats: int) -> dict[str, float]:
    """Resident memory in MiB after a tenth of so many finds of a planted model, and at the end."""
    import circuitsearch as cs
    from circuitsearch.models.planted import Design, plant

    planted = plant("induction", 1, n=8, design=Design(layers=2, heads=2, distractor_heads=0, rotated=True))
    sizes: dict[int, float] = {}
    for run in range(1, repeats + 1):
        cs.find(planted.model, planted.task, refine=cs.Refine(passes=1), listeners=[])
        if run * 10 % repeats == 0:
            gc.collect()
            give_back()
            sizes[run] = (taken() or 0) / 2**20
            print(f"{run} finds: {sizes[run]:.1f} MiB", flush=True)
    first, *_, last = sizes.values()
    return {"repeats": repeats, "first": first, "last": last, "growth": last / first - 1}


def main() -> None:
    """Read the options, measure, print, and write it down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2", SHAPE])
    parser.add_argument("--budgets", nargs="+", default=["1GiB", "2GiB", "4GiB"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--instruments", action="store_true", help="inspect and scan, of models with a tokenizer")
    parser.add_argument("--loading", action="store_true")
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--out", help="folder for the numbers as JSON")
    options = parser.parse_args()
    if options.loading:
        name, found = (
            "loading",
            {"loads": [loading(model, dtype) for model in options.models for dtype in options.dtypes]},
        )
        print(*found["loads"], sep="\n")
    elif options.repeats:
        name, found = "growth", growth(options.repeats)
        print(found)
    else:
        print(
            "| model | dtype | budget | command | peak | within | seconds |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        with tempfile.TemporaryDirectory() as made_here:
            folder, all_runs = Path(made_here), []
            measure = looks if options.instruments else runs
            for model in options.models:
                if options.instruments and model == SHAPE:
                    continue  # which has no tokenizer, and no spans
                place, task = made(model, folder)
                for budget in options.budgets:
                    for dtype in options.dtypes:
                        all_runs += measure(model, place, task, options.n, budget, dtype, folder)
        name = "budgets-instruments" if options.instruments else "budgets"
        found = {"runs": [asdict(run) for run in all_runs]}
    if options.out:
        save(options.out, name, circumstances({"n": options.n}, "cpu", 1) | found)


if __name__ == "__main__":
    main()
