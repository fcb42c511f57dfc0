"""``circuitsearch find``: the whole way from a task to a circuit, its evidence and its figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.cli import say
from circuitsearch.cli.inputs import TRAIN_FRACTION, Question, Setting, device_named, granularity_from, setting
from circuitsearch.cli.page import page
from circuitsearch.cli.steps import Steps
from circuitsearch.cli.terminal import Terminal
from circuitsearch.cli.view import PAGE, page_evidence
from circuitsearch.engine.estimate import estimate
from circuitsearch.errors import InputError
from circuitsearch.figures import caption_for, draw
from circuitsearch.figures.viewer import draw_page
from circuitsearch.methods import Exact, Recheck, method_from
from circuitsearch.methods.recheck import edges_in_time
from circuitsearch.run import MANIFEST, Choices, Manifest, RunFolder
from circuitsearch.scores import Method, Rechecking, Scores, score
from circuitsearch.search import minimal
from circuitsearch.task import Task
from circuitsearch.validation import Report, behaviour, validate

FIGURES = ("circuit.svg", "circuit.pdf", "circuit.png", "circuit.dot")


def find(question: Question, out: Path | None, recheck: float, terminal: Terminal) -> None:
    """Find the circuit that a question asks for, and write its run folder.

    About ``recheck`` seconds go into exact effects of the strongest edges.
    """
    terminal.say("size", str(estimate(question.model, device_named(question.device), question.dtype)))
    asked = setting(question)
    out = out or Path("runs") / asked.name
    finding = _go(asked, out, recheck, terminal)
    terminal.result(finding.as_json())


def find_again(manifest: Path, out: Path | None, model: str | None, device: str | None, terminal: Terminal) -> None:
    """Find the circuit of an earlier run again, in a new folder, from its manifest alone.

    ``model`` says where the model lies now, ``device`` where to run.

    Raises
    ------
    InputError
        If the weights or the prompts are not those of the run.
    """
    earlier = Manifest.load(manifest)
    asked = setting(question_of(earlier.choices, model, device))
    _check_same_input(earlier.choices, asked.choices)
    out = out or manifest.resolve().parent.with_name(f"{manifest.resolve().parent.name}-again")
    finding = _go(asked, out, 0, terminal)
    say.comparison(terminal, manifest.with_name("circuit.json"), finding.circuit)
    terminal.result(finding.as_json())


@dataclass(frozen=True)
class Finding:
    """What a run came to."""

    asked: Setting
    scores: Scores
    circuit: Circuit
    report: Report
    folder: RunFolder

    def as_json(self) -> dict[str, Any]:
        """Everything that a script may want of it."""
        return say.as_json(self.asked, self.scores, self.circuit, self.report, self.folder.path)


def rechecking(asked: Setting, out: Path, seconds: float, terminal: Terminal) -> Setting:
    """Let the method's strongest edges be measured exactly, as many as fit into so many seconds.

    A run that goes on measures as many as it set out to.
    """
    if seconds == 0 or isinstance(asked.method, Rechecking | Exact):
        return asked
    before = _method_before(out)
    if isinstance(before, Recheck) and before.first == asked.method:
        method = before
    else:
        train, _ = asked.task.split(TRAIN_FRACTION, asked.question.seed)
        k = edges_in_time(asked.model, train, seconds, asked.ablation, asked.question.granularity)
        method = Recheck(asked.method, k)
    say.recheck(terminal, method.k, seconds)
    return replace(asked, method=method)


def _method_before(out: Path) -> Method | Rechecking | None:
    """The method of the run that ``out`` holds, if it holds one."""
    manifest = out / MANIFEST
    return method_from(Manifest.load(manifest).choices.method) if manifest.is_file() else None


def _go(asked: Setting, out: Path, recheck: float, terminal: Terminal) -> Finding:
    model, ablation = asked.model, asked.ablation
    granularity = asked.question.granularity
    measured = behaviour(model, asked.task, ablation=ablation, granularity=granularity)
    say.behaviour(terminal, asked, measured)
    measured.check()
    asked = rechecking(asked, out, recheck, terminal)
    choices = asked.choices
    folder = RunFolder.at(out, choices)
    train, held_out = asked.task.split(TRAIN_FRACTION, choices.seed)
    journal = folder.journal if isinstance(asked.method, Rechecking | Exact) else None

    with folder.open():
        steps = Steps(folder, terminal)
        scores = steps.take(
            "scores.safetensors",
            Scores,
            lambda bar: score(
                model,
                train,
                asked.method,
                granularity=granularity,
                ablation=ablation,
                journal=journal,
                progress=bar,
            ),
        )
        folder.journal.unlink(missing_ok=True)
        say.scores(terminal, scores, steps.took)

        circuit = steps.take(
            "circuit.json",
            Circuit,
            lambda bar: minimal(model, train, scores, choices.faithfulness, ablation=ablation, progress=bar),
        )
        circuit = replace(circuit, scores=scores.values)  # the file holds those of its own edges only
        say.circuit(terminal, circuit, steps.took)

        report = steps.take(
            "report.json",
            Report,
            lambda bar: validate(model, circuit, held_out, ablation=ablation, seed=choices.seed, progress=bar),
        )
        say.report(terminal, report, steps.took)

        caption = caption_for(circuit, report, model=asked.model_name, method=choices.method)
        for name in FIGURES:
            folder.write(name, lambda path: draw(circuit, path, report=report, caption=caption))
        _write_page(asked, folder, circuit, report, held_out)
        folder.write(
            "report.md", lambda path: path.write_text(page(choices, scores, circuit, report), encoding="utf-8")
        )

    say.edges(terminal, circuit)
    say.folder(terminal, folder.path)
    return Finding(asked, scores, circuit, report, folder)


def _write_page(asked: Setting, folder: RunFolder, circuit: Circuit, report: Report, held_out: Task) -> None:
    """The page to look around in, with what it takes a few more runs to say."""

    def draw(path: Path) -> None:
        found = page_evidence(asked.model, circuit, held_out, asked.tokenizer, asked.ablation)
        draw_page(circuit, path, report=report, evidence=found, model=asked.model_name, method=asked.choices.method)

    folder.write(PAGE, draw)


def question_of(choices: Choices, model: str | None, device: str | None) -> Question:
    """Ask again what an earlier run was asked."""
    return Question(
        task=choices.task_file or choices.task,
        model=model or choices.model,
        n=choices.n,
        seed=choices.seed,
        method=choices.method,
        ablation=choices.ablation,
        metric=choices.metric,
        faithfulness=choices.faithfulness,
        device=device or choices.device,
        dtype=choices.dtype,
        granularity=granularity_from(choices.granularity),
    )


def _check_same_input(earlier: Choices, now: Choices) -> None:
    for what, then, there in (
        (f"weights of {now.model}", earlier.weights_sha256, now.weights_sha256),
        (f"prompts of {now.task_file or now.task}", earlier.task_sha256, now.task_sha256),
    ):
        if then != there:
            raise InputError(
                f"the {what} are not those of the run in the {MANIFEST}: SHA-256 {there[:12]}... now, {then[:12]}... then"
            )
