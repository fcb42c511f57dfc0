"""The command that lists tasks."""

from __future__ import annotations

import inspect
import re

from circuitsearch.cli.terminal import Terminal
from circuitsearch.registry import TASKS


def tasks(terminal: Terminal) -> None:
    """List the tasks with their first line and their paper, from their docstrings."""
    rows = [(name, *_summary(inspect.getdoc(task) or "")) for name in TASKS.names() for task in [TASKS.load(name)]]
    terminal.table("tasks", ("task", "what it is", "paper"), rows)
    terminal.say(
        "", "A file of JSON lines with clean, corrupt, answer, wrong is also a task: circuitsearch find mine.jsonl"
    )
    terminal.result([dict(zip(("task", "summary", "paper"), row, strict=True)) for row in rows])


def _summary(docstring: str) -> tuple[str, str]:
    """The first sentence, and the paper of the section References as its arXiv number, or else its first line."""
    first = docstring.partition("\n\n")[0].replace("\n", " ").rstrip(".")
    references = re.split(r"References\n-+\n", docstring)
    if len(references) == 1:
        return first, ""
    arxiv = re.search(r"arXiv:\s*\d{4}\.\d{4,5}", references[1])
    return first, arxiv[0] if arxiv else references[1].strip().partition("\n")[0]
