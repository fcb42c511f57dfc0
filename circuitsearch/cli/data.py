"""``circuitsearch data check``: what a model makes of a file's rows, and what to change in them."""

from __future__ import annotations

from dataclasses import asdict

from circuitsearch.cli.terminal import Terminal, printable
from circuitsearch.data_check import check_data
from circuitsearch.errors import InputError
from circuitsearch.question import Question


def check(question: Question, n: int, terminal: Terminal) -> None:
    """Print the check of a file."""
    question.check()
    if question.task_file is None:
        raise InputError(
            f"data check takes a file, and {question.task!r} is a built-in task: give the file of your prompts"
        )
    model, tokenizer = question.load_model()
    reading = question.reading
    found = check_data(
        question.task_file, model, tokenizer, n=n, metric=question.metric_asked, columns=reading.named,
        corrupt_file=reading.corrupt_file, chat=reading.chat, align=question.align_asked,
    )  # fmt: skip
    terminal.console.print(printable(str(found)))
    terminal.result(asdict(found))
