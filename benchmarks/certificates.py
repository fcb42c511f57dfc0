"""Certificates: every edge that one calls needed is removed again, and all subsets of the circuit are run.

    python -m benchmarks.certificates --out certificates            # a line for each circuit; goes on where it was stopped
    python -m benchmarks.certificates --table --out certificates    # the table

The circuits are those of `find` and of `minimal` on planted models with known circuits (as in `benchmarks.truth`, 32 prompts) and on tasks of pico, if
they have at most 20 edges. *Plain* runs are those of the tests' oracle, one prompt and one edge at a time, by the model's own modules; they share no
code with the engine. Beside each circuit: whether the optimal circuit of its size by scores, `cs.optimal`, has the same edges.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

import circuitsearch as cs
from benchmarks.seeds import found
from benchmarks.truth import TARGET, design, read
from circuitsearch.circuit import Certificate
from circuitsearch.models.planted import MOTIFS, plant
from circuitsearch.pipeline import METHOD, planned, scored_on
from circuitsearch.reachability import prune
from circuitsearch.search.ending import ELIMINATIONS
from circuitsearch.search.prompts import PassPrompts
from circuitsearch.target import reaches
from tests.validation.by_hand import Plain, corrupt_writes, logit_diff, ratio

TASKS = ("induction", "greater_than", "gendered_pronoun", "docstring", "country_facts", "agreement")
MOST = 20  # edges
RUNS = 200_000  # subsets
NOISE = 0.002
SCORES = ("eap-ig", "exact")


@dataclass(frozen=True)
class Case:
    """A model and prompts, on which circuits are searched for."""

    name: str
    model: Any
    task: cs.Task
    seed: int


def cases(models: int, tasks: Iterable[str]) -> Iterator[Case]:
    """Planted models, the motifs in turn, and tasks of pico."""
    for seed in range(models):
        motif = list(MOTIFS)[seed % len(MOTIFS)]
        planted = plant(motif, seed, n=32, design=design(seed, NOISE))
        yield Case(f"planted {motif}", planted.model, planted.task, seed)
    pico, tokenizer = cs.load("pico")
    for task in tasks:
        yield Case(f"pico {task}", pico, getattr(cs.tasks, task)(tokenizer, n=64), 0)


# ---- one circuit


def circuits(case: Case) -> Iterator[tuple[str, cs.Circuit, cs.Experiment]]:
    """Each search's circuit, and the experiment on the prompts of its certificate."""
    selection = planned(case.model, case.task, TARGET, METHOD, 0, None, {"seed": case.seed}).selection
    scores = scored_on(selection).score(METHOD)
    yield "minimal", cs.minimal(selection, selection.task, scores, TARGET), selection
    circuit = found(case.model, case.task, case.seed)
    yield "find", circuit, certified_on(selection, circuit)


def certified_on(selection: cs.Experiment, circuit: cs.Circuit) -> cs.Experiment:
    """The experiment on the prompts on which `find` has removed edges."""
    assert circuit.setup is not None
    prompts = PassPrompts(selection, 32)
    tried = [selection, *(prompts.for_elimination(n) for n, _ in ELIMINATIONS)]
    return next(each for each in tried if each.setup.prompts_sha256 == circuit.setup.prompts_sha256)


class PlainFaithfulness:
    """Faithfulness of circuits (U, V) by runs that share no code with the engine; each is measured once."""

    def __init__(self, experiment: cs.Experiment) -> None:
        model, task = experiment.described.model, experiment.task
        self.plain = Plain(model, task, corrupt_writes(model, task))
        self.clean = self.plain.each(logit_diff, self.plain.clean())
        self.known: dict[bytes, list[float]] = {}
        self.ablated = self.metric(torch.zeros_like(experiment.graph.mask))

    def metric(self, mask: torch.Tensor) -> list[float]:
        """On each prompt."""
        key = mask.numpy().tobytes()
        if key not in self.known:
            self.known[key] = self.plain.each(logit_diff, self.plain.circuit(mask))
        return self.known[key]

    def __call__(self, mask: torch.Tensor) -> float:
        return ratio(self.metric(mask), self.clean, self.ablated)


def confirmed(certificate: Certificate, circuit: cs.Circuit, plain: PlainFaithfulness) -> dict[str, Any]:
    """The certificate against plain runs: how many claims are wrong, and the largest difference of a faithfulness."""
    graph, masks = circuit.graph, [circuit.mask]
    for edge in certificate.without:
        masks.append(prune(graph, circuit.mask & ~graph.edge_mask([tuple(edge.split("->"))])))  # pyright: ignore[reportArgumentType]
    own, *without = map(plain, masks)
    claimed = [certificate.faithfulness, *certificate.without.values()]
    return {
        "kind": certificate.kind(len(circuit)),
        "claims": len(without),
        "wrong": sum(reaches(value, certificate.target) for value in without) + (not reaches(own, certificate.target)),
        "difference": max(abs(one - other) for one, other in zip([own, *without], claimed, strict=True)),
    }


def subsets(certificate: Certificate, circuit: cs.Circuit, experiment: cs.Experiment) -> dict[str, Any]:
    """All subsets, with the certificate's target."""
    began = time.process_time()
    result = cs.smallest_subset(experiment, experiment.task, circuit, certificate.target, runs=RUNS)
    smallest = None if result.smallest is None else len(result.smallest)
    return {
        "subset_minimal": bool(result.kind), "smallest": smallest, "bound": result.lower_bound, "complete": result.complete,
        "runs": result.runs, "total": result.total, "seconds": time.process_time() - began,
    }  # fmt: skip


def alike(circuit: cs.Circuit, scores: dict[str, cs.Scores]) -> dict[str, Any]:
    """Whether the strongest connected circuit of its size has the same edges, and what greedy and top have."""
    edges, n = set(circuit.edges), len(circuit)
    return {
        f"{name}, {way.__name__}": len(edges & set(way(each, n).edges)) / n
        for name, each in scores.items()
        for way in (cs.optimal, cs.greedy, cs.top)
    }


def measured(case: Case) -> Iterator[dict[str, Any]]:
    """A row for each circuit; one that is too large is only counted."""
    selection = planned(case.model, case.task, TARGET, METHOD, 0, None, {"seed": case.seed}).selection
    scores = {name: scored_on(selection).score(name) for name in SCORES}
    plain: dict[str, PlainFaithfulness] = {}
    for search, circuit, experiment in circuits(case):
        row: dict[str, Any] = {"case": case.name, "seed": case.seed, "search": search, "n_edges": len(circuit)}
        if circuit.certificate is not None and len(circuit) <= MOST:
            prompts = experiment.setup.prompts_sha256
            if prompts not in plain:
                plain[prompts] = PlainFaithfulness(experiment)
            row |= confirmed(circuit.certificate, circuit, plain[prompts])
            row |= subsets(circuit.certificate, circuit, experiment)
            row |= {"same": alike(circuit, scores), "n_prompts": len(experiment.task)}
        yield row


# ---- the table


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for planted models and for each task of pico, and by search."""
    yield "| circuits of | number, edges | claims, wrong | largest difference | local-minimal | subset-minimal | smaller subset | subsets run |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for group, some in grouped([row for row in rows if "kind" in row]):
        sizes = [row["n_edges"] for row in some]
        smaller = [
            f"{row['smallest']} of {row['n_edges']}" for row in some if row["smallest"] not in (None, row["n_edges"])
        ]
        cells = (
            group, f"{len(some)}, {min(sizes)}-{max(sizes)}", f"{sum(r['claims'] for r in some)}, {sum(r['wrong'] for r in some)}",
            f"{max(r['difference'] for r in some):.0e}", sum(r["kind"] == "local-minimal" for r in some),
            sum(r["subset_minimal"] for r in some), ", ".join(smaller), f"{sum(r['runs'] for r in some):,}",
        )  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""
    yield f"too large: {sum('kind' not in row for row in rows)} of {len(rows)}"
    yield f"not decided: {sum(not row.get('complete', True) for row in rows)}"
    yield ""
    yield "| scores | circuit of the same size | same edges | shared edges |"
    yield "|---|---|--:|--:|"
    same = [row["same"] for row in rows if "same" in row]
    for name in same[0]:
        shares = [each[name] for each in same]
        yield f"| {name.replace(', ', ' | ')} | {sum(share == 1 for share in shares)} of {len(shares)} | {fmean(shares):.0%} |"


def grouped(rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Planted models of one search together, and each task of pico by itself."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        case = row["case"] if row["case"].startswith("pico") else "planted models"
        groups.setdefault(f"{case}, {row['search']}", []).append(row)
    yield from sorted(groups.items(), key=lambda group: not group[0].startswith("planted"))


def main() -> None:
    """Measure circuits, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--task", action="append", default=[], choices=TASKS)
    parser.add_argument("--out", type=Path, default=Path("certificates"))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "circuits.jsonl"
    rows = read(file)
    if asked.table:
        print("\n".join(table(rows)))
        return
    known = {(row["case"], row["seed"]) for row in rows}
    for case in cases(asked.models, asked.task or TASKS):
        if (case.name, case.seed) not in known:
            new = list(measured(case))
            with file.open("a") as out:
                out.writelines(json.dumps(row) + "\n" for row in new)
            print(*(json.dumps(row) for row in new), sep="\n", flush=True)


if __name__ == "__main__":
    main()
