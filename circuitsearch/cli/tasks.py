"""The commands about tasks: their list, and a check of one on a model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from circuitsearch.cli.terminal import Terminal
from circuitsearch.metrics import metric_name
from circuitsearch.question import Question
from circuitsearch.registry import TASKS
from circuitsearch.task import Task
from circuitsearch.tasks.writer import Writer
from circuitsearch.text import token_text
from circuitsearch.validation import behaviour

N_PROMPTS = 64
SHOWN = 2  # prompts
REASONS = 4  # dropped words of a list that are shown


def tasks(terminal: Terminal) -> None:
    """List the tasks with their first line and their paper, from their docstrings."""
    rows = [(name, *_summary(inspect.getdoc(task) or "")) for name in TASKS.names() for task in [TASKS.load(name)]]
    terminal.table("tasks", ("task", "what it is", "paper"), rows)
    terminal.say(
        "", "A file of JSON lines with clean, corrupt, answer, wrong is also a task: circuitsearch find mine.jsonl"
    )
    terminal.say("", "So is a TOML file of templates and words (docs/tasks.md): circuitsearch find mine.toml")
    terminal.result([dict(zip(("task", "summary", "paper"), row, strict=True)) for row in rows])


def _summary(docstring: str) -> tuple[str, str]:
    """The first sentence, and the paper of the section References as its arXiv number, or else its first line."""
    first = docstring.partition("\n\n")[0].replace("\n", " ").rstrip(".")
    references = re.split(r"References\n-+\n", docstring)
    if len(references) == 1:
        return first, ""
    arxiv = re.search(r"arXiv:\s*\d{4}\.\d{4,5}", references[1])
    return first, arxiv[0] if arxiv else references[1].strip().partition("\n")[0]


def check(question: Question, terminal: Terminal) -> None:
    """Print which words the tokenizer leaves of a task, some prompts as tokens, and whether the model does it."""
    question.check()
    model, tokenizer, task = question.load()
    words = _words(task)
    if words:
        rows = [
            (name, str(each["kept"]), str(len(each["dropped"])), _reasons(each["dropped"]))
            for name, each in words.items()
        ]
        terminal.table(f"words of {task.name}", ("list", " kept", " dropped", "why"), rows)
    prompts = [_prompt(task, row, tokenizer) for row in range(min(SHOWN, len(task)))]
    for number, prompt in enumerate(prompts, 1):
        for label, text in _lines(prompt):
            terminal.say(f"{label} {number}" if label in ("clean", "corrupt") else label, text)
    found = behaviour(model, task, tokenizer=tokenizer, **question.settings)
    figures = {name: getattr(found, name) for name in ("accuracy", "top1", "clean", "ablated")}
    terminal.say("prompts", f"{len(task)}, {len(set(task.split_groups))} groups, {task.max_length} tokens at most")
    terminal.say("model", f"accuracy {found.accuracy:.1%}, likeliest token right {found.top1:.1%}")
    terminal.say("metric", f"{metric_name(task.metric)} {found.clean:.3g}, with every edge ablated {found.ablated:.3g}")
    terminal.say(
        "verdict", found.test.verdict if found.test and (found.does or not found.test.significant) else NOT_ABOVE
    )
    if found.note:
        terminal.say("note", found.note)
    shown = {"task": task.name, "model": question.model_name, "n": len(task), "does": found.does}
    terminal.result({**shown, **figures, "note": found.note, "words": words, "prompts": prompts})


NOT_ABOVE = "the model does not do the task: its metric is not above that with every edge ablated"


def _words(task: Task) -> dict[str, dict[str, Any]]:
    """For each list how many words are kept, and the others with the reason; for a task that chooses its words."""
    writer = task.writer
    if not isinstance(writer, Writer):
        return {}
    return {name: {"kept": len(use.kept), "dropped": dict(use.dropped)} for name, use in writer.words.items()}


def _reasons(dropped: dict[str, str]) -> str:
    shown = [f"{word} ({why})" for word, why in list(dropped.items())[:REASONS]]
    return ", ".join(shown) + (", ..." if len(dropped) > REASONS else "")


def _prompt(task: Task, row: int, tokenizer: Any) -> dict[str, Any]:
    """One pair of prompts as tokens, with spans and answers."""
    spans = dict(task.spans[row]) if task.spans else {}
    sides = {name: _tokens(getattr(task, name)[row], tokenizer) for name in ("clean", "corrupt", "answers", "wrong")}
    return {**sides, "spans": {name: list(places) for name, places in spans.items()}}


def _tokens(ids: Tensor, tokenizer: Any) -> list[str]:
    return [token_text(tokenizer, token) for token in ids.tolist()]


def _lines(prompt: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("clean", "corrupt"):
        yield name, "|".join(prompt[name]).replace("\n", "\\n")
    yield "spans", ", ".join(f"{name} {_places(places, prompt['clean'])}" for name, places in prompt["spans"].items())
    yield "answers", f"{_some(prompt['answers'])}; wrong {_some(prompt['wrong'])}"


def _places(places: Sequence[int], tokens: Sequence[str]) -> str:
    where = f"{places[0]}" if len(places) == 1 else f"{places[0]}-{places[-1]}"
    return f"{where} {''.join(tokens[place] for place in places).strip()!r}"


def _some(tokens: Sequence[str]) -> str:
    return ", ".join(map(repr, tokens[:6])) + (f", ... ({len(tokens)})" if len(tokens) > 6 else "")
