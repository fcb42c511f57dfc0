"""Learned rankings: areas under their curves beside a bounded one, against the circuit of `find`, and over disjoint sets of prompts.

    python -m benchmarks.learned --model pico --task ioi --out learned      # a line for each cell; goes on where it was stopped
    python -m benchmarks.learned --table --out learned                      # the tables
    python -m benchmarks.learned --steady --model pico --task ioi --out learned
    python -m benchmarks.learned --planted 10 --out learned                 # on models with known circuits, as in benchmarks.truth

Rankings are made on half of `--n` prompts, those that choose edges in `find`, and measured on up to `--measured` held-out ones. *CPR* and *CMD* are those of the MIB benchmark
(2504.13151), on its ten sizes, from the strongest 0.1% of the edges to all, each pruned: the area under faithfulness, the ratio of means, against the share of edges,
and the area between that curve and 1. CPR grows above the model's own behaviour. *Bounded* is the area under the mean bounded faithfulness of each prompt, which is 1 at
most, and *small* its mean over the sizes up to 5%. *At find's size*: the longest prefix of the ranking that, pruned, has at most as many edges as find's circuit.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

import circuitsearch as cs
from benchmarks.real import forward_seconds
from benchmarks.starts import prompts
from benchmarks.truth import PROMPTS, design, ranked
from circuitsearch.faithfulness import Faithfulness, bounded, ratio_of_means
from circuitsearch.finding import Plan
from circuitsearch.models.planted import MOTIFS, plant
from circuitsearch.pipeline import METHOD, planned, scored_on
from circuitsearch.registry import METHODS
from circuitsearch.scores import ranking
from circuitsearch.search.ranked import strongest
from circuitsearch.validation.checks.curve import SHARES, CurvePoint, area_from_model, area_under

RANKINGS = ("eap-ig", "conductance", "matryoshka", "matryoshka(overshoot=True)", "edge-pruning", "ensemble")
ON_PLANTED = ("eap-ig", "conductance", "matryoshka(steps=40, rate=0.3)", "edge-pruning(steps=60)", "ensemble")
NOISE = 0.002  # of planted models
FIND = "find"
SMALL = 0.05  # share of the edges up to which a circuit is small
SETS = 4  # disjoint sets of prompts
TOP = (16, 64, 256)
STEADY = ("eap-ig", "conductance", "eap-ig(steps=20)", "conductance(steps=20)")


# ---- one ranking


def on_curve(graph: cs.Graph, values: Tensor, measure: Faithfulness) -> dict[str, Any]:
    """Faithfulness of the strongest edges at each size, and the areas."""
    places = ranking(graph, values)
    masks = [strongest(graph, places, round(share * graph.n_edges)) for share in SHARES]
    metrics = measure.experiment.evaluator.metric_of_each(masks)
    ends = measure.clean, measure.ablated
    kept, inside = ratio_of_means(metrics, *ends).tolist(), bounded(metrics, *ends).mean(-1).tolist()
    points = [CurvePoint(0, share, value) for share, value in zip(SHARES, kept, strict=True)]
    within = [CurvePoint(0, share, value) for share, value in zip(SHARES, inside, strict=True)]
    return {
        "cpr": area_under(points),
        "cmd": area_from_model(points),
        "bounded": area_under(within),
        "small": fmean(point.faithfulness for point in within if point.share <= SMALL),
        "curve": kept,
        "bounded_curve": inside,
    }


def at_size(graph: cs.Graph, values: Tensor, n_edges: int) -> Tensor:
    """Mask (U, V) of the longest prefix of a ranking that, pruned, has at most ``n_edges``."""
    places = ranking(graph, values)
    low, high = 0, len(places)
    while low < high:
        middle = (low + high + 1) // 2
        fits = int(strongest(graph, places, middle).sum()) <= n_edges
        low, high = (middle, high) if fits else (low, middle - 1)
    return strongest(graph, places, low)


def kept_by(mask: Tensor, measure: Faithfulness) -> dict[str, Any]:
    """What a circuit keeps, both ways."""
    (metric,) = measure.experiment.evaluator.metric_of_each([mask])
    ends = measure.clean, measure.ablated
    return {
        "n_edges": int(mask.sum()),
        "ratio": float(ratio_of_means(metric, *ends)),
        "per_prompt": float(bounded(metric, *ends).mean()),
    }


# ---- cells


class Bench:
    """A model on a task, with what is measured on it."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.model, tokenizer = cs.load(asked.model)
        task = prompts(tokenizer, asked.task, asked.n, asked.seed)
        self.plan: Plan = planned(self.model, task, 0.9, METHOD, 0, tokenizer, {"seed": asked.seed})
        self.measure = Faithfulness(self.plan.held_out).on_first(asked.measured)
        self.fwd = forward_seconds(self.model, self.plan.selection.task)

    def cell(self, name: str, circuit: dict[str, Any]) -> dict[str, Any]:
        """One ranking, and find's circuit beside it; ``circuit`` is its cell, if there is one."""
        began = time.process_time()
        if name == FIND:
            found = self.found()
            return {"edges": found.edges, "fwd": self.cost(began)} | kept_by(found.mask, self.measure)
        experiment = scored_on(self.plan.selection)
        scores = experiment.score(name)
        row = {"fwd": self.cost(began)} | on_curve(scores.graph, scores.values, self.measure)
        if circuit:
            row["at_size"] = kept_by(at_size(scores.graph, scores.values, circuit["n_edges"]), self.measure)
        return row

    def found(self) -> cs.Circuit:
        """The circuit of `find`."""
        plan, scores = self.plan, scored_on(self.plan.selection).score(METHOD)
        return cs.refine(plan.selection, plan.selection.task, scores, plan.stopping, plan.faithfulness)

    def cost(self, began: float) -> float:
        """Processor time since then, in plain forwards of the selection prompts."""
        return (time.process_time() - began) / self.fwd

    def steady(self, name: str) -> dict[str, Any]:
        """Overlap of the strongest edges between disjoint sets of prompts: mean Jaccard index over pairs of sets."""
        task, size = self.plan.selection.task, len(self.plan.selection.task) // SETS
        sets = [self.plan.selection.on(task.subset(range(first, len(task), SETS))) for first in range(SETS)]
        found = [experiment.score(name) for experiment in sets]
        return {"prompts": size} | {f"top{k}": fmean(overlaps([cs.top(each, k).mask for each in found])) for k in TOP}


def on_planted(seed: int) -> dict[str, Any]:
    """How the rankings place the true edges of a planted model."""
    motif = list(MOTIFS)[seed % len(MOTIFS)]
    planted = plant(motif, seed, n=PROMPTS, design=design(seed, NOISE))
    experiment = cs.Experiment(planted.model, planted.task)
    found = ranked(experiment, experiment.graph.edge_mask(planted.edges), ON_PLANTED)
    return {"model": "planted", "task": motif, "seed": seed, "name": f"planted {seed}", "methods": found}


def overlaps(masks: list[Tensor]) -> Iterator[float]:
    """Jaccard index of each two."""
    for one, other in combinations(masks, 2):
        yield float((one & other).sum() / (one | other).sum())


# ---- tables


def tables(rows: list[dict[str, Any]]) -> Iterable[str]:
    """Areas and circuits of find's size, then overlaps."""
    yield "| model, task | ranking | fwd | CPR | CMD | bounded | small | at find's size: edges | faithfulness | per prompt |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        label = f"| {row['model']}, {row['task']} | {row['name']} | {row.get('fwd', 0):.0f} |"
        if row["name"] == FIND:
            yield f"{label} | | | | {row['n_edges']} | {row['ratio']:.3f} | {row['per_prompt']:.3f} |"
        elif "cpr" in row:
            size = row.get("at_size", {})
            cells = [f"{size[key]:.3f}" if size else "" for key in ("ratio", "per_prompt")]
            areas = " | ".join(f"{row[key]:.3f}" for key in ("cpr", "cmd", "bounded", "small"))
            yield f"{label} {areas} | {size.get('n_edges', '')} | {' | '.join(cells)} |"
    yield ""
    yield f"| model, task | ranking | {' | '.join(f'top {k}' for k in TOP)} |"
    yield "|---|---|" + "--:|" * len(TOP)
    for row in rows:
        if "prompts" in row:
            cells = " | ".join(f"{row[f'top{k}']:.3f}" for k in TOP)
            yield f"| {row['model']}, {row['task']}, {SETS} sets of {row['prompts']} | {row['name'].removeprefix('steady ')} | {cells} |"
    yield ""
    yield "| ranking of planted models | AUROC | average precision | precision at the true size |"
    yield "|---|--:|--:|--:|"
    for name in ON_PLANTED:
        found = [row["methods"][name] for row in rows if "methods" in row]
        if found:
            means = " | ".join(f"{fmean(each[key] for each in found):.3f}" for key in ("auroc", "precision", "top"))
            yield f"| {name} ({len(found)} models) | {means} |"


def read(folder: Path) -> list[dict[str, Any]]:
    """The cells measured so far."""
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def main() -> None:
    """Measure cells, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pico")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--ranking", action="append", default=[])
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measured", type=int, default=64, help="held-out prompts at most")
    parser.add_argument("--steady", action="store_true", help="overlaps over disjoint sets of prompts")
    parser.add_argument("--planted", type=int, default=0, help="so many models with known circuits")
    parser.add_argument("--out", type=Path, default=Path("learned"))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.table:
        print("\n".join(tables(read(asked.out))))
        return
    if asked.planted:
        measure_planted(asked.planted, asked.out)
    else:
        measure_cells(asked)


def measure_planted(count: int, out: Path) -> None:
    """Add a line for each planted model that has none."""
    known = {row["name"] for row in read(out)}
    for seed in range(count):
        if f"planted {seed}" not in known:
            keep(out / "planted.jsonl", on_planted(seed))


def measure_cells(asked: argparse.Namespace) -> None:
    """Add a line for each ranking that has none."""
    key = {"model": Path(asked.model).name, "task": asked.task, "n": asked.n, "seed": asked.seed}
    names = asked.ranking or (STEADY if asked.steady else (FIND, *RANKINGS))
    for name in names:
        if name != FIND:
            METHODS.read(name)  # misspelt names are refused before anything slow is run
    bench: Bench | None = None
    for name in names:
        entry = key | {"name": f"steady {name}" if asked.steady else name}
        known = [row for row in read(asked.out) if all(row.get(each) == value for each, value in key.items())]
        if all(row["name"] != entry["name"] for row in known):
            bench = bench or Bench(asked)
            circuit = next((row for row in known if row["name"] == FIND), {})
            row = bench.steady(name) if asked.steady else bench.cell(name, circuit)
            keep(asked.out / f"{key['model']}-{key['task']}.jsonl", entry | row)


def keep(file: Path, row: dict[str, Any]) -> None:
    """Add a line to a file, and print it without its longest values."""
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")
    print({name: value for name, value in row.items() if name not in ("edges", "curve", "bounded_curve")}, flush=True)


if __name__ == "__main__":
    main()
