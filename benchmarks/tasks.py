"""Every task on models, as a table, and with many prompts: alignment, and no word or template on both sides of a split.

python -m benchmarks.tasks MODEL ...           measures what is not in benchmarks/results/tasks.jsonl, and writes docs/tasks.md
python -m benchmarks.tasks --many 10000 MODEL  draws so many pairs of each task with the models' tokenizers
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.models.load import BUNDLED
from circuitsearch.registry import TASKS
from circuitsearch.task import Task
from circuitsearch.tasks.defined import Defined

RESULTS = Path(__file__).parent / "results" / "tasks.jsonl"
PAGE = Path(__file__).parents[1] / "docs" / "tasks.md"
BEGIN, END = "<!-- table: python -m benchmarks.tasks -->", "<!-- end of the table -->"
LEARNED = ("ioi", "induction", "greater_than", "gendered_pronoun", "docstring", "country_facts", "agreement")
"""The tasks that pico was trained on."""
VARIANTS = (
    "ioi(order=abba)", "ioi(order=baba)", "ioi(counterfactual=s2_replaced)", "ioi(counterfactual=s2_flip)",
    "induction_text(counterfactual=other_person)", "multiple_choice(counterfactual=color)", "addition(digits=3)",
    "subtraction(digits=3)",
)  # fmt: skip


def names() -> list[str]:
    """All tasks, each followed by its variants."""
    return sorted([*TASKS.names(), *VARIANTS], key=lambda name: TASKS.names().index(name.partition("(")[0]))


def measured(model: Any, tokenizer: Any, name: str, n: int) -> dict[str, Any]:
    """Accuracy, share of prompts whose likeliest token is right, metric, and whether the model does the task."""
    try:
        task = TASKS.read(name)(tokenizer, n=n)
    except InputError as error:
        return {"task": name, "refused": str(error)}
    found = cs.behaviour(model, task)
    figures = {"accuracy": found.accuracy, "top1": found.top1, "metric": found.clean, "does": found.does}
    return {"task": name, "n": n, **figures}


def measure(models: list[str], n: int) -> None:
    """Add a line for each model and task that has none to the file of results, so that an interrupted run goes on."""
    for model in models:
        done = {row["task"] for row in results() if row["model"] == Path(model).name}
        missing = [name for name in names() if name not in done]
        loaded, tokenizer = cs.load(model) if missing else (None, None)
        for name in missing:
            row = {"model": Path(model).name, **measured(loaded, tokenizer, name, n)}
            print(row, flush=True)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def results() -> list[dict[str, Any]]:
    """All lines of the file of results."""
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []


def table() -> str:
    """The results in Markdown."""
    found = {(row["model"], row["task"]): row for row in results()}
    models = list(dict.fromkeys(model for model, _ in found))
    head = [f"{model}: {what}" for model in models for what in ("accuracy", "top-1", "metric", "does it")]
    rows = [[f"`{name}`", *(cell for model in models for cell in _cells(found.get((model, name))))] for name in names()]
    return "\n".join(map(_line, [["task", *head], ["---", *("---:" for _ in head)], *rows]))


def _cells(row: dict[str, Any] | None) -> list[str]:
    if row is None or "refused" in row:
        return ["", "", "", "not measured" if row is None else "lacks words"]
    return [f"{row['accuracy']:.0%}", f"{row['top1']:.0%}", f"{row['metric']:.2f}", "yes" if row["does"] else "no"]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def many(tokenizer: Any, name: str, n: int) -> str:
    """Draw at most n pairs, as many as there are: alignment is checked when a task is made; then look for leaks."""
    try:
        writer = TASKS.read(name)(tokenizer, n=96).writer
    except InputError as error:
        return f"{name}: {error}"
    whole = writer.draw_by_group(n, at_most=True)
    assert all(len(clean) == len(corrupt) for clean, corrupt in zip(whole.clean, whole.corrupt, strict=True))
    parts = whole.parts((0.5, 0.25, 0.25))
    leaks = sum(len(one & other) for one, other in combinations([values(part, common(name)) for part in parts], 2))
    return f"{name}: {len(whole)} pairs, {len(set(whole.groups))} groups, aligned, {leaks} leaks"


def common(name: str) -> set[str]:
    """The lists that a task's definition lets all groups share."""
    made = TASKS.load(name.partition("(")[0])
    return set(made.definition.source.common) if isinstance(made, Defined) else set()


def values(task: Task, shared: set[str]) -> set[tuple[str, str]]:
    """What the prompts use of each factor, and the prompts, without what all groups share."""
    used = {
        (factor, value)
        for row in task.factors
        for factor, some in row.items()
        for value in some
        if factor not in shared
    }
    return used | {("prompt", str(ids.tolist())) for ids in task.clean}


def main() -> None:
    """Write the table, or draw many pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="pico, or folders of models")
    parser.add_argument("--n", type=int, default=64, help="prompts of each task for the table")
    parser.add_argument("--many", type=int, help="draw so many pairs instead, with the models' tokenizers")
    asked = parser.parse_args()
    if asked.many:
        for model in asked.models:
            tokenizer = AutoTokenizer.from_pretrained(BUNDLED.get(model, model))
            for name in names():
                print(f"{Path(model).name}: {many(tokenizer, name, asked.many)}", flush=True)
        return
    measure(asked.models, asked.n)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
