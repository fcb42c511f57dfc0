"""Task: token-aligned clean and corrupt prompts with their right and wrong answers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuitsearch import show
from circuitsearch.batch import Batch, Spans
from circuitsearch.errors import InputError
from circuitsearch.metrics import Metric, logit_diff, metric_name
from circuitsearch.text import Tokenizer, answer_token
from circuitsearch.text import encode as encode

Ids = Sequence[int] | Tensor

TOKENS_WORTH_A_PASS = 256  # what the fixed cost of one more pass is worth, measured on small models


@dataclass(frozen=True)
class Example:
    """One pair of prompts as text; ``answers`` and ``wrong`` are single tokens, with their leading space.

    ``spans`` names places in the clean text, (first character, last character + 1) each; their tokens are spans of the
    task. The last token is the span ``END``, if no named one holds it.
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    group: int = 0
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Task:
    """A behaviour, as N pairs of clean and corrupt prompts with right and wrong answers.

    Make one with :meth:`from_ids`, :meth:`from_file`, :meth:`from_examples` or a function of
    ``circuitsearch.tasks``; all of them check that the pairs are aligned.

    Attributes
    ----------
    clean, corrupt : tuple of Tensor
        N tensors of (T,) token ids; lengths may differ between pairs, never within one.
    answers, wrong : tuple of Tensor
        N tensors of (k,) token ids.
    position : tuple of int
        Where in each prompt the metric reads the logits; the last token unless told otherwise.
    groups : tuple of int
        Examples of one group (the same names, the same template) stay on one side of a split.
    spans : tuple of mapping
        Of each prompt, the positions of named token spans (``{"IO": (2,), "END": (14,)}``); empty if none are named.
    """

    name: str
    clean: tuple[Tensor, ...]
    corrupt: tuple[Tensor, ...]
    answers: tuple[Tensor, ...]
    wrong: tuple[Tensor, ...]
    position: tuple[int, ...]
    groups: tuple[int, ...]
    metric: Metric = logit_diff
    spans: tuple[Spans, ...] = ()

    # ---- making one

    @classmethod
    def from_ids(
        cls,
        clean: Sequence[Ids] | Tensor,
        corrupt: Sequence[Ids] | Tensor,
        answers: Sequence[int | Ids] | Tensor,
        wrong: Sequence[int | Ids] | Tensor,
        *,
        name: str = "task",
        metric: Metric = logit_diff,
        position: Sequence[int] | None = None,
        groups: Sequence[int] | None = None,
        spans: Sequence[Mapping[str, int | Sequence[int]]] = (),
    ) -> Task:
        """Build a task from token ids.

        Parameters
        ----------
        clean, corrupt
            (N, T) ids, or N sequences of ids of any lengths, each pair of one length.
        answers, wrong
            (N,) or (N, k) ids, or N sequences of ids.
        position
            (N,) positions that the metric reads; the last one by default.
        groups
            (N,) labels; examples of one label stay together in a split. By default equal clean prompts do.
        spans
            N mappings from the name of a token span to its positions, for :class:`circuitsearch.Granularity`:
            ``{"S": 2, "END": 14}``. They hold for the clean and the corrupt prompt.

        Raises
        ------
        InputError
            If a row is not aligned, has no answer, has an answer that is right and wrong at once, or a span lies outside
            its prompt.

        Examples
        --------
        >>> task = Task.from_ids([[5, 6, 7], [5, 8, 7]], [[5, 9, 7], [5, 9, 7]], [1, 2], [2, 1])
        >>> len(task), [batch.start for batch in task.batches()]
        (2, [1])
        """
        columns = [[_vector(row) for row in column] for column in (clean, corrupt, answers, wrong)]
        _same_count(columns)
        clean_ids, corrupt_ids, answer_ids, wrong_ids = (tuple(column) for column in columns)
        places = tuple(position) if position is not None else tuple(len(ids) - 1 for ids in clean_ids)
        labels = tuple(groups) if groups is not None else _groups_of_equal_prompts(clean_ids)
        named = tuple({span: _places(at) for span, at in row.items()} for row in spans)
        task = cls(name, clean_ids, corrupt_ids, answer_ids, wrong_ids, places, labels, metric, named)
        task._check()
        return task

    @classmethod
    def from_examples(
        cls, name: str, examples: Sequence[Example], tokenizer: Tokenizer, metric: Metric = logit_diff
    ) -> Task:
        """Build a task from text.

        Raises
        ------
        InputError
            If the two prompts of an example differ in length as tokens, or an answer is not one token.
        """
        columns: tuple[list[list[int]], ...] = ([], [], [], [])
        for row, example in enumerate(examples):
            try:
                for column, ids in zip(columns, _tokenise(example, tokenizer), strict=True):
                    column.append(ids)
            except InputError as error:
                raise InputError(f"task {name!r}, row {row + 1}: {error}") from None
        groups = [example.group for example in examples]
        spans = [_spans_of(example, tokenizer, ids) for example, ids in zip(examples, columns[0], strict=True)]
        return cls.from_ids(*columns, name=name, metric=metric, groups=groups, spans=spans)

    @classmethod
    def from_file(cls, path: str | Path, tokenizer: Tokenizer | None = None, metric: Metric = logit_diff) -> Task:
        """Read a file of JSON lines.

        Each line is an object with ``clean, corrupt, answer, wrong`` as text, or
        ``clean_ids, corrupt_ids, answer_id, wrong_id`` as token ids; an answer may be a list of answers. Where
        both stand, the ids count. ``spans`` may name token positions: ``{"S": [2], "END": [14]}``.

        Raises
        ------
        InputError
            If the file cannot be read as such; the sentence names the file and the line.
        """
        from circuitsearch.task_file import read_task_file

        path = Path(path)
        rows, spans = read_task_file(path, tokenizer)
        try:
            return cls.from_ids(*zip(*rows, strict=True), name=path.stem, metric=metric, spans=spans)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def _check(self) -> None:
        if not self.clean:
            raise InputError(f"task {self.name!r} has no examples: give at least one pair of prompts")
        columns = zip(self.clean, self.corrupt, self.answers, self.wrong, self.position, strict=True)
        for row, (clean, corrupt, answers, wrong, position) in enumerate(columns, 1):
            problem = _problem(clean, corrupt, answers, wrong, position)
            if problem:
                raise InputError(f"row {row}: {problem}")
        if self.spans and len(self.spans) != len(self.clean):
            raise InputError(f"spans must have one entry an example: {len(self.spans)} for {len(self.clean)} examples")
        for row, (ids, spans) in enumerate(zip(self.clean, self.spans, strict=False), 1):
            for name, places in spans.items():
                if not all(0 <= place < len(ids) for place in places):
                    raise InputError(
                        f"row {row}: the span {name!r} lies outside the prompt of {len(ids)} tokens: {places}"
                    )

    def check_spans(self, names: Sequence[str]) -> None:
        """Raise an InputError unless every prompt has a token for each of these spans, and none for two of them."""
        missing = [name for name in names if name not in self.span_names]
        if missing:
            there = f"it has {', '.join(self.span_names)}" if self.span_names else "it names none"
            raise InputError(f"task {self.name!r} has no span {', '.join(map(repr, missing))}: {there}")
        for row, spans in enumerate(self.spans, 1):
            places = [place for name in names for place in set(spans.get(name, ()))]
            empty = [name for name in names if not spans.get(name)]
            if empty:
                raise InputError(f"task {self.name!r}, row {row}: no token belongs to the span {empty[0]!r}")
            if len(set(places)) < len(places):
                twice = next(place for place in places if places.count(place) > 1)
                raise InputError(
                    f"task {self.name!r}, row {row}: token {twice} belongs to two of the spans {', '.join(names)}:"
                    " leave one of them out"
                )

    def check_length(self, length: int) -> None:
        """Raise an InputError that names the row unless all prompts are of one length."""
        for row, ids in enumerate(self.clean, 1):
            if len(ids) != length:
                raise InputError(
                    f"task {self.name!r}, row {row}: the prompt has {len(ids)} tokens, and nodes for each of {length} positions"
                    " need prompts of that length: take those, or named spans"
                )

    def check_vocabulary(self, size: int) -> None:
        """Raise an InputError that names the row if any id lies outside 0 ... ``size`` - 1."""
        for row, columns in enumerate(zip(self.clean, self.corrupt, self.answers, self.wrong, strict=True), 1):
            for ids in columns:
                if int(ids.min()) < 0 or int(ids.max()) >= size:
                    bad = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
                    raise InputError(
                        f"task {self.name!r}, row {row}: token id {bad} lies outside the model's vocabulary"
                        f" of {size}: tokenise the prompts with the model's own tokenizer"
                    )

    # ---- using one

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def max_length(self) -> int:
        """Length of the longest prompt, in tokens."""
        return max(len(ids) for ids in self.clean)

    @property
    def span_names(self) -> tuple[str, ...]:
        """Names of the token spans, in the order in which they are first named."""
        return tuple(dict.fromkeys(name for spans in self.spans for name in spans))

    def of_length(self, length: int) -> Task:
        """The task with its prompts of so many tokens only.

        Raises
        ------
        InputError
            If there are none.
        """
        rows = [row for row, ids in enumerate(self.clean) if len(ids) == length]
        if not rows:
            lengths = ", ".join(map(str, sorted({len(ids) for ids in self.clean})))
            raise InputError(f"task {self.name!r} has no prompt of {length} tokens: its prompts have {lengths}")
        return self.subset(rows)

    def subset(self, rows: Sequence[int]) -> Task:
        """The task with these rows only, in this order."""
        columns = ("clean", "corrupt", "answers", "wrong", "position", "groups", *(("spans",) if self.spans else ()))
        return replace(self, **{name: tuple(getattr(self, name)[row] for row in rows) for name in columns})

    def split(self, fraction: float = 0.5, seed: int = 0) -> tuple[Task, Task]:
        """Part the task in two by whole groups, so that the second part's names and templates are new.

        Raises
        ------
        InputError
            If the fraction is not between 0 and 1, or there is only one group.
        """
        if not 0 < fraction < 1:
            raise InputError(f"the fraction of a split must lie between 0 and 1, not {fraction}")
        labels = sorted(set(self.groups))
        if len(labels) < 2:
            raise InputError(
                f"task {self.name!r} cannot be split: all its examples ({len(self)}) belong to one group, so none would be"
                " new to the other side; give more, different examples"
            )
        sizes = {label: self.groups.count(label) for label in labels}
        order = [labels[i] for i in np.random.default_rng(seed).permutation(len(labels))]
        counts = np.cumsum([sizes[label] for label in order])[:-1]
        first = set(order[: 1 + int(np.abs(counts - fraction * len(self)).argmin())])
        inside = [row for row, label in enumerate(self.groups) if label in first]
        outside = [row for row, label in enumerate(self.groups) if label not in first]
        return self.subset(inside), self.subset(outside)

    def batches(self, size: int | None = None, *, share_prefix: bool = True) -> Iterator[Batch]:
        """Yield the examples in buckets of one length and about one first difference, each of at most ``size`` rows.

        Nothing is ever padded. A bucket starts at the earliest first difference among its rows; rows that differ later
        join it while that costs few tokens, since a pass has a cost of its own. With ``share_prefix`` off every batch
        starts at position 0.
        """
        lengths: dict[int, list[tuple[int, int]]] = {}
        for row, ids in enumerate(self.clean):
            start = self._first_difference(row) if share_prefix else 0
            lengths.setdefault(len(ids), []).append((start, row))
        for _, rows in sorted(lengths.items()):
            for start, bucket in _buckets(sorted(rows)):
                parts = math.ceil(len(bucket) / (size or len(bucket)))
                step = math.ceil(len(bucket) / parts)  # as even as can be: a last small batch costs nearly a whole one
                for first in range(0, len(bucket), step):
                    yield self._batch(bucket[first : first + step], start)

    def _first_difference(self, row: int) -> int:
        """Length of the prefix that both prompts share and the metric does not read."""
        differs = torch.nonzero(self.clean[row] != self.corrupt[row])
        first = int(differs[0]) if len(differs) else len(self.clean[row]) - 1
        return min(first, self.position[row])

    def _batch(self, rows: list[int], start: int) -> Batch:
        return Batch(
            rows=torch.tensor(rows),
            clean=torch.stack([self.clean[row] for row in rows]),
            corrupt=torch.stack([self.corrupt[row] for row in rows]),
            answers=_padded([self.answers[row] for row in rows]),
            wrong=_padded([self.wrong[row] for row in rows]),
            position=torch.tensor([self.position[row] for row in rows]),
            start=start,
            spans=tuple(self.spans[row] for row in rows) if self.spans else (),
        )

    def digest(self, spans: Sequence[str] = ()) -> str:
        """SHA-256 over the prompts: ids, answers, positions, and the ``spans`` that are used.

        The metric has a digest of its own (:func:`circuitsearch.metric_contract.metric_digest`).
        """
        columns = [[ids.tolist() for ids in c] for c in (self.clean, self.corrupt, self.answers, self.wrong)]
        content: list[Any] = [*columns, list(self.position)]
        if spans:
            content.append([{name: list(places[name]) for name in spans} for places in self.spans])
        return _sha256(content)

    def prompt_digests(self) -> tuple[str, ...]:
        """16 hexadecimal digits for each pair of prompts: of its clean and corrupt ids and the position that is read.

        They do not depend on the rows' order, so they say which prompts two tasks have in common.
        """
        rows = zip(self.clean, self.corrupt, self.position, strict=True)
        return tuple(_sha256([clean.tolist(), corrupt.tolist(), position])[:16] for clean, corrupt, position in rows)

    @property
    def n_distinct(self) -> int:
        """How many of the pairs of prompts differ from one another; copies of a pair are no further evidence."""
        return len(set(self.prompt_digests()))

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {len(self)} examples, metric={metric_name(self.metric)})"


def _tokenise(example: Example, tokenizer: Tokenizer) -> tuple[list[int], ...]:
    clean, corrupt = encode(tokenizer, example.clean), encode(tokenizer, example.corrupt)
    answers = [answer_token(tokenizer, example.clean, answer, clean) for answer in example.answers]
    wrong = [answer_token(tokenizer, example.clean, answer, clean) for answer in example.wrong]
    return clean, corrupt, answers, wrong


def _spans_of(example: Example, tokenizer: Tokenizer, ids: list[int]) -> dict[str, tuple[int, ...]]:
    """Positions of an example's named places; a place that no run of whole tokens holds is left out."""
    spans: dict[str, tuple[int, ...]] = {}
    for name, (first, last) in example.spans.items():
        before, through = (
            encode(tokenizer, text) for text in (example.clean[:first].rstrip(" "), example.clean[:last])
        )
        if before == ids[: len(before)] and through == ids[: len(through)]:
            spans[name] = tuple(range(len(before), len(through)))
    end = len(ids) - 1
    return spans if any(end in places for places in spans.values()) else {**spans, "END": (end,)}


def _places(at: int | Sequence[int]) -> tuple[int, ...]:
    return (at,) if isinstance(at, int) else tuple(int(place) for place in at)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _vector(row: Any) -> Tensor:
    return torch.as_tensor(row, dtype=torch.long).reshape(-1)


def _same_count(columns: Sequence[Sequence[Tensor]]) -> None:
    counts = [len(column) for column in columns]
    if len(set(counts)) > 1:
        raise InputError(
            "clean, corrupt, answers and wrong must have one entry an example, but have "
            + ", ".join(str(count) for count in counts)
        )


def _problem(clean: Tensor, corrupt: Tensor, answers: Tensor, wrong: Tensor, position: int) -> str | None:
    if len(clean) == 0:
        return "the prompt is empty: give at least one token"
    if len(clean) != len(corrupt):
        return (
            f"the clean prompt has {len(clean)} tokens and the corrupt one {len(corrupt)}:"
            " make the pair token-aligned, of one length"
        )
    if len(answers) == 0 or len(wrong) == 0:
        return "there must be at least one right and one wrong answer"
    both = sorted(set(answers.tolist()) & set(wrong.tolist()))
    if both:
        return f"token {both[0]} is given as right and as wrong answer: make them differ"
    if not 0 <= position < len(clean):
        return f"the metric's position {position} lies outside the prompt of {len(clean)} tokens"
    return None


def _groups_of_equal_prompts(prompts: Sequence[Tensor]) -> tuple[int, ...]:
    seen: dict[tuple[int, ...], int] = {}
    return tuple(seen.setdefault(tuple(ids.tolist()), len(seen)) for ids in prompts)


def _buckets(rows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """Group (start, row) pairs, sorted, into (earliest start, rows) while few tokens are run twice for it."""
    bucket: list[int] = []
    earliest = rows[0][0]
    extra = 0
    for start, row in rows:
        extra += start - earliest
        if extra > TOKENS_WORTH_A_PASS:
            yield earliest, bucket
            bucket, earliest, extra = [], start, 0
        bucket.append(row)
    yield earliest, bucket


def _padded(ids: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(ids), batch_first=True, padding_value=-1)
