"""The lines that ``find`` prints at each stage."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from circuitsearch.circuit import Circuit
from circuitsearch.cli.terminal import Terminal, memory_so_far
from circuitsearch.errors import counted
from circuitsearch.finding import Finding, Plan
from circuitsearch.names import ends_of
from circuitsearch.progress_bar import ProgressBar
from circuitsearch.question import Question
from circuitsearch.registry import METHODS
from circuitsearch.scores import Scores
from circuitsearch.summary import agreement, meaning, strongest
from circuitsearch.task import Task
from circuitsearch.validation import Behaviour, Report
from circuitsearch.validation.checks.kept import ABOVE

STRONGEST = 12  # edges in the table
SAID_ABOVE = ("metric", "faithfulness", "per_prompt", "minimality")  # measurements


class Narrator(ProgressBar):
    """Prints a line or two for each stage."""

    def __init__(self, terminal: Terminal, question: Question) -> None:
        super().__init__(disable=terminal.quiet)
        self.terminal, self.question, self.shared = terminal, question, False

    def running(self, plan: Plan):
        describe_model(self.terminal, plan.selection.model, self.question)
        self.shared = plan.stopping is plan.selection  # one set of prompts chooses edges and circuit
        note(self.terminal, plan.whole.task)
        if plan.held_out is plan.selection:
            why = "there is one prompt" if len(plan.whole.task) == 1 else "all prompts are of one group"
            self.terminal.say(
                "caution", f"no prompts are held out, since {why}: there will be no evidence on other prompts"
            )
        return super().running(plan)

    def started(self, stage: str) -> None:
        super().started(stage)
        self.terminal.detail(f"{stage} ...")
        if stage == ("minimal" if self.question.complete else "circuit") and self.question.starts:
            rankings = ", ".join((self.question.method, *self.question.starts))
            self.terminal.say("search", f"from each ranking in turn, {rankings}; the smallest circuit is kept")
        self.first: int | None = None  # pass that this process did

    def passed(self, circuit: Circuit) -> None:
        """Print a pass of the search."""
        history = circuit.history
        assert history is not None
        last = history.passes[-1]
        if self.first is None:
            self.first = last.number
        stopping = "" if self.shared else f", {last.stopping} on the stopping prompts"
        new = last.judged is not None and last.judged.together != last.judged.stopping
        others = f", {last.judged.together} on these and as many new ones" if last.judged is not None and new else ""
        self.terminal.say(
            f"pass {last.number}",
            f"{last.n_edges:,} edges, faithfulness {last.selection}{stopping}{others};"
            f" best {len(circuit):,} edges{self._left(last.number)}",
        )
        if history.ended:
            self.terminal.say("", f"{history.ended}: edges of the best circuit are tried by exact runs")

    def _left(self, number: int) -> str:
        """The time that the remaining passes take at most, from the time of those so far."""
        each = (time.monotonic() - self.began) / (number - (self.first or number) + 1)
        seconds = each * (self.question.refine.passes * (1 + len(self.question.starts)) - number)
        return f"; at most {seconds / 60:.0f} min left" if seconds > 60 else ""

    def finished(self, stage: str, result: Any, seconds: float | None) -> None:
        super().finished(stage, result, seconds)
        took = "read back" if seconds is None else f"{seconds:.1f} s"
        _SAID[stage](self.terminal, result, took)
        self.terminal.detail(f"{stage}: {took}, {memory_so_far()}")

    def conclude(self, finding: Finding) -> None:
        """Print the strongest edges, and where everything is."""
        circuit = finding.circuit
        rows = [(edge, f"{strength:+.4f}", meaning(strength)) for edge, strength in strongest(circuit, STRONGEST)]
        in_circuit = circuit.effects is not None
        self.terminal.table(
            TITLE_IN_CIRCUIT if in_circuit else TITLE, ("edge", "effect" if in_circuit else " score", ""), rows
        )
        files = "figure: circuit.svg, page: circuit.html, report: report.md, to run it again: manifest.json"
        self.terminal.say("folder", f"{finding.folder}/ ({files})")


TITLE = "strongest edges (how much the metric falls when ablated)"
TITLE_IN_CIRCUIT = "strongest edges (what each brings to the circuit's metric)"


def describe_model(terminal: Terminal, model: Any, question: Question) -> None:
    """The model's kind and size."""
    config, dtype = model.config, str(model.dtype).removeprefix("torch.")
    shape = f"{config.num_hidden_layers} layers of {config.num_attention_heads} heads, width {config.hidden_size}"
    terminal.say("model", f"{question.model_name} ({config.model_type}, {shape}), {dtype} on {model.device.type}")


def note(terminal: Terminal, task: Task) -> None:
    """Which rows of the task were left out or aligned, if any."""
    if task.note:
        terminal.say("caution", task.note)


def behaviour(terminal: Terminal, measured: Behaviour, took: str = "") -> None:
    """How well the model does the task."""
    terminal.say("task", f"{measured.task}, {counted(measured.n, 'pair')} of prompts")
    terminal.say(
        "behaviour",
        f"accuracy {measured.accuracy:.1%} (likeliest token right: {measured.top1:.1%}),"
        f" mean {measured.metric} {measured.clean:.3f}, with every edge ablated {measured.ablated:.3f}",
    )
    if measured.test is not None:
        terminal.say("", f"{measured.test}: {measured.test.verdict}")
    if measured.accuracy == 0 and (measured.test is None or measured.test.against_chance):
        terminal.say("", "the model never prefers a right answer to a wrong one: expect no circuit of the behaviour")
    if measured.note:
        terminal.say("", measured.note)


def scores(terminal: Terminal, scores: Scores, took: str) -> None:
    """How many edges were scored, and how."""
    count = int(scores.scored.sum())
    method = METHODS.text_in_words(scores.method)
    terminal.say("scores", f"{count} edges scored by {method} on {counted(scores.n, 'prompt')} ({took})")
    if scores.agreement is not None:
        terminal.say("", agreement(scores.agreement))


def circuit(terminal: Terminal, circuit: Circuit, took: str) -> None:
    """The circuit's size, and its faithfulness in the search; of a complete one, what was added."""
    if circuit.redundancy is None:
        searched(terminal, circuit, took)
        return
    terminal.say("complete", f"{_size(circuit)} ({took})")
    terminal.say("", circuit.redundancy.describe())


def _size(circuit: Circuit) -> str:
    share = len(circuit) / circuit.graph.n_edges
    return f"{len(circuit)} of {circuit.graph.n_edges} edges ({share:.1%}), {len(circuit.nodes)} nodes"


def searched(terminal: Terminal, circuit: Circuit, took: str) -> None:
    """The size of a circuit that the search found, and its faithfulness there."""
    text = _size(circuit)
    if circuit.history is not None:
        chose = counted(circuit.history.n_stopping, "prompt")
        text += f"; faithfulness {circuit.history.stopping} on the {chose} that chose it"
    terminal.say("circuit", f"{text} ({took})")
    if circuit.history is not None:
        terminal.say(
            "",
            f"the search ended because {circuit.history.ended}; cost: {circuit.history.forwards:.0f} forwards of the selection prompts",
        )
        if circuit.history.note:
            terminal.say("caution", circuit.history.note)
    if circuit.certificate is not None:
        terminal.say("", circuit.certificate.describe(len(circuit)))


def report(terminal: Terminal, report: Report, took: str) -> None:
    """Faithfulness with its interval, and a line for what each other check found."""
    value = report.faithfulness
    above = ", above 1: stronger than in the model itself" if value.value > ABOVE else ""
    terminal.say(
        "evidence", f"faithfulness {value}{above}, per prompt {report.per_prompt}, on {report.prompts} ({took})"
    )
    if report.quote:
        terminal.say("quote", report.quote)
    for caution in report.cautions:
        terminal.say("caution", caution)
    for each in report.measurements:
        for name, found in () if each.name in SAID_ABOVE else each.lines:
            terminal.say("", f"{name}: {found}")


_SAID = {"behaviour": behaviour, "scores": scores, "minimal": searched, "circuit": circuit, "report": report}


def finding_as_json(question: Question, finding: Finding) -> dict[str, Any]:
    """All results of a run, for scripts."""
    scores, circuit, content = finding.scores, finding.circuit, finding.report.to_dict()
    return {
        "folder": str(finding.folder),
        "model": question.model_name,
        "task": finding.report.task,
        "question": question.model_dump(),
        "n_edges": len(circuit),
        "n_edges_total": circuit.graph.n_edges,
        "agreement": None if scores.agreement is None else asdict(scores.agreement),
        "faithfulness": content["faithfulness"],
        "per_prompt": asdict(finding.report.per_prompt),
        "controls": finding.report.controls,
        "edges": [_edge_as_json(circuit, edge) for edge, _ in strongest(circuit)],
        "report": content,
    }


def _edge_as_json(circuit: Circuit, edge: str) -> dict[str, Any]:
    ends = ends_of(edge)
    return {"edge": edge, "score": circuit.score(*ends), "effect": circuit.effect(*ends)}
