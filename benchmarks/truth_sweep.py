"""Known circuits: the default method and search against noise, size and the number of prompts.

    python -m benchmarks.truth_sweep --models 20 --out sweep     # a line for each model and setting; goes on where it was stopped
    python -m benchmarks.truth_sweep --table --out sweep         # the table

Each setting differs in one thing from that of :mod:`benchmarks.truth`, whose models these are: seed i plants motif i, in turn.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

import circuitsearch as cs
from benchmarks import truth
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.models.planted import MOTIFS, plant
from circuitsearch.pipeline import METHOD

NOISE = 0.002
REDUNDANT = (
    "or",
    "backup",
    "vote",
    "negative",
)  # of which a part is enough, so that no search for the smallest has the whole


@dataclass(frozen=True)
class Setting:
    """What the models of a setting are; ``size`` is blocks and heads of each, if not drawn from the seed."""

    noise: float = NOISE
    size: tuple[int, int] | None = None
    prompts: int = truth.PROMPTS


SETTINGS = {
    "as above": Setting(),
    **{f"noise {noise:.1%}": Setting(noise=noise) for noise in (0.0, 0.01, 0.05)},
    **{f"{size[0]} blocks of {size[1]} heads": Setting(size=size) for size in ((4, 3), (8, 8))},
    **{f"{n} prompts": Setting(prompts=n) for n in (16, 256)},
}


def measured(name: str, seed: int) -> dict[str, Any]:
    """The ranking and the circuit of one model; of one that does not do its task with so much noise, that alone."""
    setting, motif = SETTINGS[name], list(MOTIFS)[seed % len(MOTIFS)]
    design = truth.design(seed, setting.noise)
    if setting.size is not None:
        design = replace(design, layers=setting.size[0], heads=setting.size[1])
    known = plant(motif, seed, n=setting.prompts, design=design)
    row = {"setting": name, "seed": seed, "motif": motif}
    try:
        experiment = cs.Experiment(known.model, known.task)
        cs.behaviour(experiment, known.task).check()
        fresh = Faithfulness(experiment.on(known.prompts(truth.PROMPTS, seed + 10**6)))
    except cs.InputError as error:
        return row | {"refused": str(error)}
    began, true = time.process_time(), experiment.graph.edge_mask(known.edges)
    found = truth.recovered(truth.SEARCHES["find"](known, seed), known, fresh) | {
        "seconds": time.process_time() - began
    }
    (ranking,) = truth.ranked(experiment, true, [METHOD]).values()
    return row | {"true_edges_keep": fresh.measured_alone(true).value, "ranking": ranking, "find": found}


def table(rows: list[dict[str, Any]]) -> Iterable[str]:
    """A line for each setting."""
    yield "| models | do the task | AUROC | average precision | find: whole, of those without redundancy | find: enough | false edges | missing | faithfulness on new prompts | true edges' | s a model |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name in SETTINGS:
        of_setting = [row for row in rows if row["setting"] == name]
        done = [row for row in of_setting if "refused" not in row]
        if not done:
            continue
        auroc, precision = (fmean(row["ranking"][column] for row in done) for column in ("auroc", "precision"))
        plain = [row["find"]["whole"] for row in done if row["motif"] not in REDUNDANT]
        enough, false, missing = (sum(row["find"][column] for row in done) for column in ("enough", "false", "missing"))
        kept, own = (
            fmean(values)
            for values in ([row["find"]["faithfulness"] for row in done], [row["true_edges_keep"] for row in done])
        )
        seconds = fmean(row["find"]["seconds"] for row in done)
        yield (
            f"| {name} | {len(done)} of {len(of_setting)} | {auroc:.3f} | {precision:.3f} | {sum(plain)} of {len(plain)} |"
            f" {enough} of {len(done)} | {false} | {missing} | {kept:.3f} | {own:.3f} | {seconds:.1f} |"
        )


def main() -> None:
    """Measure models, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("sweep"))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "sweep.jsonl"
    rows = truth.read(file)
    if asked.table:
        print("\n".join(table(rows)))
        return
    known = {(row["setting"], row["seed"]) for row in rows}
    for seed in range(asked.models):
        for name in SETTINGS:
            if (name, seed) not in known:
                row = measured(name, seed)
                with file.open("a") as out:
                    out.write(json.dumps(row) + "\n")
                print(name, seed, row["motif"], row.get("refused") or row["find"]["enough"], flush=True)


if __name__ == "__main__":
    main()
