"""Known circuits: which methods rank their edges first, and which searches find them.

    python -m benchmarks.truth --models 100 --out truth          # a line for each model; goes on where it was stopped
    python -m benchmarks.truth --folder compiled --out mine      # the same of your own models with known circuits
    python -m benchmarks.truth --table --out truth               # the tables

Model i is planted by seed i (:mod:`circuitsearch.models.planted`): the motifs in turn, of random size, among distractors, with noise and in a
random basis. Half of the prompts choose edges. A circuit is *whole* if its edges are all the true ones and no other, and *enough* if it has
no false edge and all edges of one sufficient set (of an OR either branch is enough). Beside them: models whose weights are in random order.

A folder of models has a folder for each, with ``config.json``, ``model.safetensors``, ``truth.json`` and ``prompts.jsonl``, as
:mod:`circuitsearch.models.planted.known` describes them; three quarters of its prompts are given to the methods and searches.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

import circuitsearch as cs
from benchmarks import seeds
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.models.planted import MOTIFS, Design, KnownCircuit, plant, reset
from circuitsearch.pipeline import METHOD, planned
from circuitsearch.references.compare import auroc, average_precision

METHODS = ("eap", "eap-ig", "eap-ig-activations", "clean-corrupt", "relp", "gim", "qk-fix", "exact")
TARGET = 0.9
PROMPTS = 64
SEARCHED = 0.75  # of a folder's prompts


def design(seed: int, noise: float) -> Design:
    """The size of a model, and what surrounds its circuit."""
    random = Random(seed)
    return Design(
        layers=random.randint(4, 6), heads=random.randint(3, 5), distractor_heads=random.randint(0, 6),
        distractor_mlps=random.randint(0, 2), rotated=True, noise=noise,
    )  # fmt: skip


# ---- rankings


def ranked(experiment: cs.Experiment, true: Tensor, methods: Iterable[str] = METHODS) -> dict[str, Any]:
    """How well each method ranks the true edges (U, V)."""
    mask, rows = experiment.graph.mask, {}
    for method in methods:
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


def minimal(known: KnownCircuit, method: str) -> cs.Circuit:
    """The minimal circuit from a method's ranking, on the same prompts."""
    selection = planned(known.model, known.task, TARGET, METHOD, 0, None, {}).selection
    return cs.minimal(selection, selection.task, selection.score(method), TARGET)


def completed(known: KnownCircuit, seed: int) -> cs.Circuit:
    """The circuit of `find(complete=True)`."""
    selection = planned(known.model, known.task, TARGET, METHOD, 0, None, {"seed": seed}).selection
    return cs.complete(selection, selection.task, seeds.found(known.model, known.task, seed), TARGET)


SEARCHES: dict[str, Callable[[KnownCircuit, int], cs.Circuit]] = {
    "find": lambda known, seed: seeds.found(known.model, known.task, seed),
    "find, complete": completed,
    "minimal, EAP-IG": lambda known, seed: minimal(known, "eap-ig"),
    "minimal, exact": lambda known, seed: minimal(known, "exact"),
}


def recovered(circuit: cs.Circuit, known: KnownCircuit, fresh: Faithfulness) -> dict[str, Any]:
    """A circuit against the true one, and its faithfulness on new prompts."""
    edges, true = set(circuit.edges), set(known.edges)
    return {
        "n_edges": len(edges),
        "false": len(edges - true),
        "missing": len(true - edges),
        "whole": edges == true,
        "enough": edges <= true and any(some <= edges for some in known.sufficient),
        "faithfulness": fresh.measured_alone(circuit.mask).value,
    }


# ---- models


def planted(seed: int, noise: float) -> dict[str, Any]:
    """Everything of the model of a seed."""
    motif = list(MOTIFS)[seed % len(MOTIFS)]
    made = plant(motif, seed, n=PROMPTS, design=design(seed, noise))
    made = replace(made, task=made.prompts(PROMPTS, seed))  # given ones: no search has others
    return {"seed": seed, "motif": motif, "noise": noise, **measured(made, made.prompts(PROMPTS, seed + 10**6), seed)}


def of_folder(folder: Path) -> dict[str, Any]:
    """Everything of a user's model."""
    known = KnownCircuit.load(folder)
    task, new = known.task.split(SEARCHED)
    return {"seed": folder.name, "motif": known.task.name, **measured(replace(known, task=task), new, 0)}


def measured(known: KnownCircuit, new: cs.Task, seed: int) -> dict[str, Any]:
    """Each method, each search, and the model with its weights in random order; ``new`` prompts measure the circuits."""
    experiment = cs.Experiment(known.model, known.task)
    fresh = Faithfulness(experiment.on(new))
    true = experiment.graph.edge_mask(known.edges)
    searches = {}
    for name, search in SEARCHES.items():
        began = time.process_time()
        searches[name] = recovered(search(known, seed), known, fresh) | {"seconds": time.process_time() - began}
    return {
        "n_true": len(known.edges),
        "n_edges": experiment.graph.n_edges,
        "true_edges_keep": fresh.measured_alone(true).value,
        "methods": ranked(experiment, true),
        "searches": searches,
        "reset": passes_reset(known, seed),
    }


def passes_reset(known: KnownCircuit, seed: int) -> bool:
    """Whether the model with its weights in random order passes as doing the task."""
    try:
        cs.behaviour(reset(known.model, seed), known.task).check()
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
    for motif in dict.fromkeys(row["motif"] for row in sorted(rows, key=_place)):
        some = [row for row in rows if row["motif"] == motif]
        cells = [
            f"{sum(r['searches'][s]['whole'] for r in some)}, {sum(r['searches'][s]['enough'] for r in some)}"
            for s in SEARCHES
        ]
        cells += [f"{fmean(row['methods'][method]['precision'] for row in some):.2f}" for method in METHODS]
        yield f"| {motif} | {len(some)} | {' | '.join(cells)} |"
    yield ""
    yield f"models with their weights in random order that pass as doing the task: {sum(row['reset'] for row in rows)} of {len(rows)}"


def _place(row: dict[str, Any]) -> int:
    """Motifs come in their own order, tasks of folders after them."""
    return list(MOTIFS).index(row["motif"]) if row["motif"] in MOTIFS else len(MOTIFS)


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
    parser.add_argument("--folder", type=Path, help="measure the models in the folders of this one")
    parser.add_argument("--out", type=Path, default=Path("truth"))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.table:
        print("\n".join(tables([row for file in sorted(asked.out.glob("*.jsonl")) for row in read(file)])))
    elif asked.folder is None:
        numbers = range(asked.first, asked.models, asked.every)
        run({seed: partial(planted, seed, asked.noise) for seed in numbers}, asked.out / f"{asked.first}.jsonl")
    else:
        folders = sorted(each for each in asked.folder.glob("*/") if each.is_dir())
        run({each.name: partial(of_folder, each) for each in folders}, asked.out / "folder.jsonl")


def run(models: Mapping[Any, Callable[[], dict[str, Any]]], file: Path) -> None:
    """Measure the models that the file does not have, a line each; one that cannot be read ends it with a sentence."""
    known = {row["seed"] for row in read(file)}
    for name, measure in models.items():
        if name in known:
            continue
        try:
            row = measure()
        except cs.InputError as error:
            raise SystemExit(f"{name}: {error}") from None
        with file.open("a") as out:
            out.write(json.dumps(row) + "\n")
        found = {search: (each["whole"], each["enough"]) for search, each in row["searches"].items()}
        print(name, row["motif"], found, flush=True)


if __name__ == "__main__":
    main()
