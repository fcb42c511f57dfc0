"""The readers of files: for each a whole file, the share of the cases, and what is done with what is read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import circuitsearch as cs
from circuitsearch.circuit import Certificate, Circuit
from circuitsearch.figures import caption_for
from circuitsearch.graph import Graph
from circuitsearch.instruments.lens import TunedLens
from circuitsearch.journal import Journal
from circuitsearch.library import Library
from circuitsearch.registry import ABLATIONS, METHODS
from circuitsearch.roles import roles_of
from circuitsearch.run import Manifest
from circuitsearch.scores import Agreement, Scores
from circuitsearch.validation import Behaviour, Interval, Report
from circuitsearch.validation.checks import AccuracyKept

from .made import copied, made

GRAPHS = (
    Graph(2, 4, 2),
    Graph(2, 2, 2, blocks=("mixer>mlp", "heads+mlp"), granularity=cs.Granularity(merged_heads=True)),
    Graph(1, 2, 2, granularity=cs.Granularity(spans=("IO", "END"))),
)
FOREIGN = (Graph(2, 4, 2), Graph(3, 2, 2, parallel=True))
NEURONPEDIA = "neuronpedia(scan='gpt2-small', tokens=('a', ' b'), answer=' c', probability=0.5)"
ABOUT = {"metric": "logit_diff", "weights": "0" * 64}


@dataclass(frozen=True)
class Reader:
    """A kind of file: ``write`` makes whole ones in a folder, ``read`` reads one and uses what it gives."""

    name: str
    form: str
    share: float
    write: Callable[[Path], list[Path]]
    read: Callable[[Path], object]


def _circuits(folder: Path) -> list[Path]:
    made_up = [_circuit(folder / f"circuit-{index}.json", graph) for index, graph in enumerate(GRAPHS)]
    return [*made_up, copied("circuit.json", folder)]


def _circuit(path: Path, graph: Graph) -> Path:
    torch.manual_seed(0)
    scores = torch.randn(graph.mask.shape, dtype=torch.float64)
    mask = graph.mask & (scores > 0.8)
    mask[:, -1] |= graph.mask[:, -1] & (scores[:, -1] > 0)
    scores[0, -1] = math.nan
    without = {f"{writer}->{reader}": 0.5 for writer, reader in graph.edges(mask)}
    Circuit(graph, mask, scores, Certificate(0.9, 0.95, without)).save(path)
    return path


def _use_circuit(path: Path) -> object:
    circuit = Circuit.load(path)
    circuit.save(path)
    return circuit.nodes, circuit.pruned(), str(circuit), Circuit.load(path).strongest(3).edges


def _report(folder: Path) -> list[Path]:
    found, unknown = Report.load(copied("report.json", folder)), Interval(math.nan, math.nan, math.nan)
    replace(found.adding(AccuracyKept().found(unknown)), setup=None).save(folder / "report-2.json")
    return [folder / "report.json", folder / "report-2.json"]


def _use_report(path: Path) -> object:
    report = Report.load(path)
    report.save(path)
    return str(report), caption_for(Circuit.from_edges(Graph(1, 1, 1), []), report), Report.load(path)


def _scores(folder: Path) -> list[Path]:
    files = []
    for index, graph in enumerate(GRAPHS):
        values = torch.randn(graph.mask.shape, dtype=torch.float64) * graph.mask
        found = Scores(graph, values, None, values, Agreement(3, math.nan, 1.0))
        files.append(folder / f"scores-{index}.safetensors")
        found.save(files[-1])
    return [*files, copied("scores.safetensors", folder)]


def _use_scores(path: Path) -> object:
    scores = Scores.load(path)
    scores.save(path)
    rebuilt = None if scores.setup is None else ABLATIONS.rebuild(scores.setup.ablation)
    return str(scores), scores.top(3), scores.to_dict(), Scores.load(path).rankings(), rebuilt


def _use_manifest(path: Path) -> object:
    manifest = Manifest.load(path)
    method = None if manifest.setup.method is None else METHODS.rebuild(manifest.setup.method)
    return manifest.differences(manifest), manifest.model_dump_json(), str(manifest.setup.method), method


def _use_behaviour(path: Path) -> object:
    return str(Behaviour.load(path))


def _roles(folder: Path) -> list[Path]:
    (folder / "roles.json").write_text(json.dumps({"a0.h0": "previous token", "1.1": ["induction"], "m0": "x"}))
    return [folder / "roles.json"]


def _use_roles(path: Path) -> object:
    return roles_of(Circuit.from_edges(Graph(2, 4, 4), [("embed", "logits")]), path)


def _lens(folder: Path) -> list[Path]:
    TunedLens(torch.randn(2, 4, 4), torch.randn(2, 4)).save(folder / "lens.safetensors")
    return [folder / "lens.safetensors"]


def _use_lens(path: Path) -> object:
    return TunedLens.load(path)(0, torch.randn(3, 4)) if TunedLens.load(path).weight.shape[1:] == (4, 4) else None


def _journal(folder: Path) -> list[Path]:
    journal = Journal(folder / "scores.journal", ABOUT)
    for key in ("a0.h0->logits", "a0.h1->logits"):
        journal.once(key, [0, 1, 2], lambda: [[0.1, 0.2], [0.3, -0.4], [1e-17, 5.0]])
    return [folder / "scores.journal"]


def _use_journal(path: Path) -> object:
    return Journal(path, ABOUT).once("a0.h0->logits", [0, 2], lambda: [[0.0], [0.0]])


def _ids(folder: Path) -> list[Path]:
    row = {
        "clean_ids": [1, 2, 3],
        "corrupt_ids": [1, 4, 3],
        "answer_id": 5,
        "wrong_id": [6, 7],
        "spans": {"S": [1]},
        "group": "a",
    }
    rows = [row, row | {"clean_ids": [2, 2, 3]}]
    (folder / "ids.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return [folder / "ids.jsonl"]


def _texts(folder: Path) -> list[Path]:
    rows = (PROMPTS, PROMPTS | {"note": "é"})
    (folder / "texts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return [folder / "texts.jsonl"]


CLEAN = "Then, Mary and John went to the store, and John gave a book to"
PROMPTS = {"clean": CLEAN, "corrupt": CLEAN.replace("John gave", "Mary gave"), "answer": " Mary", "wrong": " John"}


def _table(*rows: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _tables(folder: Path) -> list[Path]:
    """Of texts, of token ids beside texts, and of printed lists."""
    ids = {
        "": "0",
        "clean": PROMPTS["clean"],
        "corrupted": PROMPTS["corrupt"],
        "correct_idx": "7",
        "incorrect_idx": "8",
    }
    printed = {"clean": "[1, 2, 3]", "corrupted": "[1, 4, 3]", "label": "5", "incorrect_label": "6"}
    optional = PROMPTS | {"group": "a", "position": "14", "spans": "{'S': [1]}", "answer": "[' Mary', ' Anna']"}
    for name, row in {"texts": PROMPTS, "ids": ids, "printed": printed, "optional": optional}.items():
        (folder / f"{name}.csv").write_text(_table(row, row), newline="")
    return sorted(folder.glob("*.csv"))


def _gzipped(folder: Path) -> list[Path]:
    (folder / "texts.csv.gz").write_bytes(gzip.compress(_table(PROMPTS, PROMPTS).encode()))
    return [folder / "texts.csv.gz"]


def _nested(folder: Path) -> list[Path]:
    """Objects of prompts, and rows with what is needed inside of columns."""
    prompt = {
        "clean": PROMPTS["clean"],
        "corrupt": PROMPTS["corrupt"],
        "answers": [" Mary"],
        "wrong_answers": [" John"],
    }
    (folder / "prompts.json").write_text(json.dumps({"prompts": [prompt, prompt]}))
    inside = {"prompt": PROMPTS["corrupt"]}
    ioi = {
        "prompt": CLEAN,
        "metadata": {"indirect_object": "Mary", "subject": "John"},
        "s2_io_flip_counterfactual": inside,
    }
    choices = {"label": [" Mary", " John"]}
    question = {"prompt": CLEAN, "choices": choices, "answerKey": 0}
    question["symbol_counterfactual"] = inside | {"choices": choices, "answerKey": 1}
    total = {"prompt": CLEAN, "label": " Mary", "random_counterfactual": inside | {"label": " John"}}
    for name, row in {"ioi": ioi, "question": question, "total": total}.items():
        (folder / f"{name}.json").write_text(json.dumps([row, row]))
    return sorted(folder.glob("*.json"))


def _parquet(folder: Path) -> list[Path]:
    from importlib import import_module

    rows = {name: [value] * 3 for name, value in PROMPTS.items()} | {"answer": [[" Mary"]] * 3}
    import_module("pyarrow.parquet").write_table(import_module("pyarrow").table(rows), folder / "texts.parquet")
    return [folder / "texts.parquet"]


def _use_ids(path: Path) -> object:
    task = cs.Task.from_file(path)
    return task.digest(), str(task), len(task)


def _use_texts(path: Path) -> object:
    return cs.Task.from_file(path, _tokenizer())


@cache
def _tokenizer() -> Any:
    return cs.load("pico")[1]


def _in_model(name: str) -> Callable[[Path], list[Path]]:
    return lambda folder: [Path(shutil.copytree(made()["tiny"], folder, dirs_exist_ok=True)) / name]


def _use_model(path: Path) -> object:
    return cs.load(path.parent)


def _library(folder: Path) -> list[Path]:
    library = Library(folder / "library.db")
    for index, graph in enumerate(GRAPHS[:2]):
        file = _circuit(folder / "made.json", graph)
        library.add(file, model=f"model {index}", task="ioi", roles={"m0": "first"})
    file.unlink()
    return [library.path]


def _use_library(path: Path) -> object:
    """Everything is asked for, and one circuit more is added."""
    library, page = Library(path), path.with_suffix(".html")
    found = library.search("ioi", role="first"), library.search(head="a0.h0"), library.search(edge="embed->logits")
    whole = [library.circuit(entry.id) for entry in library.entries()]
    added = _circuit(path.with_suffix(".json"), FOREIGN[1])
    try:
        library.add(added, model="another")
        library.write_page(page)
        compared = library.compare(model="model 0").to_dict()
    finally:
        added.unlink()
        page.unlink(missing_ok=True)
    return str(found), whole, compared


def _foreign(name: str, to: str) -> Callable[[Path], list[Path]]:
    """Files of another program's format, of the graphs that it knows."""

    def write(folder: Path) -> list[Path]:
        files = [folder / f"{index}-{name}" for index in range(2)]
        for file, graph in zip(files, FOREIGN, strict=True):
            cs.export(Circuit.load(_circuit(folder / "made.json", graph)), file, to=to)
        (folder / "made.json").unlink()
        return files

    return write


def _use_foreign(path: Path) -> object:
    """What is read, without its model and with it, is written again."""
    model = FOREIGN[int(path.name[0])]
    for given in (None, model) if not path.name.endswith("edges.json") else (model,):
        found = cs.read_circuit(path, given, sign="supports")
        if found.mask is not None:
            cs.export(
                found.circuit, path.with_suffix(".json" if path.suffix != ".pt" else ".pt"), to="eap-ig(d_model=8)"
            )
    return str(found), found.notes


def _use_attribution(path: Path) -> object:
    problems = cs.attribution_problems(path)
    return problems, cs.read_circuit(path).circuit.edges


READERS = {
    reader.name: reader
    for reader in (
        Reader("circuit.json", "json", 0.14, _circuits, _use_circuit),
        Reader("report.json", "json", 0.06, _report, _use_report),
        Reader("manifest.json", "json", 0.06, lambda folder: [copied("manifest.json", folder)], _use_manifest),
        Reader("behaviour.json", "json", 0.04, lambda folder: [copied("behaviour.json", folder)], _use_behaviour),
        Reader("scores.safetensors", "safetensors", 0.1, _scores, _use_scores),
        Reader("scores.journal", "journal", 0.06, _journal, _use_journal),
        Reader("roles", "json", 0.06, _roles, _use_roles),
        Reader("tuned lens", "safetensors", 0.06, _lens, _use_lens),
        Reader("task of ids", "lines", 0.08, _ids, _use_ids),
        Reader("task of texts", "lines", 0.08, _texts, _use_texts),
        Reader("EAP-IG json", "json", 0.06, _foreign("eap.json", "eap-ig(d_model=8)"), _use_foreign),
        Reader("EAP-IG pt", "torch", 0.06, _foreign("eap.pt", "eap-ig(d_model=8)"), _use_foreign),
        Reader("edges.json", "json", 0.06, _foreign("edges.json", "edge-pruning"), _use_foreign),
        Reader("attribution graph", "json", 0.06, _foreign("graph.json", NEURONPEDIA), _use_attribution),
        Reader("task as a table", "table", 0.04, _tables, _use_texts),
        Reader("task in gzip", "gzip", 0.01, _gzipped, _use_texts),
        Reader("task of others' JSON", "json", 0.02, _nested, _use_texts),
        *([Reader("task in Parquet", "bytes", 0.01, _parquet, _use_texts)] if find_spec("pyarrow") else []),
        Reader("library", "bytes", 0.02, _library, _use_library),
        Reader("config.json", "json", 0.02, _in_model("config.json"), _use_model),
        Reader("weights' index", "json", 0.02, _in_model("model.safetensors.index.json"), _use_model),
    )
}
