"""Circuits of other packages beside ours, on the same models and prompts, and all measured by this package.

    python -m benchmarks.peers.side_by_side prepare FOLDER            # models, and prompts as token ids: a folder a case
    FOLDER/auto-circuit/bin/python benchmarks/peers/side_by_side_auto_circuit.py FOLDER/*       # each package in its environment
    python -m benchmarks.peers.side_by_side ours FOLDER/*             # find and EAP-IG, likewise
    python -m benchmarks.peers.side_by_side judge FOLDER/*
    python -m benchmarks.peers.side_by_side report FOLDER/* > benchmarks/results/side_by_side.json
    python -m benchmarks.peers.side_by_side_table benchmarks/results/side_by_side.json

Cases are the bundled model on three tasks, models with a planted circuit, and, if ``prepare`` has its folder, a model of real size on ioi. Every method
has the same 64 prompts of one length (16 on the real model). A ranking gives the smallest circuit that reaches 0.9 on them, among the sizes that are
tried; of a method that gives circuits (ACDC, once a threshold), the smallest that does. Both are pruned, and measured on 64 prompts (32) of other names,
words and templates. A ranking of nodes is one of edges: an edge is as strong as the weaker of its nodes. Cost is processor time in plain forwards of the
same prompts, measured in the same process; for rankings without that of choosing the size, for ``find`` with everything.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

import circuitsearch as cs
from benchmarks.peers import side_by_side_shared as shared
from benchmarks.record import circumstances
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.metrics import logit_diff, prob_diff
from circuitsearch.models.planted import plant
from circuitsearch.reachability import prune
from circuitsearch.scores import Scores
from circuitsearch.search import smallest_prefix
from circuitsearch.validation.bootstrap import ratio
from circuitsearch.validation.checks.curve import SHARES, area_from_model, area_per_prompt, area_under, size_curve
from circuitsearch.validation.trial import Trial

N, DRAWN, TARGET, SEED = 64, 1024, 0.9, 0
TASKS = ("ioi", "greater_than", "induction")
PLANTED = {"induction": 0, "two-hop": 1, "ioi": 2, "or": 3, "and": 0, "vote": 0}  # motifs, and their seeds
REAL_N, REAL_HELD_OUT = 16, 32  # prompts of a model of real size, and others to measure on
METRICS = {"logit_diff": logit_diff, "prob_diff": prob_diff}


# ---- prepare


def prepare(folder: Path, real: Path | None) -> None:
    """Write all cases."""
    model, tokenizer = cs.load("pico")
    for name in TASKS:
        task = getattr(cs.tasks, name)(tokenizer, n=DRAWN, seed=SEED)
        write_case(folder / f"pico-{name}", model, task)
    for motif, seed in PLANTED.items():
        planted = plant(motif, seed, n=4 * N)
        truth = ["->".join(edge) for edge in planted.edges]
        write_case(folder / f"planted-{motif}", planted.model, planted.task, truth=truth)
    if real is not None:
        model, tokenizer = cs.load(real)
        task = cs.tasks.ioi(tokenizer, n=DRAWN, seed=SEED)
        write_case(folder / f"{real.name}-ioi", model, task, REAL_N, REAL_HELD_OUT)


def write_case(
    folder: Path, model: Any, task: cs.Task, n: int = N, held_out: int = N, truth: list[str] | None = None
) -> None:
    """The model, prompts of the length that most have, and what is known of the circuit."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder / "model")
    parts = task.split(0.5, seed=SEED)
    lengths = [Counter(len(ids) for ids in part.clean) for part in parts]
    length = max(lengths[0], key=lambda each: min(counts[each] for counts in lengths))
    written = {}
    for name, part, most in zip(("train", "held_out"), parts, (n, held_out), strict=True):
        rows = [row for row in map(row_of(part), range(len(part))) if len(row["clean_ids"]) == length]
        rows = list({json.dumps(row["clean_ids"] + row["corrupt_ids"]): row for row in rows}.values())[:most]
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        written[name] = rows
    about = {"metric": task.metric.__name__, "truth": truth, "task": task.name, "length": length, "prompts": n}
    about["value"] = shared.Case(folder, about["metric"], written["train"]).value_of(model)
    (folder / "case.json").write_text(json.dumps(about, indent=2) + "\n")
    keep_rotary_base(folder / "model" / "config.json")


def keep_rotary_base(config: Path) -> None:
    """Write the base of rotary embeddings where transformers 4 reads it, too; without it, it takes 10,000."""
    settings = json.loads(config.read_text())
    if "rope_parameters" in settings:
        base = settings["rope_parameters"]["rope_theta"]
        config.write_text(json.dumps(settings | {"rope_theta": base}, indent=2) + "\n")


def row_of(task: cs.Task) -> Any:
    """A function from a prompt's number to its row in a file."""
    columns = {"clean_ids": task.clean, "corrupt_ids": task.corrupt, "answer_id": task.answers, "wrong_id": task.wrong}
    return lambda row: {name: column[row].tolist() for name, column in columns.items()} | {"group": task.groups[row]}


# ---- judge


@dataclass(frozen=True)
class Judge:
    """A case with the experiments on both parts of its prompts."""

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """Metric, truth and length."""
        return json.loads((self.folder / "case.json").read_text())

    @cached_property
    def model(self) -> Any:
        """The Hugging Face model, described once."""
        return cs.load(self.folder / "model")[0]

    def task(self, part: str) -> cs.Task:
        """``"train"`` or ``"held_out"`` prompts."""
        return cs.Task.from_file(self.folder / f"{part}.jsonl", metric=METRICS[self.about["metric"]])

    @cached_property
    def train(self) -> cs.Experiment:
        """On the prompts that all methods have."""
        return cs.Experiment(self.model, self.task("train"))

    @cached_property
    def held_out(self) -> cs.Experiment:
        """On the others."""
        return self.train.on(self.task("held_out"))

    @property
    def graph(self) -> Graph:
        """Of the model."""
        return self.train.graph

    def found(self, file: Path) -> tuple[Scores | None, torch.Tensor | None]:
        """Scores of edges, or a circuit's mask (U, V), as the other package wrote it."""
        kind = json.loads(file.read_text())["kind"]
        content = file.with_suffix(".found.json")
        if kind == "nodes":
            return Scores(self.graph, of_nodes(self.graph, json.loads(content.read_text()))), None
        read = cs.read_circuit(content, self.graph, sign="supports")
        return (read.scores, None) if kind == "scores" else (None, prune(self.graph, read.circuit.mask))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every method's row."""
        files = sorted(file for file in (self.folder / "found").glob("*.json") if ".found" not in file.suffixes)
        first: dict[tuple[bytes, ...] | str, str] = {}
        for file in files:
            about = {"case": self.folder.name, "name": file.stem} | json.loads(file.read_text())
            alike = first.setdefault(self.edges_at_sizes(file, about["kind"]), file.stem)
            yield self.row(file, about) if alike == file.stem else about | {"same_edges_as": alike}

    def edges_at_sizes(self, file: Path, kind: str) -> tuple[bytes, ...] | str:
        """A ranking's strongest edges at MIB's sizes; of anything else, its name. Rankings that are alike are measured once."""
        scores = self.found(file)[0] if kind in ("scores", "nodes") else None
        if scores is None:
            return file.stem
        places = scores.ranking()
        sizes = (round(share * self.graph.n_edges) for share in SHARES)
        return tuple(self.graph.mask_at(places[:size]).numpy().tobytes() for size in sizes)

    def row(self, file: Path, about: dict[str, Any]) -> dict[str, Any]:
        """One method's: what it says of itself, its areas, and its circuit's measures."""
        if about["kind"] == "refused":
            return about
        scores, mask = self.found(file)
        if scores is not None:
            about |= self.areas(scores)
            try:
                mask = smallest_prefix(self.train, self.train.task, scores, TARGET).mask
            except cs.InputError as error:
                return about | {"error": str(error)}
        assert mask is not None
        return about | self.measures(mask)

    def areas(self, scores: Scores) -> dict[str, Any]:
        """Faithfulness at MIB's sizes on the held-out prompts, CPR and CMD."""
        trial = self.trial(cs.Circuit(self.graph, self.graph.mask, scores.values))
        ends = trial.faithfulness.clean, trial.faithfulness.ablated
        curve = size_curve(
            trial.circuit, trial.faithfulness, interval_of=lambda each: trial.interval(ratio, each, *ends)
        )
        areas = {"cpr": area_under(curve), "cmd": area_from_model(curve), "bounded_area": area_per_prompt(curve)}
        return {name: round(area, 4) for name, area in areas.items()} | {"sizes": [vars(point) for point in curve]}

    def trial(self, circuit: cs.Circuit) -> Trial:
        """Of a circuit on the held-out prompts."""
        return Trial(self.held_out, circuit, n_resamples=500)

    def measures(self, mask: torch.Tensor) -> dict[str, Any]:
        """A circuit's size, and faithfulness on the search's prompts and on held-out ones."""
        circuit = cs.Circuit(self.graph, mask)
        trial = self.trial(circuit)
        trained = Faithfulness(self.train).measured_alone(mask).value
        return {
            "edges": len(circuit),
            "edges_total": self.graph.n_edges,
            "train": round(trained, 4),
            "reaches": abs(1 - trained) <= 1 - TARGET,
            "held_out": vars(trial.of_means),
            "bounded": vars(trial.per_prompt),
            **against(self.about["truth"], circuit),
        }


def against(truth: list[str] | None, circuit: cs.Circuit) -> dict[str, float]:
    """Precision and recall of a circuit's edges beside the planted ones; nothing if they are not known."""
    if truth is None:
        return {}
    edges = {"->".join(edge) for edge in circuit.edges}
    right = len(edges & set(truth))
    return {"precision": right / max(len(edges), 1), "recall": right / len(truth)}


def of_nodes(graph: Graph, scores: dict[str, float]) -> torch.Tensor:
    """Edge scores (U, V) from scores of heads, or of whole layers of them, and of MLPs: that of the weaker end.

    Embedding and logits have none of their own.
    """

    def strength(name: str) -> float:
        node = name.split("<")[0]
        return scores.get(node, scores.get(node.split(".")[0], math.inf))

    writers = torch.tensor([strength(name) for name in graph.writers], dtype=torch.float64)
    readers = torch.tensor([strength(name) for name in graph.readers], dtype=torch.float64)
    largest = max(map(abs, scores.values()))
    weaker = torch.minimum(writers.abs()[:, None], readers.abs()[None]).clamp(max=2 * largest)
    return torch.where(graph.mask, weaker, torch.nan)


def judge(folder: Path) -> None:
    """Write every method's row beside the case, each as soon as it is known: on a large model one takes minutes."""
    rows = []
    for row in Judge(folder).rows():
        rows.append(row)
        (folder / "judged.json").write_text(json.dumps(rows, indent=2) + "\n")


# ---- ours


def ours(folder: Path) -> None:
    """``find`` with its defaults, and EAP-IG's scores, on the same rows."""
    judge, case = Judge(folder), shared.Case.load(folder)
    _ = judge.graph  # the model is described and verified, once, before the clock starts
    clock = shared.Clock(case.model(), case.clean)
    scores, cost = clock.cost(lambda: judge.train.score(cs.EAPIG(steps=5)))
    about = {"package": "circuitsearch", "versions": shared.versions("circuitsearch")}
    name, settings = "circuitsearch EAP-IG", {"steps": 5}
    shared.write(case, name, "scores", scores.to_dict(), method="EAP-IG", settings=settings, cost=cost, **about)
    finding, cost = clock.cost(lambda: cs.find(judge.model, judge.train.task, TARGET, listeners=[]))
    edges = ["->".join(edge) for edge in finding.circuit.edges]
    shared.write(case, "circuitsearch find", "circuit", edges, method="find", settings={}, cost=cost, **about)


def report(folders: list[Path], kept: Path | None) -> dict[str, Any]:
    """What ``judge`` found in every case, and of an earlier report what it did not do again."""
    earlier = [] if kept is None else json.loads(kept.read_text())["rows"]
    new = [row for folder in folders for row in json.loads((folder / "judged.json").read_text())]
    rows = list({(row["case"], row["name"]): row for row in earlier + new}.values())
    prompts = {"prompts": N, "held_out": N, "prompts_real": REAL_N, "held_out_real": REAL_HELD_OUT}
    setting = prompts | {"target": TARGET, "seed": SEED}
    return {"source": "benchmarks/peers/side_by_side.py", **circumstances(setting, "cpu", 1), "rows": rows}


def main() -> None:
    """Do the step that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("prepare", "ours", "judge", "report"))
    parser.add_argument("places", nargs="+", type=Path)
    parser.add_argument("--real", type=Path, help="prepare: folder of a Hugging Face model for one more case, on ioi")
    parser.add_argument(
        "--kept", type=Path, help="report: an earlier one, of which rows that were not done again are kept"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.step == "prepare":
        prepare(asked.places[0], asked.real)
    elif asked.step == "report":
        print(json.dumps(report(asked.places, asked.kept), indent=2))
    else:
        for folder in asked.places:
            ours(folder) if asked.step == "ours" else judge(folder)


if __name__ == "__main__":
    main()
