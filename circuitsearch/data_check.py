"""Looking at one's own prompts before anything is searched for: as tokens, as the model answers them, and what to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from circuitsearch.alignment import ERROR, Alignment, Drop
from circuitsearch.data import (
    SHOWN,
    EncodedRow,
    EncodedRows,
    Refusal,
    Row,
    advice,
    encoded,
    read_records,
    with_corrupt_file,
)
from circuitsearch.data.advice import bare, spaced
from circuitsearch.data.frames import list_records
from circuitsearch.data.row import listed
from circuitsearch.errors import LONGEST, InputError, shortened
from circuitsearch.experiment import Experiment
from circuitsearch.metrics import Metric, metric_name
from circuitsearch.registry import ALIGNMENTS
from circuitsearch.task import Task, check_row
from circuitsearch.text import answer_token, token_text

LIKELIEST = 5  # tokens


@dataclass(frozen=True)
class TokenShare:
    """A token with its rank among all, 1 for the likeliest, and its probability."""

    text: str
    rank: int
    probability: float

    def __str__(self) -> str:
        return f"{self.text!r} (rank {self.rank:,}, {self.probability:.1%})"


@dataclass(frozen=True)
class RowCheck:
    """One row as the model reads and answers it.

    Attributes
    ----------
    place : str
        Where it is, as in ``"line 2"``.
    clean, corrupt : tuple of str
        Texts of the prompts' tokens.
    differ, corrupt_differ : tuple of int
        Positions of the clean and of the corrupt prompt whose tokens differ from the corresponding ones.
    position : int
        The token at which the metric reads.
    spans : mapping
        Positions of named spans.
    answers, wrong, likeliest : tuple of TokenShare
        The answers, and the model's likeliest tokens after the clean prompt.
    metric : tuple of float
        The metric on the clean and on the corrupt prompt.
    """

    place: str
    clean: tuple[str, ...]
    corrupt: tuple[str, ...]
    differ: tuple[int, ...]
    corrupt_differ: tuple[int, ...]
    position: int
    spans: Mapping[str, Sequence[int]]
    answers: tuple[TokenShare, ...]
    wrong: tuple[TokenShare, ...]
    likeliest: tuple[TokenShare, ...]
    metric: tuple[float, float]

    def lines(self, metric: str) -> list[str]:
        """What is printed about it; control characters are escaped."""
        spans = ", ".join(f"{name} {_span(self.clean, places)}" for name, places in self.spans.items())
        rows = [
            ("clean", _tokens(self.clean, self.differ)),
            ("corrupt", _tokens(self.corrupt, self.corrupt_differ)),
            ("spans", spans),
            ("right", _shares(self.answers)),
            ("wrong", _shares(self.wrong)),
            ("likeliest", _shares(self.likeliest)),
            (metric, f"{self.metric[0]:+.3f} clean, {self.metric[1]:+.3f} corrupt"),
        ]
        return [self.place, *(f"  {name:<10} {text}" for name, text in rows if text)]


@dataclass(frozen=True)
class DataCheck:
    """What :func:`check_data` finds; printed, it is the whole of it.

    Attributes
    ----------
    source : str
        The file, or "the list".
    layouts : tuple of str
        As whose files its rows were read.
    metric : str
        Name of the metric.
    n_usable : int
        Rows that can be used.
    refused : tuple of Refusal
        All that cannot, with the reasons.
    rows : tuple of RowCheck
        The first of those that can.
    proposals : tuple of str
        What to change.
    """

    source: str
    layouts: tuple[str, ...]
    metric: str
    n_usable: int
    refused: tuple[Refusal, ...]
    rows: tuple[RowCheck, ...]
    proposals: tuple[str, ...]

    def __str__(self) -> str:
        total = self.n_usable + len(self.refused)
        head = [
            f"{self.source}: {total} row{'s' * (total != 1)}, read as {' and '.join(self.layouts) or 'no known layout'}; {self.n_usable} can be used"
        ]
        body = [line for row in self.rows for line in row.lines(self.metric)]
        return "\n".join([*head, *body, *self._refusals(), *self._proposals()])

    def _refusals(self) -> list[str]:
        more = len(self.refused) - SHOWN
        head = [f"{len(self.refused)} refused{', the first ten' if more > 0 else ''}:"] if self.refused else []
        return [*head, *(shortened(f"  {refusal}", LONGEST) for refusal in self.refused[:SHOWN])]

    def _proposals(self) -> list[str]:
        return ["proposals:", *(f"  {proposal}" for proposal in self.proposals)] if self.proposals else []


def check_data(
    rows: Any,
    model: Any,
    tokenizer: Any = None,
    *,
    n: int = 5,
    metric: Metric | None = None,
    columns: Mapping[str, str] | None = None,
    corrupt_file: str | Path | None = None,
    chat: bool = False,
    align: Alignment | str = ERROR,
) -> DataCheck:
    """Show rows as the model reads them, what it makes of them, those that are refused, and what to change.

    Parameters
    ----------
    rows
        A file, or a list as :meth:`circuitsearch.Task.from_texts` takes it.
    model
        A Hugging Face causal language model.
    tokenizer
        Its tokenizer.
    n
        Rows that are shown and run through the model.
    metric, columns, corrupt_file, chat, align
        As of :meth:`circuitsearch.Task.from_file`; rows that ``"drop"`` leaves out are among those refused.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a column. Rows that are refused are in the result.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> clean = "Then, Mary and John went to the store, and John gave a book to"
    >>> row = {"clean": clean, "corrupt": clean.replace("John gave", "Mary gave"), "answer": "Mary", "wrong": "John"}
    >>> print(cs.check_data([row], model, tokenizer))
    the list: 1 row, read as clean, corrupt, answer, wrong; 0 can be used
    1 refused:
      row 1: the answer 'Mary' is not one token after 'nt to the store, and John gave a book to' in this tokenizer ...
    proposals:
      begin the answers with a space: that mends row 1
    """
    records = read_records(rows) if isinstance(rows, str | Path) else list_records(rows)
    records = with_corrupt_file(records, corrupt_file)
    alignment = ALIGNMENTS.read(align)
    check = partial(_check_used, alignment)
    found = encoded(records, tokenizer, columns, chat).checked(check)
    measured = metric or found.metric
    shown = _shown(found.rows[:n], model, tokenizer, measured, alignment)
    logits = [each for _, each in shown]
    proposals = (
        *advice(found, tokenizer, chat, check, partial(check_row, align="span")),
        *_preferred(found.rows[:n], logits, tokenizer),
    )
    return DataCheck(
        source=records.source or "the list",
        layouts=found.layouts,
        metric=metric_name(measured),
        n_usable=len(found.rows),
        refused=found.refused,
        rows=tuple(row for row, _ in shown),
        proposals=proposals,
    )


def _check_used(alignment: Alignment, columns: Mapping[str, Any]) -> None:
    """Raise an InputError unless a row is a task, and is not left out."""
    lengths = [len(columns[side][0]) for side in ("clean", "corrupt")]
    if isinstance(alignment, Drop) and len(set(lengths)) > 1:
        raise InputError("it is left out, since its clean prompt has {} tokens and the corrupt one {}".format(*lengths))
    check_row(columns, alignment)


def _shown(
    rows: Sequence[EncodedRow], model: Any, tokenizer: Any, metric: Metric, alignment: Alignment
) -> list[tuple[RowCheck, Tensor]]:
    """Each row with what the model makes of it, and its logits (vocabulary,) where the answer begins."""
    if not rows:
        return []
    task = Task.from_ids(**EncodedRows("", "check", (), metric, tuple(rows)).columns(), metric=metric, align=alignment)
    evaluator = Experiment.of(model, task).evaluator
    clean, corrupt = evaluator.ends(metric)[0]  # (N,) each
    logits: dict[int, Tensor] = {}
    for pair in evaluator.all_pairs():
        at_answers = pair.clean[1].float().cpu()  # (B, vocabulary), or (B, K, vocabulary) of teacher-forced answers
        at_answers = at_answers if task.teacher_forced else at_answers[:, None]
        logits |= dict(zip(pair.batch.rows.tolist(), at_answers, strict=True))
    values = [(float(clean[row]), float(corrupt[row])) for row in range(len(rows))]
    return [(_row(row, task, at, logits[at], values[at], tokenizer), logits[at][0]) for at, row in enumerate(rows)]


def _row(row: EncodedRow, task: Task, at: int, logits: Tensor, metric: tuple[float, float], tokenizer: Any) -> RowCheck:
    """What the model makes of a row, from its logits (K, vocabulary) at the K positions that are read."""
    clean, corrupt, answers, wrong = row.ids
    position, beginning = task.position[at] - len(logits) + 1, logits[0]
    spans = {name: listed(places) for name, places in row.spans.items()} or {"END": [position]}
    likeliest = beginning.topk(min(LIKELIEST, len(beginning))).indices.tolist()
    each = logits if task.teacher_forced else beginning.expand(len(answers), -1)
    differ, corrupt_differ = _differing(task, at, len(clean), len(corrupt))
    return RowCheck(
        place=row.place,
        clean=tuple(token_text(tokenizer, token) for token in clean),
        corrupt=tuple(token_text(tokenizer, token) for token in corrupt),
        differ=differ,
        corrupt_differ=corrupt_differ,
        position=position,
        spans=spans,
        answers=tuple(_share(at_token, token, tokenizer) for at_token, token in zip(each, answers, strict=True)),
        wrong=_shares_of(beginning, wrong, tokenizer),
        likeliest=_shares_of(beginning, likeliest, tokenizer),
        metric=metric,
    )


def _differing(task: Task, at: int, n_clean: int, n_corrupt: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where a row's clean and its corrupt prompt differ from each other, before answers that are teacher-forced."""
    clean, corrupt = task.clean[at], task.corrupt[at]
    places = task.aligned[at] if task.aligned else torch.arange(len(clean))  # (T,) the corresponding positions
    differ = clean != corrupt[places]
    same = set(places[~differ].tolist())
    return (
        tuple(differ[:n_clean].nonzero().flatten().tolist()),
        tuple(place for place in range(n_corrupt) if place not in same),
    )


def _shares_of(logits: Tensor, tokens: Sequence[int], tokenizer: Any) -> tuple[TokenShare, ...]:
    return tuple(_share(logits, token, tokenizer) for token in tokens)


def _share(logits: Tensor, token: int, tokenizer: Any) -> TokenShare:
    rank = int((logits > logits[token]).sum()) + 1
    return TokenShare(token_text(tokenizer, token), rank, float(logits.softmax(-1)[token]))


def _preferred(rows: Sequence[EncodedRow], logits: Sequence[Tensor], tokenizer: Any) -> list[str]:
    """Whether the model finds the answers likelier with a space before them, or without."""
    said = []
    for change, what in ((spaced, "with a space before it"), (bare, "without the space before it")):
        better = [
            row.place
            for row, each in zip(rows, logits, strict=True)
            if _is_likelier(row, each, change(row.row), tokenizer)
        ]
        if better:
            where = better[0] if len(better) == 1 else f"{len(better)} of {len(rows)} rows shown"
            said.append(f"the model finds the right answer likelier {what} in {where}: write the answers so")
    return said


def _is_likelier(row: EncodedRow, logits: Tensor, other: Row, tokenizer: Any) -> bool:
    answers = [] if row.prompt is None else list(zip(row.ids[2], listed(other.answer), strict=False))
    return any(_logit(logits, str(row.prompt), text, tokenizer) > float(logits[token]) for token, text in answers)


def _logit(logits: Tensor, prompt: str, answer: str, tokenizer: Any) -> float:
    try:
        return float(logits[answer_token(tokenizer, prompt, answer)])
    except InputError:
        return -float("inf")


def _tokens(tokens: Sequence[str], differ: Sequence[int]) -> str:
    """Tokens between bars, in brackets where the prompts differ."""
    plain = (repr(token)[1:-1] for token in tokens)
    return "|".join(f"[{token}]" if place in differ else token for place, token in enumerate(plain))


def _span(tokens: Sequence[str], places: Sequence[int]) -> str:
    text = "".join(tokens[place] for place in places)
    return f"{places[0]}-{places[-1]} {text!r}" if len(places) > 1 else f"{places[0]} {text!r}"


def _shares(shares: Sequence[TokenShare]) -> str:
    more = f", and {len(shares) - LIKELIEST} more" if len(shares) > LIKELIEST else ""
    return ", ".join(map(str, shares[:LIKELIEST])) + more
