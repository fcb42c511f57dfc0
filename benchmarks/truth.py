"""Known circuits: which methods rank their edges first, and which searches find them.

    python -m benchmarks.truth --models 100 --out truth          # a line for each model; goes on where it was stopped
    python -m benchmarks.truth --table --out truth               # the tables

Model i is planted by seed i (:mod:`circuitsearch.models.planted`): the motifs in turn, of random size, among distractors, with noise and in a
random basis. Half of the prompts choose edges. A circuit is *whole* if its edges are all the true ones and no other, and *enough* if it has
no false edge and all edges of one sufficient set (of an OR either branch is enough). Beside them: models whose weights are in random order.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch
from scipy.stats import rankdata
from torch import Tensor

import circuitsearch as cs
from benchmarks import seeds
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.models.planted import MOTIFS, Design, Planted, plant, reset
from circuitsearch.pipeline import METHOD, planned

METHODS = ("eap", "eap-ig", "eap-ig-activations", "clean-corrupt", "relp", "gim", "qk-fix", "exact")
TARGET = 0.9
PROMPTS = 64


def design(seed: int, noise: float) -> Design:
    """The size of a model, and what surrounds its circuit."""
    random = Random(seed)
    return Design(
        layers=random.randint(4, 6), heads=random.randint(3, 5), distractor_heads=random.randint(0, 6),
        distractor_mlps=random.randint(0, 2), rotated=True, noise=noise,
    )  # fmt: skip


# ---- rankings


def auroc(strength: Tensor, true: Tensor) -> float:
    """Chance that a true edge is above a false one; ties count half. Both (E,)."""
    ranks, n = rankdata(strength.numpy()), int(true.sum())
    return float((ranks[true.numpy()].sum() - n * (n + 1) / 2) / (n * (len(true) - n)))


def average_precision(strength: Tensor, true: Tensor) -> float:
    """Mean of the precision at each true edge, the strongest first; of equal edges the false ones come first. Both (E,)."""
    order = sorted(range(len(true)), key=lambda edge: (-float(strength[edge]), bool(true[edge])))
    hits = true[order].double()
    return float((hits.cumsum(0) / torch.arange(1, len(hits) + 1))[hits.bool()].mean())


def ranked(experiment: cs.Experiment, true: Tensor) -> dict[str, Any]:
    """How well each method ranks the true edges (U, V)."""
    mask, rows = experiment.graph.mask, {}
    for method in METHODS:
        values = experiment.score(method).values
        strength, wanted = values[mask].abs(), true[mask]
        first = strength.topk(int(wanted.sum())).indices
        rows[method] = {
            "auroc": auroc(strength, wanted),
            "precision": average_precision(strength, wanted),
            "top": float(wanted[first].double().mean()),
        }
    return rows


# ---- searches


def minimal(planted: Planted, method: str) -> cs.Circuit:
    """The minimal circuit from a method's ranking, on the same prompts."""
    selection = planned(planted.model, planted.task, TARGET, METHOD, 0, None, {}).selection
    return cs.minimal(selection, selection.task, selection.score(method), TARGET)


SEARCHES: dict[str, Callable[[Planted, int], cs.Circuit]] = {
    "find": lambda planted, seed: seeds.found(planted.model, planted.task, seed),
    "minimal, EAP-IG": lambda planted, seed: minimal(planted, "eap-ig"),
    "minimal, exact": lambda planted, seed: minimal(planted, "exact"),
}


def recovered(circuit: cs.Circuit, planted: Planted, fresh: Faithfulness) -> dict[str, Any]:
    """A circuit against the true one, and its faithfulness on new prompts."""
    edges, true = set(circuit.edges), set(planted.edges)
    return {
        "n_edges": len(edges),
        "false": len(edges - true),
        "missing": len(true - edges),
        "whole": edges == true,
        "enough": edges <= true and any(some <= edges for some in planted.sufficient),
        "faithfulness": fresh.measured_alone(circuit.mask).value,
    }


# ---- models


def measured(seed: int, noise: float) -> dict[str, Any]:
    """Everything of one model."""
    motif = list(MOTIFS)[seed % len(MOTIFS)]
    planted = plant(motif, seed, n=PROMPTS, design=design(seed, noise))
    experiment = cs.Experiment(planted.model, planted.task)
    fresh = Faithfulness(experiment.on(planted.prompts(PROMPTS, seed + 10**6)))
    true = experiment.graph.edge_mask(planted.edges)
    searches = {}
    for name, search in SEARCHES.items():
        began = time.process_time()
        searches[name] = recovered(search(planted, seed), planted, fresh) | {"seconds": time.process_time() - began}
    return {
        "seed": seed,
        "motif": motif,
        "noise": noise,
        "n_true": len(planted.edges),
        "n_edges": experiment.graph.n_edges,
        "true_edges_keep": fresh.measured_alone(true).value,
        "methods": ranked(experiment, true),
        "searches": searches,
        "reset": passes_reset(planted, seed),
    }


def passes_reset(planted: Planted, seed: int) -> bool:
    """Whether the model with its weights in random order passes as doing the task."""
    try:
        cs.behaviour(reset(planted.model, seed), planted.task).check()
    except cs.InputError:
        return False
    return True


# ---- tables


def tables(rows: list[dict[str, Any]]) -> Iterable[str]:
    """Rankings, searches, motifs."""
    yield "| method | AUROC | average precision | precision at the true size | all true edges first |"
    yield "|---|--:|--:|--:|--:|"
    for method in METHODS:
        found = [row["methods"][method] for row in rows]
        means = [fmean(each[name] for each in found) for name in ("auroc", "precision", "top")]
        first = sum(each["top"] == 1 for each in found)
        yield f"| {method} | {means[0]:.3f} | {means[1]:.3f} | {means[2]:.3f} | {first} of {len(rows)} |"
    yield ""
    yield "| search | whole | enough | false edges | missing edges | faithfulness on new prompts |"
    yield "|---|--:|--:|--:|--:|--:|"
    for search in SEARCHES:
        found = [row["searches"][search] for row in rows]
        counts = [sum(each[name] for each in found) for name in ("whole", "enough", "false", "missing")]
        kept = [each["faithfulness"] for each in found]
        yield f"| {search} | {counts[0]} of {len(rows)} | {counts[1]} | {counts[2]} | {counts[3]} | {fmean(kept):.3f} ({min(kept):.3f} to {max(kept):.3f}) |"
    yield ""
    yield f"| motif | models | {' | '.join(f'{search}: whole, enough' for search in SEARCHES)} | {' | '.join(METHODS)} |"
    yield "|---|--:|" + "--:|" * (len(SEARCHES) + len(METHODS))
    for motif in MOTIFS:
        some = [row for row in rows if row["motif"] == motif]
        if some:
            cells = [
                f"{sum(r['searches'][s]['whole'] for r in some)}, {sum(r['searches'][s]['enough'] for r in some)}"
                for s in SEARCHES
            ]
            cells += [f"{fmean(row['methods'][method]['precision'] for row in some):.2f}" for method in METHODS]
            yield f"| {motif} | {len(some)} | {' | '.join(cells)} |"
    yield ""
    yield f"models with their weights in random order that pass as doing the task: {sum(row['reset'] for row in rows)} of {len(rows)}"


def read(file: Path) -> list[dict[str, Any]]:
    """The models measured so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def main() -> None:
    """Measure models, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--every", type=int, default=1, help="this process takes every so-manieth model")
    parser.add_argument("--first", type=int, default=0, help="and begins with this one")
    parser.add_argument("--noise", type=float, default=0.002)
    parser.add_argument("--out", type=Path, default=Path("truth"))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.table:
        print("\n".join(tables([row for file in sorted(asked.out.glob("*.jsonl")) for row in read(file)])))
        return
    file = asked.out / f"{asked.first}.jsonl"
    known = {row["seed"] for row in read(file)}
    for seed in range(asked.first, asked.models, asked.every):
        if seed not in known:
            row = measured(seed, asked.noise)
            with file.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(
                seed,
                row["motif"],
                {name: (each["whole"], each["enough"]) for name, each in row["searches"].items()},
                flush=True,
            )


if __name__ == "__main__":
    main()
