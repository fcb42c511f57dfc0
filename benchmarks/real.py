"""Circuits of real language models: `find` with its defaults on six tasks and two models, beside rankings of equal size.

Run `python -m benchmarks.real --out FOLDER`; it resumes. Models come from `circuitsearch models get NAME`, or from folders given as
`--model NAME=FOLDER`. For each cell it writes a run folder, a line to `real.jsonl`, and at the end the table as Markdown.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import circuitsearch as cs
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.pipeline import METHOD, planned

MODELS = {"smollm2": "smollm2", "gemma3-270m": "gemma3-270m"}
TASKS = ("ioi", "induction", "docstring", "gendered_pronoun", "greater_than", "agreement")
N = 256
FRESH = 256  # prompts of each kind that tell whether the circuit is as faithful on new names, words and templates
OF_CURVE = 64  # held-out prompts for the circuits on the way


class Lines(cs.Listener):
    """Prints a line a pass, and keeps the time of each stage."""

    def __init__(self, cell: str) -> None:
        self.cell, self.began, self.seconds = cell, time.process_time(), {}
        self.best: dict[int, cs.Circuit] = {}  # by size, the best circuits so far

    def passed(self, circuit: cs.Circuit) -> None:
        assert circuit.history is not None
        self.best[len(circuit)] = circuit
        last = circuit.history.passes[-1]
        took = time.process_time() - self.began
        print(self.cell, last.number, last.n_edges, last.selection, last.stopping, f"{took:.0f} s", flush=True)

    def started(self, stage: str) -> None:
        self.stage_began = time.process_time()

    def finished(self, stage: str, result: Any, seconds: float | None) -> None:
        self.seconds[stage] = time.process_time() - self.stage_began


def forward_seconds(model: Any, task: cs.Task) -> float:
    """Processor seconds of one plain Hugging Face forward of the prompts, the median of three."""
    batches = [batch.clean for batch in task.batches(32, share_prefix=False)]

    def run() -> float:
        began = time.process_time()
        with torch.no_grad():
            for ids in batches:
                model(input_ids=ids)
        return time.process_time() - began

    return sorted(run() for _ in range(3))[1]


def of_size(make: Callable[[cs.Scores, int], cs.Circuit], scores: cs.Scores, size: int) -> cs.Circuit:
    """The smallest circuit of a ranking, pruned, with at least so many edges, by bisection."""
    low, high = size, scores.graph.n_edges
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(make(scores, middle)) >= size else (middle + 1, high)
    return make(scores, low)


def fresh(experiment: cs.Experiment) -> cs.Experiment:
    """The experiment on other prompts of the same names, words and templates."""
    assert experiment.task.writer is not None
    return experiment.on(experiment.task.writer.draw(FRESH, 77, at_most=True))


def cell(name: str, model: Any, tokenizer: Any, task: str, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    prompts = getattr(cs.tasks, task)(tokenizer, n=N, seed=0)
    plan = planned(model, prompts, 0.9, METHOD, 0, tokenizer, {})
    fwd = forward_seconds(model, plan.selection.task)
    lines = Lines(f"{name} {task}")
    finding = cs.find(model, prompts, tokenizer=tokenizer, out=folder / f"{name}-{task}", listeners=[lines])
    circuit, report, history = finding.circuit, finding.report, finding.circuit.history
    assert history is not None
    alike, new = (Faithfulness(fresh(each)).measured_alone(circuit.mask) for each in (plan.selection, plan.held_out))
    scores = plan.selection.score("eap-ig")
    rivals = [of_size(cs.top, scores, len(circuit)), of_size(cs.greedy, scores, len(circuit))]
    best = [lines.best[size] for size in sorted(lines.best)]
    held_out = Faithfulness(plan.held_out)
    top, greedy = held_out.measured_each([each.mask for each in rivals])
    curve = held_out.on_first(OF_CURVE).measured_each([each.mask for each in best])
    return {
        "model": name,
        "task": task,
        "n_edges": len(circuit),
        "n_edges_total": circuit.graph.n_edges,
        "fresh_selection": vars(alike),
        "fresh_held_out": vars(new),
        "stopping": vars(history.stopping),
        "held_out": vars(report.faithfulness),
        "per_prompt": vars(report.per_prompt),
        "by_factor": [{"label": each.label, **vars(each.faithfulness)} for each in report.by_factor],
        "accuracy": [report.model_accuracy, report.circuit_accuracy],
        "passes": len(history.passes),
        "sizes": [[each.n_edges, each.selection.value, each.stopping.value] for each in history.passes],
        "forwards_counted": history.forwards,
        "forwards_by_stage": {stage: round(seconds / fwd, 1) for stage, seconds in lines.seconds.items()},
        "curve": [[len(each), found.value, found.error] for each, found in zip(best, curve, strict=True)],
        "eap_ig_top": vars(top),
        "eap_ig_greedy": vars(greedy),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "note": history.note,
    }


COLUMNS = (
    "model, task",
    "edges",
    "judged",
    "held out, 95% interval",
    f"{FRESH} new prompts: selection's, held-out's",
    "per prompt",
    "accuracy, model and circuit",
    "EAP-IG, prefix and greedy",
    "passes",
    "cost: behaviour, scores, search, report",
    "peak GiB",
)


def line(row: dict[str, Any]) -> str:
    """One cell as a row of the table."""
    held_out, judged = row["held_out"], row["stopping"]
    parts = row["forwards_by_stage"].values()
    return _row(
        f"{row['model']}, {row['task']}",
        f"{row['n_edges']:,}",
        "{value:.3f} ± {error:.3f}".format(**judged),
        "{value:.3f} [{low:.3f}, {high:.3f}]".format(**held_out),
        ", ".join("{value:.3f} ± {error:.3f}".format(**row[kind]) for kind in ("fresh_selection", "fresh_held_out")),
        f"{row['per_prompt']['value']:.2f}",
        " ".join(f"{100 * share:.0f}%" for share in row["accuracy"]),
        f"{row['eap_ig_top']['value']:.2f}, {row['eap_ig_greedy']['value']:.2f}",
        str(row["passes"]),
        f"{sum(parts):.0f}: {', '.join(f'{part:.0f}' for part in parts)}",
        f"{row['peak_gib']:.0f}",
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the cells that are not done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("real"))
    parser.add_argument("--model", action="append", default=[], help="NAME, or NAME=FOLDER")
    parser.add_argument("--task", action="append", default=[])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    done = asked.out / "real.jsonl"
    known = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    for given in asked.model or MODELS:
        name, _, place = given.partition("=")
        model, tokenizer = cs.load(place or MODELS[name])
        for task in asked.task or TASKS:
            if not any((row["model"], row["task"]) == (name, task) for row in known):
                row = cell(name, model, tokenizer, task, asked.out)
                with done.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    rows = [json.loads(row) for row in done.read_text().splitlines()]
    print("\n".join([_row(*COLUMNS), _row(*["---"] * len(COLUMNS)), *map(line, rows)]))


if __name__ == "__main__":
    main()
