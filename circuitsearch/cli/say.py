"""What ``find`` says at each step."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.cli.inputs import Setting
from circuitsearch.cli.terminal import Terminal
from circuitsearch.scores import Agreement, Scores
from circuitsearch.validation import Behaviour, Report

STRONGEST = 12  # edges in the table


def behaviour(terminal: Terminal, asked: Setting, measured: Behaviour) -> None:
    """The model, the task, and how well the one does the other."""
    config, dtype = asked.model.config, str(asked.model.dtype).removeprefix("torch.")
    shape = f"{config.num_hidden_layers} layers of {config.num_attention_heads} heads, width {config.hidden_size}"
    terminal.say("model", f"{asked.model_name} ({config.model_type}, {shape}), {dtype} on {asked.device}")
    terminal.say("task", f"{asked.task.name}, {measured.n} pairs of prompts, seed {asked.question.seed}")
    terminal.say(
        "behaviour",
        f"accuracy {measured.accuracy:.1%} (likeliest token right: {measured.top1:.1%}),"
        f" mean {measured.metric} {measured.clean:.3f}, with every edge cut {measured.ablated:.3f}",
    )


def scores(terminal: Terminal, scores: Scores, took: str) -> None:
    """How many edges were scored, and how."""
    count = int(scores.scored.sum())
    terminal.say(
        "scores", f"{count} edges scored by {scores.method} on {scores.n} prompts ({took}): scores.safetensors"
    )
    if scores.agreement is not None:
        terminal.say("", agreement(scores.agreement))


def recheck(terminal: Terminal, k: int, seconds: float) -> None:
    """How many edges will be measured, and why so many."""
    terminal.say(
        "recheck", f"the {k} strongest edges will be measured exactly: as many as fit into {seconds:g} s (--recheck)"
    )


def agreement(found: Agreement) -> str:
    """How well estimate and truth agree."""
    return (
        f"of the {found.n} strongest, measured exactly, the estimate has the right sign in {found.signs:.0%}"
        f" (rank correlation {found.spearman:.2f})"
    )


def circuit(terminal: Terminal, circuit: Circuit, took: str) -> None:
    """The circuit's size, and what the search knows of it."""
    share = len(circuit) / circuit.graph.n_edges
    text = f"{len(circuit)} of {circuit.graph.n_edges} edges ({share:.1%}), {len(circuit.nodes)} nodes"
    if circuit.certificate is not None:
        text += f"; faithfulness {circuit.certificate.faithfulness:.3f} on the prompts of the search, no edge can go"
    terminal.say("circuit", f"{text} ({took})")


def report(terminal: Terminal, report: Report, took: str) -> None:
    """Held-out faithfulness with its interval, beside random circuits of the same size."""
    value = report.faithfulness
    above = ", above 1: more strongly than the model itself" if value.value > 1 else ""
    terminal.say(
        "held out",
        f"faithfulness {value.value:.3f}, {report.confidence:.0%} interval {value.low:.3f} to {value.high:.3f}{above},"
        f" on {report.n} prompts ({took})",
    )
    if report.controls:
        mean, best = sum(report.controls) / len(report.controls), max(report.controls)
        count = len(report.controls)
        terminal.say("control", f"{count} random circuits of the same size: {mean:.3f} on average, {best:.3f} at best")
    terminal.say("", f"accuracy {report.model_accuracy:.1%} of the model, {report.circuit_accuracy:.1%} of the circuit")


def strongest(circuit: Circuit, count: int | None = None) -> list[tuple[str, float]]:
    """The circuit's edges with their scores, strongest magnitude first."""
    scored = [(f"{writer}->{reader}", circuit.score(writer, reader) or 0.0) for writer, reader in circuit.edges]
    return sorted(scored, key=lambda edge: -abs(edge[1]))[:count]


def meaning(score: float) -> str:
    """What a score's sign says."""
    return "supports" if score > 0 else "opposes" if score < 0 else "no effect"


def edges(terminal: Terminal, circuit: Circuit) -> None:
    """The table of the strongest edges."""
    rows = [(edge, f"{score:+.4f}", meaning(score)) for edge, score in strongest(circuit, STRONGEST)]
    terminal.table("strongest edges (how much the metric falls when cut)", ("edge", " score", ""), rows)


def folder(terminal: Terminal, path: Path) -> None:
    """Where everything lies."""
    terminal.say(
        "folder",
        f"{path}/ (figure: circuit.svg, page: circuit.html, report: report.md, to run it again: manifest.json)",
    )


def comparison(terminal: Terminal, earlier: Path, circuit: Circuit) -> None:
    """Whether the circuit is the earlier run's, if that still lies beside its manifest."""
    if earlier.is_file():
        same = Circuit.load(earlier).edges == circuit.edges
        terminal.say(
            "again", "the same circuit, edge for edge" if same else "NOT the same circuit as the earlier run's"
        )


def as_json(asked: Setting, scores: Scores, circuit: Circuit, report: Report, path: Path) -> dict[str, Any]:
    """Everything that a script may want of a finished run."""
    content = report.to_dict()
    return {
        "folder": str(path),
        "model": asked.model_name,
        "task": asked.task.name,
        "choices": asked.choices.model_dump(),
        "n_edges": len(circuit),
        "n_edges_total": circuit.graph.n_edges,
        "agreement": None if scores.agreement is None else asdict(scores.agreement),
        "faithfulness": asdict(report.faithfulness),
        "controls": content["controls"],
        "edges": [{"edge": edge, "score": score} for edge, score in strongest(circuit)],
        "report": content,
    }
