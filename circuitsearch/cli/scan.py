"""``circuitsearch scan``: everything about one prompt on one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitsearch import instruments
from circuitsearch.budget import load_in
from circuitsearch.cli.say import Narrator
from circuitsearch.cli.terminal import Terminal, printable
from circuitsearch.cli.view import show_page
from circuitsearch.errors import InputError, shortened
from circuitsearch.figures.viewer import scan_page
from circuitsearch.files import write_bytes
from circuitsearch.pipeline import find
from circuitsearch.question import OnePrompt, Question, of_a_path
from circuitsearch.run_files import FIGURES, PAGE

SCAN, CIRCUIT = "scan.html", "circuit"


@dataclass(frozen=True)
class Asked:
    """The prompt, its answer, and what its circuit needs: a counterfactual with the answer to that."""

    prompt: str
    answer: str | None
    corrupt: str | None
    wrong: str | None
    model: str
    device: str
    dtype: str | None
    memory: str | None = None

    def __post_init__(self) -> None:
        if (self.corrupt is not None or self.wrong is not None) and not (self.answer and self.corrupt):
            raise InputError("the circuit of a prompt needs --answer and --corrupt, and --wrong: give all of them")

    @property
    def question(self) -> Question | None:
        """The options of the search; None without a counterfactual."""
        if self.answer is None or self.corrupt is None:
            return None
        prompt = OnePrompt(clean=self.prompt, corrupt=self.corrupt, answer=self.answer, wrong=self.wrong)
        return Question(prompt=prompt, model=self.model, device=self.device, dtype=self.dtype, memory=self.memory)


def scan(asked: Asked, out: Path | None, opened: bool, terminal: Terminal) -> None:
    """Write the page of a prompt, and the circuit if there is a counterfactual, to a folder."""
    shown = Question(model=asked.model, device=asked.device, dtype=asked.dtype, memory=asked.memory)
    folder = out or Path("runs") / f"scan-{of_a_path(asked.prompt)}-{shown.model_name}"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give the name of a folder with --out")
    model, tokenizer = load_in(asked.memory, asked.model, asked.device, asked.dtype)
    if tokenizer is None:
        raise InputError(f"a scan needs a tokenizer, and the model folder {asked.model} has none")
    found = instruments.scan(model, asked.prompt, tokenizer, answer=asked.answer, memory=shown.working_bytes)
    terminal.table(printable(shortened(asked.prompt, 100)), *found.table())
    terminal.say("likeliest", ", ".join(f"{token!r} {share:.1%}" for token, share in found.likeliest))
    question, figure = asked.question, None
    if question is not None:
        figure = _circuit(question, model, tokenizer, folder / CIRCUIT, terminal)
    page = folder / SCAN
    folder.mkdir(parents=True, exist_ok=True)
    address = f"{CIRCUIT}/{PAGE}" if figure is not None else ""
    write_bytes(page, scan_page(found, shown.model_name, circuit=figure, page=address).encode())
    show_page(page, opened, terminal)
    terminal.result({"page": str(page), "scan": found.to_dict()})


def _circuit(question: Question, model: Any, tokenizer: Any, folder: Path, terminal: Terminal) -> bytes:
    """The figure of the circuit of a prompt and its counterfactual, whose run is kept in the folder."""
    listeners = [Narrator(terminal, question)]
    find(model, question.prompts(tokenizer), out=folder, tokenizer=tokenizer, listeners=listeners, **question.working)
    return (folder / FIGURES[0]).read_bytes()
