"""From records to the columns of a task: every row is tried, and those that are refused are kept with their reasons."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.metrics import Metric, logit_diff
from circuitsearch.text import Row as Ids
from circuitsearch.text import Tokenizer, check_all_forced

from .chat import chat_spans, chat_text, check_template
from .choosing import Chooser, check_columns
from .layouts import Layout
from .records import Record, Records
from .refusals import Refusal, RowsRefused
from .row import Row

_OWN_ROW = re.compile(r"^(task '.*?', )?row 1(: | of )")  # how a task of one row calls it


@dataclass(frozen=True)
class EncodedRow:
    """A row with its token ids; ``spans`` are positions in the clean prompt, ``prompt`` is its text as the model reads it."""

    place: str
    row: Row
    ids: Ids
    spans: Mapping[str, Any]
    prompt: str | None

    @property
    def columns(self) -> dict[str, Any]:
        """Columns of one entry for :meth:`circuitsearch.Task.from_ids`."""
        position = None if self.row.position is None else [self.row.position]
        clean, corrupt, answers, wrong = ([each] for each in self.ids)
        spans, corrupt_spans = ([each] if each else () for each in (self.spans, self.row.corrupt_spans))
        return {
            "clean": clean,
            "corrupt": corrupt,
            "answers": answers,
            "wrong": None if self.row.forced else wrong,
            "position": position,
            "spans": spans,
            "corrupt_spans": corrupt_spans,
        }


@dataclass(frozen=True)
class EncodedRows:
    """The rows of a source as token ids.

    Attributes
    ----------
    source, name : str
        As of :class:`circuitsearch.data.records.Records`.
    layouts : tuple of str
        As whose files the rows were read.
    metric : callable
        The metric that belongs to the rows.
    rows : tuple of EncodedRow
        Those that can be used.
    refused : tuple of Refusal
        All others.
    texts : mapping
        The rows that were read, also refused ones, by their places.
    """

    source: str
    name: str
    layouts: tuple[str, ...]
    metric: Metric
    rows: tuple[EncodedRow, ...]
    refused: tuple[Refusal, ...] = ()
    texts: Mapping[str, Row] = field(default_factory=dict, repr=False)

    def checked(self, check: Callable[[Mapping[str, Any]], object]) -> EncodedRows:
        """The rows of which each by itself, as columns of one entry, passes a check that raises an InputError."""
        reasons = [_reason(check, row) for row in self.rows]
        pairs = list(zip(self.rows, reasons, strict=True))
        found = [*self.refused, *(Refusal(row.place, reason) for row, reason in pairs if reason is not None)]
        kept = tuple(row for row, reason in pairs if reason is None)
        return replace(self, rows=kept, refused=tuple(sorted(found, key=lambda refusal: _number(refusal.place))))

    def columns(self) -> dict[str, Any]:
        """All columns for :meth:`circuitsearch.Task.from_ids`, and the task's name.

        Raises
        ------
        RowsRefused
            If any row is refused.
        InputError
            If there are no rows, or only some have a group.
        """
        if self.refused:
            raise RowsRefused(self.source, self.refused, len(self.rows) + len(self.refused))
        if not self.rows:
            raise InputError(f"{self.source or 'the list'} has no rows: give at least one pair of prompts")
        clean, corrupt, answers, wrong = zip(*(row.ids for row in self.rows), strict=True)
        rows = [row.row for row in self.rows]
        names = {row.name for row in rows}
        return {
            "clean": clean, "corrupt": corrupt, "answers": answers, "wrong": None if self._forced() else wrong,
            "name": rows[0].name if len(names) == 1 and rows[0].name else self.name,
            "spans": [row.spans for row in self.rows] if any(row.spans for row in self.rows) else (),
            "corrupt_spans": [row.corrupt_spans for row in rows] if any(row.corrupt_spans for row in rows) else (),
            "factors": [row.factors for row in rows] if any(row.factors for row in rows) else (),
            "groups": self._groups(), "position": _positions(rows, clean),
        }  # fmt: skip

    def _forced(self) -> bool:
        """Whether the answers are teacher-forced: those of all rows, or none."""
        return check_all_forced([self._where(row) for row in self.rows], [row.row.forced for row in self.rows])

    def _groups(self) -> list[int | str] | None:
        """Each row's group, if any has one."""
        groups = [row.row.group for row in self.rows if row.row.group is not None]
        if 0 < len(groups) < len(self.rows):
            first = next(row for row in self.rows if row.row.group is None)
            raise InputError(
                f"{self._where(first)} has no group, but other rows have one: give every row a group, or none"
            )
        return groups or None

    def _where(self, row: EncodedRow) -> str:
        return f"{self.source}: {row.place}" if self.source else row.place


def encoded(
    records: Records, tokenizer: Tokenizer | None, columns: Mapping[str, str] | None = None, chat: bool = False
) -> EncodedRows:
    """Read every record as a pair of prompts with answers, and tokenise it.

    Parameters
    ----------
    records
        What :mod:`circuitsearch.data.reading` or :mod:`circuitsearch.data.frames` gives.
    tokenizer
        For texts; rows of token ids need none.
    columns
        Names of columns, ours to theirs: ``{"clean": "sentence"}``.
    chat
        Whether prompts go through the tokenizer's chat template.

    Raises
    ------
    InputError
        If ``columns`` has an unknown name, a table lacks a column, or the tokenizer has no chat template. What is wrong with single
        rows is not raised: it is in the result.
    """
    columns = dict(columns or {})
    check_columns(columns)
    if chat:
        check_template(tokenizer)
    chooser = _of_table(records, Chooser(columns, records.table))
    layouts: dict[str, Layout] = {}
    texts: dict[str, Row] = {}
    rows, refused = [], []
    for record in records:
        try:
            layout, row = _read(record, chooser)
            layouts.setdefault(layout.name, layout)
            texts[record.place] = row
            rows.append(encoded_row(record.place, row, tokenizer, chat))
        except InputError as error:
            refused.append(Refusal(record.place, str(error)))
    metric = next((layout.metric for layout in layouts.values()), logit_diff)
    return EncodedRows(records.source, records.name, tuple(layouts), metric, tuple(rows), tuple(refused), texts)


def _of_table(records: Records, chooser: Chooser) -> Chooser:
    """The chooser with the layout that all rows of a table have, since one may lack a value; raises if a column is missing."""
    whole = [record.fields for record in records if not record.problem] if records.table else []
    if not whole:
        return chooser
    every = {name: value for fields in reversed(whole) for name, value in fields.items()}
    try:
        return replace(chooser, layout=chooser.read(every)[0])
    except InputError as error:
        raise InputError(f"{records.source}: {error}" if records.source else str(error)) from None


def _read(record: Record, chooser: Chooser) -> tuple[Layout, Row]:
    if record.problem:
        raise InputError(record.problem)
    layout, content = chooser.read(record.fields)
    return layout, Row.of(content, table=chooser.table, own=layout.own, alone=layout.alone, forced=layout.forced)


def encoded_row(place: str, row: Row, tokenizer: Tokenizer | None, chat: bool) -> EncodedRow:
    """Tokenise one row; raises an InputError that says what is wrong with it."""
    if not chat:
        return EncodedRow(place, row, row.ids(tokenizer), row.spans, row.clean)
    if row.clean is None or row.corrupt is None or row.position is not None or row.spans or row.corrupt_spans:
        raise InputError(
            "a chat template takes prompts as text, and sets positions and spans itself: leave ids and these out"
        )
    clean, corrupt = (chat_text(tokenizer, prompt, row.system) for prompt in (row.clean, row.corrupt))
    ids = row.model_copy(update={"clean": clean, "corrupt": corrupt}).ids(tokenizer)
    return EncodedRow(place, row, ids, chat_spans(tokenizer, clean, row.clean, row.system), clean)


def _reason(check: Callable[[Mapping[str, Any]], object], row: EncodedRow) -> str | None:
    try:
        check(row.columns)
    except InputError as error:
        return _OWN_ROW.sub("", str(error))
    return None


def _number(place: str) -> int:
    return int(place.rpartition(" ")[2])


def _positions(rows: Sequence[Row], clean: Sequence[Sequence[int]]) -> list[int] | None:
    """The position that the metric reads in each row, if any row gives one: by default the last token."""
    if all(row.position is None for row in rows):
        return None
    return [len(ids) - 1 if row.position is None else row.position for row, ids in zip(rows, clean, strict=True)]
