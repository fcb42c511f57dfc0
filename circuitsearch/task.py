"""Task: token-aligned clean and corrupt prompts with their right and wrong answers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from circuitsearch import show
from circuitsearch.alignment import ERROR, Alignment, Drop, Row
from circuitsearch.batch import Batch, Spans, differing, filled, padded
from circuitsearch.batching import batched
from circuitsearch.columns import (
    Ids,
    Prompts,
    check_counts,
    check_padding,
    continued,
    factors_of,
    labels_of,
    numbers,
    prompts_of,
    spans_of_rows,
    unpadded,
    vector,
    vectors,
)
from circuitsearch.dividing import divided, joined, numbered
from circuitsearch.errors import InputError, counted, shortened
from circuitsearch.example import Example, Factors, PromptWriter, encoded_example, spans_of_text
from circuitsearch.metrics import Metric, answer_log_prob, logit_diff, metric_name
from circuitsearch.registry import ALIGNMENTS
from circuitsearch.row_problems import answers_problem, forced_problem, prompt_problem
from circuitsearch.text import Tokenizer, check_all_forced


class HowRead(TypedDict, total=False):
    """How rows are read; see :meth:`Task.from_file`."""

    columns: Mapping[str, str] | None
    chat: bool
    align: Alignment | str


@dataclass(frozen=True, eq=False)
class Task:
    """A behaviour, as N pairs of clean and corrupt prompts with right and wrong answers.

    Make one with :meth:`from_pair`, :meth:`from_file`, :meth:`from_texts`, :meth:`from_dataframe`, :meth:`from_ids` or a function of
    ``circuitsearch.tasks``. A task whose columns differ in length, or whose pairs are not aligned, is refused.

    Attributes
    ----------
    clean, corrupt : tuple of Tensor
        N tensors of (T,) token ids; lengths may differ between pairs, and within one only if ``aligned`` says how.
    answers, wrong : tuple of Tensor
        N tensors of (k,) token ids: k right answers of one token each, or the k tokens of a teacher-forced answer.
    position : tuple of int
        Position in each prompt at which the metric reads the logits; by default the last token.
    groups : tuple of int
        Examples of one group (the same names, the same template) stay on one side of a split.
    spans : tuple of mapping
        For each prompt, the positions of named token spans (``{"IO": (2,), "END": (14,)}``); empty if none are named.
    factors : tuple of mapping
        For each prompt, the values that it uses of each factor: ``{"names": ("Mary", "John"), "templates": ("3",)}``; empty
        if none are given. Like the groups, they do not count as part of the prompts.
    teacher_forced : bool
        Whether each prompt has one answer, of k tokens, and no wrong ones. Both prompts end with the answer's first k - 1 tokens, and
        the metric reads all k of them, at the k positions up to ``position``.
    aligned : tuple of Tensor
        For each prompt the position (T,) in its corrupt prompt that corresponds to each of its own; empty if each corresponds to the
        one at its place. See :class:`circuitsearch.alignment.Span`.
    note : str
        Which rows were left out, or how many are aligned by spans; empty for none.
    writer : PromptWriter, optional
        Writes more prompts from the pools of these groups; None if the prompts are given, as in a file.
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
    factors: tuple[Factors, ...] = ()
    teacher_forced: bool = False
    aligned: tuple[Tensor, ...] = ()
    note: str = ""
    writer: PromptWriter | None = field(default=None, repr=False)

    # ---- making one

    @classmethod
    def from_ids(
        cls,
        clean: Prompts,
        corrupt: Prompts,
        answers: Sequence[int | Ids] | Tensor,
        wrong: Sequence[int | Ids] | Tensor | None,
        *,
        name: str = "task",
        metric: Metric | None = None,
        position: Sequence[int] | Tensor | None = None,
        groups: Sequence[int | str] | Tensor | None = None,
        spans: Sequence[Mapping[str, int | Sequence[int]]] = (),
        factors: Sequence[Mapping[str, str | Sequence[str]]] = (),
        corrupt_spans: Sequence[Mapping[str, int | Sequence[int]]] = (),
        align: Alignment | str = ERROR,
        pad_id: int | None = None,
        lengths: Sequence[int] | Tensor | None = None,
    ) -> Task:
        """Build a task from token ids.

        Parameters
        ----------
        clean, corrupt
            (N, T) ids, or N sequences of ids of any lengths, each pair of one length; or the output of a Hugging Face
            tokenizer, whose ``attention_mask`` then marks padding, before or after the prompt.
        answers, wrong
            (N,) or (N, k) ids, or N sequences of ids: the tokens that are right, and those that are wrong. If ``wrong`` is None, each
            row of ``answers`` is one answer of k tokens, which is teacher-forced: its first k - 1 tokens are added to both prompts.
        metric
            By default :func:`~circuitsearch.metrics.logit_diff`, or :func:`~circuitsearch.metrics.answer_log_prob` of teacher-forced
            answers.
        position
            (N,) positions that the metric reads, counted from the first token that is not padding; by default the last one.
        groups
            (N,) labels, numbers or names; examples with the same label stay together in a split. By default each different
            clean prompt has a label.
        spans
            N mappings from the name of a token span to its positions, for :class:`circuitsearch.Granularity`:
            ``{"S": 2, "END": 14}``. They apply to the clean and the corrupt prompt.
        factors
            N mappings from the name of a factor to the values of it that the prompt uses, one or several:
            ``{"names": ["Mary", "John"], "templates": "3"}``.
        corrupt_spans
            The same for the corrupt prompts, if they differ there in length.
        align
            What is done with pairs of unequal lengths: ``"error"``, ``"drop"``, ``"span"`` or an
            :class:`circuitsearch.alignment.Alignment`.
        pad_id
            The id with which prompts are padded at the end; it is removed there.
        lengths
            (N,) number of tokens of each pair; the tokens after that are removed.

        Raises
        ------
        InputError
            If columns differ in length, or a row is not aligned, has prompts that are the same up to the position that is
            read, seems to be padded, has no answer, has an answer twice or both as right and as wrong, or has a span outside
            its prompt.

        Examples
        --------
        >>> task = Task.from_ids([[5, 6, 7], [5, 8, 7]], [[5, 9, 7], [5, 9, 7]], [1, 2], [2, 1])
        >>> len(task), [batch.start for batch in task.batches()]
        (2, [1])
        >>> Task.from_ids([[5, 6, 7]], [[5, 9, 7]], [[3, 4]], None).clean
        (tensor([5, 6, 7, 3]),)
        """
        forced = wrong is None
        if forced and position is not None:
            raise InputError("teacher-forced answers are read where they stand, after the prompts: leave out position")
        given: dict[str, Any] = {"clean": prompts_of("clean", clean), "corrupt": prompts_of("corrupt", corrupt)}
        given |= {"answers": vectors("answers", answers)}
        given |= {"wrong": tuple(ids[:0] for ids in given["answers"]) if wrong is None else vectors("wrong", wrong)}
        given |= {} if position is None else {"position": numbers("position", position)}
        given |= {} if groups is None else {"groups": labels_of(groups)}
        given |= {} if lengths is None else {"lengths": numbers("lengths", lengths)}
        optional: dict[str, Any] = {"spans": spans_of_rows(spans), "factors": factors_of(factors)}
        optional["corrupt_spans"] = spans_of_rows(corrupt_spans)
        check_counts(given | {name: column for name, column in optional.items() if column})
        if pad_id is None and lengths is None:
            check_padding(given["clean"], given["corrupt"], end=position is None)
        else:
            pad = None if pad_id is None else int(vector("pad_id", [pad_id]))
            given |= {side: unpadded(given[side], pad, given.get("lengths")) for side in ("clean", "corrupt")}
        given.pop("lengths", None)
        if forced:
            given |= {side: continued(given[side], given["answers"]) for side in ("clean", "corrupt")}
        given.setdefault("position", tuple(len(ids) - 1 for ids in given["clean"]))
        given.setdefault("groups", numbered(tuple(ids.tolist()) for ids in given["clean"]))
        given |= {name: column for name, column in optional.items() if column}
        given = _after_alignment(given, ALIGNMENTS.read(align))
        metric = metric or (answer_log_prob if forced else logit_diff)
        task = cls(name, **given, metric=metric, teacher_forced=forced)
        task.check_prompts_differ()
        return task

    @classmethod
    def from_examples(
        cls,
        name: str,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        metric: Metric | None = None,
        align: Alignment | str = ERROR,
    ) -> Task:
        """Build a task from text; without wrong answers it is teacher-forced.

        Raises
        ------
        InputError
            If the two prompts of an example have different numbers of tokens or are the same, a word is not in the
            vocabulary, an answer is not one token, or only some examples have wrong answers.
        """
        places = [f"task {name!r}, row {row}" for row in range(1, len(examples) + 1)]
        forced = check_all_forced(places, [not example.wrong for example in examples])
        rows = [encoded_example(place, example, tokenizer) for place, example in zip(places, examples, strict=True)]
        columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
        groups = [example.group for example in examples]
        spans = [
            spans_of_text(each.clean, each.spans, tokenizer, ids)
            for each, ids in zip(examples, columns[0], strict=True)
        ]
        others = [
            spans_of_text(each.corrupt, each.corrupt_spans, tokenizer, ids)
            for each, ids in zip(examples, columns[1], strict=True)
        ]
        corrupt_spans = others if any(each.corrupt_spans for each in examples) else ()
        factors = [example.factors for example in examples] if any(example.factors for example in examples) else ()
        clean, corrupt, answers, wrong = columns
        return cls.from_ids(
            clean, corrupt, answers, None if forced else wrong,
            name=name, metric=metric, groups=groups, spans=spans, factors=factors, corrupt_spans=corrupt_spans, align=align,
        )  # fmt: skip

    @classmethod
    def from_pair(
        cls,
        clean: str,
        corrupt: str,
        answer: str,
        wrong: str | None,
        tokenizer: Tokenizer,
        *,
        spans: Mapping[str, tuple[int, int]] | None = None,
        metric: Metric | None = None,
        align: Alignment | str = ERROR,
        name: str = "",
    ) -> Task:
        """Build a task from one prompt and its counterfactual. It has no held-out prompts, and reports on it say so.

        Parameters
        ----------
        clean, corrupt
            Two prompts of as many tokens, unless ``align`` says otherwise: see :meth:`from_ids`.
        answer, wrong
            The next token after the clean prompt, and after the corrupt one, with their leading space. If ``wrong`` is None, the
            answer may have several tokens; its log probability is the metric.
        tokenizer
            The model's.
        spans
            Parts of the clean prompt that have names: first character, and last character + 1.
        name
            By default "one prompt", with the clean prompt.

        Raises
        ------
        InputError
            As :meth:`from_examples`.

        Examples
        --------
        >>> import circuitsearch as cs
        >>> _, tokenizer = cs.load("pico")
        >>> Task.from_pair("The capital of France is", "The capital of Italy is", " Paris", " Rome", tokenizer)
        Task('one prompt (The capital of France is)', 1 example, metric=logit_diff)
        >>> Task.from_pair("The capital of France is", "The capital of Italy is", " Paris in France", None, tokenizer)
        Task('one prompt (The capital of France is)', 1 example, metric=answer_log_prob)
        """
        example = Example(clean, corrupt, (answer,), () if wrong is None else (wrong,), spans=spans or {})
        return cls.from_examples(name or f"one prompt ({shortened(clean, 40)})", [example], tokenizer, metric, align)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        tokenizer: Tokenizer | None = None,
        metric: Metric | None = None,
        *,
        corrupt_file: str | Path | None = None,
        **read: Unpack[HowRead],
    ) -> Task:
        """Read a file: JSON lines, a JSON array or object, CSV, TSV or Parquet, gzipped or not (docs/data.md).

        Each row has ``clean, corrupt, answer, wrong`` as text, or ``clean_ids, corrupt_ids, answer_id, wrong_id`` as token ids;
        an answer may be a list of answers. If both are given, the ids are used. The columns of EAP-IG, MIB, auto-circuit,
        feature-circuits, PEAP and others are known, and so are names that people use (``prompt``, ``corrupted``, ``label`` ...).
        A row may have

        - ``group``, a number or a name: rows of one group stay together in a split;
        - ``position``: the token at which the metric reads, 0 for the first; the last one by default;
        - ``spans``: positions of named token spans, ``{"S": [2], "END": [14]}``; ``corrupt_spans``: those in the corrupt prompt, if
          they differ there in length (``align="span"``);
        - ``factors``: the values from which the row is written, ``{"names": ["Mary", "John"], "templates": "3"}``;
        - ``system``: the system's text, for a chat;
        - ``name``: the task's name, if all rows have the same one; else the task has the name of the file.

        Other keys are ignored, but a probable misspelling of one of these is refused.

        Parameters
        ----------
        path
            The file.
        tokenizer
            The model's, for rows of text.
        metric
            By default the one that belongs to the rows: ``logit_diff``, of EAP-IG's greater-than and hypernymy ``prob_diff``, of rows in
            which nothing can be the wrong answer ``answer_log_prob``.
        columns
            Names of the file's columns, ours to theirs: ``{"clean": "sentence", "answer": "target.text"}``.
        corrupt_file
            A second file, whose prompts are the corrupt ones, row by row.
        chat
            Whether prompts are a user's messages, which go through the tokenizer's chat template. The positions of the system's
            text, the user's, and what follows it up to the answer are the spans ``SYSTEM``, ``USER`` and ``ANSWER_START``.
        align
            What is done with pairs of unequal lengths: see :meth:`from_ids`.

        Raises
        ------
        InputError
            If the file cannot be read, or a row is refused; the sentence names the file and the line or row. Of several rows the
            first ten are in its notes.
        """
        from circuitsearch.data import read_records, with_corrupt_file

        return cls._from_records(with_corrupt_file(read_records(path), corrupt_file), tokenizer, metric, **read)

    @classmethod
    def from_texts(
        cls,
        rows: Iterable[Any],
        tokenizer: Tokenizer | None = None,
        metric: Metric | None = None,
        *,
        name: str = "task",
        **read: Unpack[HowRead],
    ) -> Task:
        """Build a task from a list of dicts with the keys of a file's rows, or of ``(clean, corrupt, answer, wrong)``.

        The parameters are those of :meth:`from_file`.

        Examples
        --------
        >>> import circuitsearch as cs
        >>> rows = [("Then, Mary and John went to the store, and John gave a book to",
        ...          "Then, Mary and John went to the store, and Mary gave a book to", " Mary", " John")]
        >>> Task.from_texts(rows, cs.load("pico")[1])
        Task('task', 1 example, metric=logit_diff)
        """
        from circuitsearch.data import list_records

        return cls._from_records(list_records(rows, name), tokenizer, metric, **read)

    @classmethod
    def from_dataframe(
        cls,
        frame: Any,
        tokenizer: Tokenizer | None = None,
        metric: Metric | None = None,
        *,
        name: str = "task",
        **read: Unpack[HowRead],
    ) -> Task:
        """Build a task from the rows of a pandas or polars data frame; the parameters are those of :meth:`from_file`."""
        from circuitsearch.data import frame_records

        return cls._from_records(frame_records(frame, name), tokenizer, metric, **read)

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        tokenizer: Tokenizer | None = None,
        metric: Metric | None = None,
        *,
        name: str = "task",
        **read: Unpack[HowRead],
    ) -> Task:
        """Build a task from a split of a Hugging Face dataset; the parameters are those of :meth:`from_file`."""
        from circuitsearch.data import dataset_records

        return cls._from_records(dataset_records(dataset, name), tokenizer, metric, **read)

    @classmethod
    def _from_records(
        cls,
        records: Any,
        tokenizer: Tokenizer | None,
        metric: Metric | None,
        *,
        columns: Mapping[str, str] | None = None,
        chat: bool = False,
        align: Alignment | str = ERROR,
    ) -> Task:
        from circuitsearch.data import encoded

        found = encoded(records, tokenizer, columns, chat).checked(partial(check_row, align=align))
        given = found.columns()
        try:
            return cls.from_ids(**given, metric=metric or found.metric, align=align)
        except InputError as error:
            raise InputError(f"{found.source}: {error}" if found.source else str(error)) from None

    def __post_init__(self) -> None:
        if not self.clean:
            raise InputError(f"task {self.name!r} has no examples: give at least one pair of prompts")
        check_counts({name: getattr(self, name) for name in self._columns})
        if self.writer is not None:
            object.__setattr__(self, "writer", self._own_writer(self.writer))
        columns = zip(self.clean, self.corrupt, self.answers, self.wrong, self.position, strict=True)
        for row, (clean, corrupt, answers, wrong, position) in enumerate(columns, 1):
            positions = self.aligned[row - 1] if self.aligned else None
            problem = prompt_problem(clean, corrupt, position, positions) or (
                forced_problem(answers, wrong, position) if self.teacher_forced else answers_problem(answers, wrong)
            )
            if problem:
                raise InputError(f"row {row}: {problem}")
        for row, (ids, spans) in enumerate(zip(self.clean, self.spans, strict=False), 1):
            for name, places in spans.items():
                if not all(0 <= place < len(ids) for place in places):
                    raise InputError(
                        f"row {row}: the span {name!r} is outside the prompt of {len(ids)} tokens: {shortened(places)}"
                    )

    def _own_writer(self, writer: PromptWriter) -> PromptWriter:
        """The writer with this task's name and metric, which it may have been given after it was written."""
        strange = next((row for row, group in enumerate(self.groups, 1) if group not in writer.by_group), None)
        if strange is not None:
            raise InputError(
                f"task {self.name!r}, row {strange}: the task's writer has no group {self.groups[strange - 1]}: with other"
                " groups give writer=None, too"
            )
        return replace(writer, task=self.name, metric=self.metric)

    def check_prompts_differ(self) -> None:
        """Raise an InputError that names the row unless each pair of prompts differs before or at the metric's position."""
        for row, (clean, corrupt, position) in enumerate(zip(self.clean, self.corrupt, self.position, strict=True), 1):
            last = int(self.aligned[row - 1][position]) if self.aligned else position
            if torch.equal(clean[: position + 1], corrupt[: last + 1]):
                where = "" if torch.equal(clean, corrupt) else f" up to token {position}, where the metric reads"
                raise InputError(
                    f"task {self.name!r}, row {row}: the clean and the corrupt prompt are the same{where}, so patching"
                    " changes nothing: change a token of the corrupt prompt there"
                )

    def check_spans(self, names: Sequence[str]) -> None:
        """Raise an InputError unless every prompt has a token for each of these spans, and no token for two of them."""
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
                    " need prompts of that length: use only those, or named spans"
                )

    def check_vocabulary(self, size: int) -> None:
        """Raise an InputError that names the row if any id is outside 0 ... ``size`` - 1."""
        for row, columns in enumerate(zip(self.clean, self.corrupt, self.answers, self.wrong, strict=True), 1):
            for ids in filter(len, columns):
                if int(ids.min()) < 0 or int(ids.max()) >= size:
                    bad = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
                    raise InputError(
                        f"task {self.name!r}, row {row}: token id {bad} is outside the model's vocabulary"
                        f" of {size}: tokenise the prompts with the model's own tokenizer"
                    )

    # ---- using one

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def max_length(self) -> int:
        """Length of the longest prompt, in tokens."""
        return max(len(ids) for ids in (*self.clean, *self.corrupt))

    @property
    def span_names(self) -> tuple[str, ...]:
        """Names of the token spans, in the order in which they are first named."""
        return tuple(dict.fromkeys(name for spans in self.spans for name in spans))

    def of_length(self, length: int) -> Task:
        """The task with only its prompts of ``length`` tokens.

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
        """The task with only these rows, in this order; its writer has only the pools of their groups."""
        columns = {name: tuple(getattr(self, name)[row] for row in rows) for name in self._columns}
        writer = self.writer and self.writer.of_groups(columns["groups"])
        return replace(self, **columns, writer=writer)

    @property
    def _columns(self) -> tuple[str, ...]:
        """Names of the attributes with one entry for each prompt."""
        optional = [name for name in ("spans", "factors", "aligned") if getattr(self, name)]
        return "clean", "corrupt", "answers", "wrong", "position", "groups", *optional

    def fresh(self, n: int, seed: int = 0) -> Task:
        """Write ``n`` new prompts from the pools of this task: the same names, words and templates, combined at random.

        Raises
        ------
        InputError
            If the task has no writer, as one from a file or from ids, or the pools do not allow ``n`` different prompts.

        Examples
        --------
        >>> import circuitsearch as cs
        >>> cs.tasks.greater_than(cs.load("pico")[1], n=8).fresh(3, seed=1)
        Task('greater_than', 3 examples, metric=prob_diff)
        """
        if self.writer is None:
            raise InputError(
                f"task {self.name!r} cannot write new prompts, because its prompts were given as text or ids:"
                " use its own prompts, or one of the named tasks"
            )
        return self.writer.draw(n, seed)

    def split(self, fraction: float = 0.5, seed: int = 0) -> tuple[Task, Task]:
        """Split the task in two by whole groups, so that the second part's names and templates are new.

        Rows with the same clean prompt stay together, whatever their groups.

        Raises
        ------
        InputError
            If the fraction is not between 0 and 1, or there is only one group.
        """
        if not 0 < fraction < 1:
            raise InputError(f"the fraction of a split must be between 0 and 1, not {fraction}")
        first, second = self.parts((fraction, 1 - fraction), seed)
        return first, second

    def parts(self, fractions: Sequence[float], seed: int = 0) -> tuple[Task, ...]:
        """Divide the task into parts by whole groups, so that each part's names and templates are new to the others.

        Rows with the same clean prompt stay together, whatever their groups. If there are fewer groups than parts, the
        last part still has groups of its own, and the other parts have different prompts of the remaining groups.

        Parameters
        ----------
        fractions
            Share of the prompts in each part, which add up to 1; each part has the number of groups closest to it, at least one.
        seed
            The same seed gives the same parts.

        Raises
        ------
        InputError
            If a fraction is not between 0 and 1 or they do not add up to 1, there is only one group, or there are too few
            different prompts.

        Examples
        --------
        >>> import circuitsearch as cs
        >>> task = cs.tasks.ioi(cs.load("pico")[1], n=96)
        >>> [(len(part), len(set(part.groups))) for part in task.parts((0.5, 0.25, 0.25))]
        [(48, 6), (24, 3), (24, 3)]
        """
        if not all(0 < fraction < 1 for fraction in fractions) or not math.isclose(sum(fractions), 1):
            raise InputError(
                f"the fractions of the parts must be between 0 and 1 and add up to 1, not {shortened(list(fractions), 80)}"
            )
        groups = self.split_groups
        if len(set(groups)) < 2:
            raise InputError(
                f"task {self.name!r} cannot be split: all its examples ({len(self)}) belong to one group, so none would be"
                " held out; give more, different examples, or search and report on the same ones, without held-out prompts"
            )
        if len(set(groups)) < len(fractions):
            return self._parts_that_share_groups(fractions, seed)
        return tuple(self.subset(rows) for rows in divided(groups, fractions, seed))

    def _parts_that_share_groups(self, fractions: Sequence[float], seed: int) -> tuple[Task, ...]:
        """The last part has groups of its own; the others have different prompts of the remaining groups."""
        *others, last = fractions
        rest, new = self.split(1 - last, seed)
        prompts = numbered(tuple(ids.tolist()) for ids in rest.clean)
        if len(set(prompts)) < len(others):
            raise InputError(
                f"task {self.name!r} has too few different prompts for {len(fractions)} parts: give more prompts or groups"
            )
        shared = divided(prompts, [fraction / sum(others) for fraction in others], seed)
        return (*(rest.subset(rows) for rows in shared), new)

    @property
    def split_groups(self) -> list[int]:
        """For each prompt the group that stays together in a split: prompts of one group or with the same clean prompt."""
        return list(joined(self.groups, [tuple(ids.tolist()) for ids in self.clean]))

    def batches(self, size: int | None = None, *, share_prefix: bool = True, pad: bool = False) -> Iterator[Batch]:
        """Yield the examples in batches of at most ``size`` rows that together cost least (:mod:`circuitsearch.batching`).

        A batch starts at the earliest first difference among its rows or, with ``share_prefix`` off, at position 0. With
        ``pad`` prompts of different lengths come together, and shorter ones are padded on the right with their last token:
        use it for causal models only, in which padding changes nothing before it.
        """
        extents = [(self._first_difference(row) if share_prefix else 0, len(ids)) for row, ids in enumerate(self.clean)]
        for alike in self._of_equal_reads():
            for places in batched([extents[row] for row in alike], size or len(self), mix_lengths=pad):
                rows = [alike[place] for place in places]
                yield self._batch(rows, min(extents[row][0] for row in rows))

    def _of_equal_reads(self) -> list[list[int]]:
        """The rows, those together of which the metric reads as many positions."""
        numbers = [self._reads(row) for row in range(len(self))]
        return [[row for row, number in enumerate(numbers) if number == one] for one in sorted(set(numbers))]

    def _reads(self, row: int) -> int:
        """At how many positions the metric reads a prompt."""
        return len(self.answers[row]) if self.teacher_forced else 1

    def _first_difference(self, row: int) -> int:
        """Length of the prefix that both prompts share and that is before the metric's positions."""
        differs = torch.nonzero(
            differing(self.clean[row], self.corrupt[row], self.aligned[row] if self.aligned else None)
        )
        first = int(differs[0]) if len(differs) else len(self.clean[row]) - 1
        return min(first, self.position[row] - self._reads(row) + 1)

    def _batch(self, rows: list[int], start: int) -> Batch:
        position = torch.tensor([self.position[row] for row in rows])  # (B,)
        if self.teacher_forced:
            position = position[:, None] - torch.arange(self._reads(rows[0]) - 1, -1, -1)  # (B, K)
        return Batch(
            rows=torch.tensor(rows),
            clean=filled([self.clean[row] for row in rows]),
            corrupt=filled([self.corrupt[row] for row in rows]),
            lengths=torch.tensor([len(self.clean[row]) for row in rows]),
            answers=padded([self.answers[row] for row in rows]),
            wrong=padded([self.wrong[row] for row in rows]),
            position=position,
            start=start,
            aligned=filled([self.aligned[row] for row in rows]) if self.aligned else None,
            spans=tuple(self.spans[row] for row in rows) if self.spans else (),
        )

    def digest(self, spans: Sequence[str] = ()) -> str:
        """SHA-256 over the prompts: ids, answers, positions, and the ``spans`` that are used.

        The metric has a digest of its own (:func:`circuitsearch.metric_contract.metric_digest`).
        """
        columns = [[ids.tolist() for ids in c] for c in (self.clean, self.corrupt, self.answers, self.wrong)]
        content: list[Any] = [*columns, list(self.position), *(["teacher-forced"] if self.teacher_forced else [])]
        content += [[positions.tolist() for positions in self.aligned]] if self.aligned else []
        if spans:
            content.append([{name: list(places[name]) for name in spans} for places in self.spans])
        return _sha256(content)

    def prompt_digests(self) -> tuple[str, ...]:
        """16 hexadecimal digits for each pair of prompts, from its clean and corrupt ids and the position that is read.

        They do not depend on the order of rows, so they identify the prompts that two tasks have in common.
        """
        rows = zip(self.clean, self.corrupt, self.position, strict=True)
        return tuple(_sha256([clean.tolist(), corrupt.tolist(), position])[:16] for clean, corrupt, position in rows)

    @property
    def n_distinct(self) -> int:
        """Number of different pairs of prompts."""
        return len(set(self.prompt_digests()))

    def distinct(self) -> Task:
        """The task without duplicate pairs of prompts."""
        first = {digest: row for row, digest in reversed(list(enumerate(self.prompt_digests())))}
        return self if len(first) == len(self) else self.subset(sorted(first.values()))

    def _repr_html_(self) -> str:
        return show.as_html(self)

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {counted(len(self), 'example')}, metric={metric_name(self.metric)})"


def check_row(columns: Mapping[str, Any], align: Alignment | str = ERROR) -> None:
    """Raise an InputError unless columns of one entry are a task; padding is not looked for, since it shows beside others.

    A row that is to be left out is not refused.
    """
    lengths = [len(columns[side][0]) for side in ("clean", "corrupt")]
    if len(set(lengths)) == 1 or not isinstance(ALIGNMENTS.read(align), Drop):
        Task.from_ids(**columns, lengths=[max(lengths)], align=align)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _after_alignment(given: Mapping[str, Any], align: Alignment) -> dict[str, Any]:
    """The columns of the rows that an alignment keeps, with what it says of them."""
    others = (
        given.get("spans") or ({},) * len(given["clean"]),
        given.get("corrupt_spans") or ({},) * len(given["clean"]),
    )
    rows = [Row(*each) for each in zip(given["clean"], given["corrupt"], *others, strict=True)]
    found = align.align(rows)
    columns = {
        name: tuple(column[row] for row in found.kept) for name, column in given.items() if name != "corrupt_spans"
    }
    return {**columns, "aligned": found.positions, "note": found.note}
