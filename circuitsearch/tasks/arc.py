"""Science questions with lettered choices, in the form of ARC; the user's from a file, or some of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from circuitsearch.errors import InputError, shortened
from circuitsearch.example import Example
from circuitsearch.files import Malformed, parse_json, read_text
from circuitsearch.task import Task

from .pools import Pool, Pools, WordUse, deal, not_single
from .writer import Writer

OWN = Path(__file__).parent / "questions.jsonl"
TEMPLATES = [
    "Question: {question}\n{choices}\nAnswer:",
    "{question}\n{choices}\nThe answer is",
    "Science question: {question}\n{choices}\nCorrect answer:",
    "Q: {question}\n{choices}\nA:",
]


class Choices(BaseModel):
    """Texts and labels in two lists, as on the Hugging Face hub."""

    text: list[str]
    label: list[str]

    @property
    def by_label(self) -> dict[str, str]:
        return dict(zip(self.label, self.text, strict=False))


class Choice(BaseModel):
    """One choice, as in ARC's own files."""

    text: str
    label: str


class Stem(BaseModel):
    """Question and choices, as in ARC's own files."""

    stem: str
    choices: list[Choice]


class Row(BaseModel):
    """One question."""

    model_config = ConfigDict(frozen=True)
    question: str | Stem
    choices: Choices | None = None
    answer: str = Field(alias="answerKey")


@dataclass(frozen=True)
class Question:
    """A question, the right choice and the others."""

    text: str
    right: str
    others: tuple[str, ...]


def arc(tokenizer: Any, n: int = 256, seed: int = 0, file: str = "") -> Task:
    """Science questions of four choices, answered with the letter of the right one.

    The questions are some of our own, or those of ``file``: JSON lines as ARC has them (``question`` with ``stem`` and
    ``choices``, ``answerKey``), or as the Hugging Face hub has them (``question``, ``choices`` with ``text`` and ``label``,
    ``answerKey``). Choices come in random order with letters from A on. A question belongs to one group.

    Counterfactual: other letters for the same choices (MIB's symbol counterfactual). Wrong are the other letters of the clean
    prompt. Span: ``END``.

    References
    ----------
    Clark et al., Think you have Solved Question Answering? Try ARC, 2018, arXiv:1803.05457; counterfactual: Mueller et al., MIB,
    2025, arXiv:2504.13151.
    """
    return writer(tokenizer, file).draw_by_group(n, seed)


def writer(tokenizer: Any, file: str = "") -> Writer:
    """The writer of the task."""
    questions = {question.text: question for question in read_questions(Path(file) if file else OWN)}
    letters = [letter for letter in ascii_uppercase if letter not in not_single(ascii_uppercase, tokenizer)]
    most = max(len(question.others) + 1 for question in questions.values())
    if len(letters) < 2 * most:
        raise InputError(
            f"task arc: only {len(letters)} letters are single tokens in this tokenizer, and it needs {2 * most}: use another"
            " tokenizer"
        )
    pools = [Pool("questions", "questions", list(questions)), Pool("templates", "templates", TEMPLATES)]
    words = {"letters": WordUse(tuple(letters), not_single(ascii_uppercase, tokenizer))}
    return Writer("arc", partial(write, questions, letters), deal(pools), tokenizer, words=words)


def write(questions: dict[str, Question], letters: Sequence[str], random: Random, pools: Pools) -> Example:
    """One question with its choices in random order, and the same with other letters."""
    template, question = random.choice(pools["templates"]), questions[random.choice(pools["questions"])]
    choices = [question.right, *question.others]
    order = random.sample(choices, len(choices))
    own, others = letters[: len(order)], random.sample(letters[len(order) :], len(order))
    clean, corrupt = (template.format(question=question.text, choices=_listed(each, order)) for each in (own, others))
    right = own[order.index(question.right)]
    wrong = tuple(f" {letter}" for letter in own if letter != right)
    factors = {"questions": (question.text,), "templates": (template,)}
    return Example(clean, corrupt, (f" {right}",), wrong, factors=factors)


def _listed(letters: Sequence[str], choices: Sequence[str]) -> str:
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True))


def read_questions(path: Path) -> list[Question]:
    """The questions of a file.

    Raises
    ------
    InputError
        If it cannot be read, has too few questions, or a row is no question; the sentence names the line.
    """
    lines = [(n, line) for n, line in enumerate(read_text(path, "a file of questions").splitlines(), 1) if line.strip()]
    questions = {question.text: question for question in (_question(path, *each) for each in lines)}
    if len(questions) < len(TEMPLATES):
        raise InputError(
            f"{shortened(path, 100)} has {len(questions)} different questions: give {len(TEMPLATES)} or more"
        )
    return list(questions.values())


def _question(path: Path, number: int, line: str) -> Question:
    place = f"{shortened(path, 100)}, line {number}"
    try:
        row = parse_json(line, Row)
    except Malformed as error:
        raise InputError(f"{place}: {error}: a row needs question, choices and answerKey, as in ARC") from None
    stem = row.question
    text = stem if isinstance(stem, str) else stem.stem
    given = row.choices.by_label if row.choices else {}
    choices = given if isinstance(stem, str) else {choice.label: choice.text for choice in stem.choices}
    if row.answer not in choices or len(set(choices.values())) < max(2, len(choices)):
        raise InputError(f"{place}: the answerKey {row.answer!r} must be one of two or more different choices")
    right = choices.pop(row.answer)
    return Question(text.strip(), right, tuple(choices.values()))
