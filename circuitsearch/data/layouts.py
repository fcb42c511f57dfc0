"""Layouts: which columns of other people's files are the clean and the corrupt prompt, the right and the wrong answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from circuitsearch.metrics import Metric, logit_diff, prob_diff

Fields = Mapping[str, Any]


class Value(Protocol):
    """Where a layout has a value: gives it for a row; ``columns`` are those that it needs."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, row: Fields) -> Any: ...


@dataclass(frozen=True)
class At:
    """A column, or a key inside of one: ``metadata.subject``. None where a row lacks it."""

    path: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.path.partition(".")[0],)

    def __call__(self, row: Fields) -> Any:
        if self.path in row:
            return row[self.path]
        value: Any = row
        for key in self.path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True)
class Word(At):
    """A word, with the space before it that its file leaves out."""

    def __call__(self, row: Fields) -> Any:
        word = super().__call__(row)
        return f" {word}" if isinstance(word, str) else word


@dataclass(frozen=True)
class Option:
    """The label of the answer among the options of a question: ``choices.label[answerKey]``."""

    inside: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.inside.rstrip("."),) if self.inside else ("choices", "answerKey")

    def __call__(self, row: Fields) -> Any:
        labels, key = (At(self.inside + path)(row) for path in ("choices.label", "answerKey"))
        right = isinstance(labels, list) and type(key) is int and 0 <= key < len(labels)
        return labels[key] if right else None


@dataclass(frozen=True)
class Years:
    """The two digits above those in a column, or those up to them: ``("33", ..., "99")`` above 32."""

    column: str
    above: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, row: Fields) -> Any:
        digits = str(row.get(self.column)).strip().removesuffix(".0")
        if not digits.isdecimal() or int(digits) > 99:
            return None
        split = int(digits) + 1
        return [f"{year:02d}" for year in (range(split, 100) if self.above else range(split))]


@dataclass(frozen=True)
class Layout:
    """The layout of a file.

    Attributes
    ----------
    name : str
        Whose it is, as it is shown.
    fields : mapping
        Where each of ``clean, corrupt, answer, wrong`` (or ``clean_ids`` ...) is.
    metric : callable
        The metric that belongs to such rows.
    alone : bool
        Whether answers are tokenised by themselves, not together with the prompt.
    own : bool
        Whether it is this package's: all its keys are read, and a misspelt one is refused.
    forced : bool
        Whether there are no wrong answers, and the right one, of any number of tokens, is teacher-forced.
    columns : frozenset
        The columns that the layout needs.
    """

    name: str
    fields: Mapping[str, Value]
    metric: Metric = logit_diff
    alone: bool = False
    own: bool = False
    forced: bool = False
    columns: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        needed = (name for value in self.fields.values() for name in value.columns)
        object.__setattr__(self, "columns", frozenset(needed))

    def read(self, row: Fields) -> dict[str, Any]:
        """The values of a row under our names; those that it lacks are left out."""
        found = {name: value(row) for name, value in self.fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def _layout(name: str, clean: Any, corrupt: Any, answer: Any, wrong: Any, **others: Any) -> Layout:
    given = {"clean": clean, "corrupt": corrupt, "answer": answer, "wrong": wrong}
    return Layout(name, {key: At(value) if isinstance(value, str) else value for key, value in given.items()}, **others)


def _ids(name: str, clean: str, corrupt: str, answer: str, wrong: str, **others: Any) -> Layout:
    """A layout of texts with the answers' token ids."""
    paths = {"clean": clean, "corrupt": corrupt, "answer_id": answer, "wrong_id": wrong}
    return Layout(name, {key: At(path) for key, path in paths.items()}, **others)


_GREATER = {"metric": prob_diff, "alone": True}

OWN = (
    Layout(
        "token ids",
        {name: At(name) for name in ("clean_ids", "corrupt_ids", "answer_id", "wrong_id")},
        own=True,
    ),
    _layout("clean, corrupt, answer, wrong", "clean", "corrupt", "answer", "wrong", own=True),
)

# In the order in which they are tried.
LAYOUTS = (
    _layout("auto-circuit's prompts", "clean", "corrupt", "answers", "wrong_answers"),
    _ids("EAP-IG's columns", "clean", "corrupted", "correct_idx", "incorrect_idx"),
    _ids("EAP-IG's gender bias", "clean", "corrupted", "clean_answer_idx", "corrupted_answer_idx"),
    _ids("EAP-IG's country facts", "clean", "corrupted", "country_idx", "corrupted_country_idx"),
    _ids("EAP-IG's hypernymy", "clean", "corrupted", "answers_idx", "corrupted_answers_idx", metric=prob_diff),
    _layout("feature-circuits' pairs", "clean_prefix", "patch_prefix", "clean_answer", "patch_answer"),
    _layout("Query-Circuit-Discovery's columns", "clean", "corrupted", "label", "incorrect_label"),
    _layout(
        "MIB's indirect objects",
        "prompt",
        "s2_io_flip_counterfactual.prompt",
        Word("metadata.indirect_object"),
        Word("metadata.subject"),
    ),
    _layout(
        "MIB's questions",
        "prompt",
        "symbol_counterfactual.prompt",
        Option(),
        Option("symbol_counterfactual."),
    ),
    _layout(
        "MIB's arithmetic",
        "prompt",
        "random_counterfactual.prompt",
        "label",
        "random_counterfactual.label",
    ),
    _layout("PEAP's columns", "prompt", "corrupt", "correct_token", "wrong_token"),
    _layout("Edge Pruning's pronouns", "prefix", "corr_prefix", "pronoun", "corr_pronoun"),
    _layout(
        "Edge Pruning's greater-than",
        "prefix",
        "corr_prefix",
        Years("digits", True),
        Years("digits", False),
        **_GREATER,
    ),
)

# Whose columns say what the answers are only together with the prompts.
GREATER_THAN = tuple(
    _layout("EAP-IG's greater-than", "clean", "corrupted", Years(column, True), Years(column, False), **_GREATER)
    for column in ("label", "correct_idx")
)

# What people call each of our columns; the first that is there is taken.
SYNONYMS = {
    "clean": ("clean", "clean_prompt", "clean_text", "clean_prefix", "prompt", "text", "input", "question"),
    "corrupt": (
        "corrupt", "corrupted", "corrupt_prompt", "corrupted_prompt", "corrupt_text", "corrupted_text", "counterfactual",
        "counterfactual_prompt", "patch_prefix",
    ),
    "clean_ids": ("clean_ids", "clean_tokens"),
    "corrupt_ids": ("corrupt_ids", "corrupted_ids", "corrupt_tokens"),
    "answer": ("answer", "answers", "correct", "correct_answer", "right", "target", "label", "clean_answer", "correct_token"),
    "wrong": (
        "wrong", "wrong_answer", "wrong_answers", "incorrect", "incorrect_answer", "incorrect_answers", "incorrect_label",
        "distractor", "corrupt_answer", "corrupted_answer", "patch_answer", "wrong_token",
    ),
    "answer_id": ("answer_id", "answer_ids", "answer_idx", "correct_idx", "correct_id"),
    "wrong_id": ("wrong_id", "wrong_ids", "wrong_idx", "incorrect_idx", "incorrect_id"),
}  # fmt: skip
