"""``circuitsearch convert`` and ``judge``: circuits of other programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from circuitsearch import figures, formats, search
from circuitsearch.circuit import Circuit
from circuitsearch.cli import say
from circuitsearch.cli.beside import results_beside
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError, shortened
from circuitsearch.experiment import Experiment
from circuitsearch.files import sha256_of, write_json, write_whole
from circuitsearch.formats import Foreign, Sign
from circuitsearch.loading import load
from circuitsearch.page import write_page
from circuitsearch.question import Question
from circuitsearch.registry import FORMATS
from circuitsearch.run import circuit_at, with_scores
from circuitsearch.run_files import FIGURES, PAGE, SOURCE, SUMMARY, run_caption, write_figure
from circuitsearch.summary import summary_of_foreign
from circuitsearch.validation import Report, behaviour, validate


@dataclass(frozen=True)
class Source:
    """Where a circuit is read from; ``model`` and ``sign`` say what the file does not."""

    path: Path
    model: str | None = None
    sign: str | None = None

    def __post_init__(self) -> None:
        if self.sign is not None:
            Sign.read(self.sign)  # raises, before anything is loaded

    def read(self, model: Any) -> Foreign:
        """The circuit and the scores; of a run's folder, the scores of all edges."""
        if not self.path.is_dir():
            return formats.read_circuit(self.path, model, sign=self.sign)
        circuit = with_scores(circuit_at(self.path), self.path)
        return Foreign("circuit", circuit.graph, circuit.mask, formats.scores_of(circuit), effects=circuit.effects)


STEPS = "report.steps"  # what an interrupted judgement found, until all is written


def convert(source: Source, out: Path, to: str | None, roles: Path | None, terminal: Terminal) -> None:
    """Write a circuit in another format; print what was assumed in reading it, and what the format cannot say."""
    chosen = _chosen(out, to)
    model = None if source.model is None else load(source.model)[0]
    if model is not None and chosen is not None and getattr(chosen, "d_model", 0) is None:
        chosen = replace(chosen, d_model=model.config.hidden_size)
    found = source.read(model)
    circuit = found.circuit if chosen is None else _with_all(found)
    if not out.absolute().parent.is_dir():
        raise InputError(f"the folder {out.parent} does not exist: make it, or choose another file")
    title = _title(circuit, source.path) if chosen is None else ""
    notes = (*found.notes, *formats.export(circuit, out, to=chosen, title=title, roles=roles))
    terminal.say("graph", f"{len(circuit)} of {circuit.graph.n_edges} edges in {out}")
    for note in notes:
        terminal.say("note", note)
    terminal.result({"out": str(out), "n_edges": len(circuit), "notes": list(notes)})


def _title(circuit: Circuit, path: Path) -> str:
    beside = results_beside(path)
    return figures.caption_for(circuit, beside.get("report"), model=beside.get("model"))


def _chosen(out: Path, to: str | None) -> Any:
    """The format that is named; None if the suffix says it. Checked before anything is loaded."""
    if to is not None:
        return FORMATS.read(to)
    formats.export_suffix(out)
    return None


def _with_all(found: Foreign) -> Circuit:
    """The circuit; if there is none, the scores with no edge chosen, for formats that hold both."""
    if found.mask is not None:
        return found.circuit
    return replace(found, mask=torch.zeros_like(found.graph.mask)).circuit


def judge(
    path: Path, question: Question, sign: str | None, edges: int | None, out: Path | None, terminal: Terminal
) -> None:
    """Test a circuit of another program, and write report, figures, page and where it came from to a folder."""
    question.check()
    source = Source(path, sign=sign)
    folder = _empty(out or Path("runs") / _name(path, question))
    model, tokenizer, task = question.load()
    experiment = Experiment.of(model, task, **question.settings)
    found = source.read(experiment)
    circuit = _cut(found, edges)
    say.describe_model(terminal, model, question)
    terminal.say("read", f"{found.form}, {len(circuit)} of {circuit.graph.n_edges} edges")
    for note in found.notes:
        terminal.say("note", note)
    say.behaviour(terminal, behaviour(experiment, task, tokenizer=tokenizer))
    folder.mkdir(parents=True, exist_ok=True)
    with terminal.progress("validating") as bar:
        report = validate(
            experiment, circuit, task, checks=question.checks_asked, checkpoint=folder / STEPS, progress=bar
        )
    source = _about(path, found, edges)
    _write(folder, circuit, report, source)
    text = summary_of_foreign(circuit, report, source, question.task_name, question.model_name)
    write_whole(folder / SUMMARY, lambda part: part.write_text(text, encoding="utf-8"))
    page = folder / PAGE
    write_page(experiment, circuit, task, page, tokenizer=tokenizer, report=report, name=question.model_name)
    (folder / STEPS).unlink(missing_ok=True)
    terminal.console.print(str(report))
    terminal.say("folder", f"{folder}/ ({SUMMARY}, report.json, circuit.json, {SOURCE}, {PAGE}, {', '.join(FIGURES)})")
    terminal.result(
        {"folder": str(folder), "notes": list(found.notes), "n_edges": len(circuit), "report": report.to_dict()}
    )


def _name(path: Path, question: Question) -> str:
    return f"judge-{path.stem}-{question.task_name}-{question.model_name}"


def _cut(found: Foreign, edges: int | None) -> Circuit:
    """The file's circuit, or the strongest edges by its scores."""
    if edges is None:
        return found.circuit
    if found.scores is None:
        raise InputError(f"the {found.form} has no scores to choose {edges} edges by: leave --edges out")
    return search.top(found.scores, edges)


def _empty(folder: Path) -> Path:
    """The folder, which is empty, or has what an interrupted judgement found and wrote."""
    if folder.exists() and not (folder.is_dir() and ((folder / STEPS).exists() or not any(folder.iterdir()))):
        raise InputError(f"{shortened(folder, 100)} exists and is not an empty folder: choose another with --out")
    return folder


def _about(path: Path, found: Foreign, edges: int | None) -> dict[str, Any]:
    """Where the circuit came from, and what was assumed."""
    digest = sha256_of(path) if path.is_file() else sha256_of(path / "circuit.json")
    return {"file": path.name, "sha256": digest, "format": found.form, "edges": edges, "notes": list(found.notes)}


def _write(folder: Path, circuit: Circuit, report: Report, source: dict[str, Any]) -> None:
    write_json(folder / SOURCE, source)
    write_whole(folder / "circuit.json", circuit.save)
    write_whole(folder / "report.json", report.save)
    for name in FIGURES:
        write_whole(folder / name, lambda part: write_figure(circuit, part))
    figures.write_caption(folder / FIGURES[0], run_caption(circuit, report))
