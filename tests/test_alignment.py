"""Pairs of unequal lengths: refused, left out, or aligned by the spans that differ."""

from __future__ import annotations

import pytest
import torch

from circuitsearch.alignment import Drop, Error, Row, Span
from circuitsearch.errors import InputError
from circuitsearch.example import Example
from circuitsearch.registry import ALIGNMENTS
from circuitsearch.task import Task


def row(clean: list[int], corrupt: list[int], spans=None, others=None) -> Row:
    return Row(torch.tensor(clean), torch.tensor(corrupt), spans or {}, others or {})


@pytest.mark.parametrize(
    ("clean", "corrupt", "positions"),
    [
        ([1, 2, 9, 3, 4], [1, 2, 7, 8, 3, 4], [0, 1, 3, 4, 5]),  # 9 is read at the end of 7, 8
        ([1, 2, 7, 8, 3, 4], [1, 2, 9, 3, 4], [0, 1, 2, 2, 3, 4]),
        ([5, 6, 7, 3], [8, 9, 3], [0, 0, 1, 2]),  # the last to the last, the first two to the first
        ([1, 1, 2], [1, 1, 3, 1, 2], None),  # the clean prompt has nothing where the corrupt one has two tokens
        ([1, 4, 2], [1, 5, 2], [0, 1, 2]),
    ],
)
def test_the_tokens_that_differ_are_matched_from_their_ends(clean, corrupt, positions):
    """Without named spans they are what is between the common beginning and the common end."""
    rows = [row(clean, corrupt), row([1, 2, 3], [1, 4, 5, 3])]
    if positions is None:
        with pytest.raises(
            InputError, match="row 1: 0 tokens of the clean prompt, from position 2, cannot correspond to 2"
        ):
            Span().align(rows)
        return
    found = Span().align(rows)
    assert found.kept == (0, 1) and found.positions[0].tolist() == positions


def test_named_spans_are_matched_one_by_one():
    """Two names that differ in length, and the tokens between them one to one, even if the prompts are as long as each other."""
    clean, corrupt = [1, 20, 21, 5, 6, 30, 7], [1, 40, 5, 6, 50, 51, 7]
    spans, others = {"IO": (1, 2), "S": (5,)}, {"S": (4, 5), "IO": (1,)}
    assert Span().align([row(clean, corrupt, spans, others)]).positions[0].tolist() == [0, 1, 1, 2, 3, 5, 6]
    with pytest.raises(
        InputError, match="row 1: 3 tokens of the clean prompt, from position 3, cannot correspond to 2"
    ):
        Span().align([row([1, 20, 21, 5, 6, 8, 30, 7], corrupt, {"IO": (1, 2), "S": (6,)}, others)])
    assert Span().align([row([1, 2], [1, 3])]).positions == ()


def test_rows_that_differ_are_left_out_and_counted():
    """The note names the first three; columns keep to their rows; if none is left, the sentence says what else to do."""
    clean = [[1, 2], [1, 2, 3], [4, 5], [1, 2, 3], [6, 7, 8], [9, 9, 9]]
    corrupt = [[1, 3], [1, 2], [4, 6], [1, 2], [6, 7], [9, 9]]
    numbers = list(range(10, 16))
    task = Task.from_ids(clean, corrupt, numbers, [1] * 6, groups=numbers, align="drop")
    assert task.note == "4 of 6 rows left out, whose prompts differ in length: 2, 4, 5 ..."
    assert [ids.tolist() for ids in task.answers] == [[10], [12]] and task.groups == (10, 12) and not task.aligned
    assert Drop().align([row([1], [2])]).note == ""
    with pytest.raises(InputError, match=r"each of 1 row .* none is left.*--align"):
        Task.from_ids([[1, 2]], [[1]], [3], [4], align=Drop())


def test_an_error_says_where_and_what_to_do():
    """The row, both lengths, the place, and the other alignments."""
    with pytest.raises(
        InputError, match=r"row 1: .* 2 tokens .* 3 \(1 token from position 0 against 2\): use a word of as many"
    ):
        Task.from_ids([[1, 2]], [[3, 4, 2]], [3], [4])
    assert [ALIGNMENTS.read(name) for name in ("error", "drop", "Span()")] == [Error(), Drop(), Span()]


def test_a_task_checks_and_keeps_its_alignment():
    """It is part of the task's identity, follows its rows, and a wrong one is refused."""
    task = Task.from_ids([[1, 2, 3], [1, 5, 3]], [[1, 8, 9, 3], [1, 6, 3]], [4, 5], [5, 4], align="span")
    assert task.note == "1 of 2 pairs aligned by spans, since their prompts differ in length"
    assert task.subset([1]).aligned[0].tolist() == [0, 1, 2] and task.subset([0]).aligned[0].tolist() == [0, 2, 3]
    assert [batch.start for batch in task.batches()] == [1] and task.max_length == 4
    (batch,) = task.batches()
    assert batch.differs.tolist() == [[False, True, True], [False, True, False]]
    moved = Task(**{**vars(task), "aligned": (torch.tensor([0, 1, 3]), task.aligned[1])})
    assert moved.digest() != task.digest()
    for wrong in ([0, 2, 4], [0, 2], [2, 0, 3]):
        with pytest.raises(InputError, match="row 1: aligned must have"):
            Task(**{**vars(task), "aligned": (torch.tensor(wrong), task.aligned[1])})


def test_answers_of_several_tokens_can_be_aligned():
    """The answer's tokens follow both prompts, one to one."""
    task = Task.from_ids([[1, 2, 3]], [[1, 8, 9, 3]], [[4, 5]], None, align="span")
    assert task.clean[0].tolist() == [1, 2, 3, 4] and task.aligned[0].tolist() == [0, 2, 3, 4]


def test_texts_name_the_spans_of_both_prompts():
    """The characters of the corrupt text's spans are turned into its tokens."""
    import circuitsearch as cs

    _, tokenizer = cs.load("pico")
    texts = "Mary and John left . Mary gave it to", "Tom and Susan Paul left . Susan Paul gave it to"
    example = Example(
        *texts, (" John",), (" Mary",),
        spans={"A": (0, 4), "B": (9, 13), "C": (21, 25)}, corrupt_spans={"A": (0, 3), "B": (8, 18), "C": (26, 36)},
    )  # fmt: skip
    task = Task.from_examples("names", [example], tokenizer, align="span")
    start = len(task.clean[0]) - 9  # tokens that the tokenizer puts first
    assert [place - start for place in task.aligned[0][start:].tolist()] == [0, 1, 3, 4, 5, 7, 8, 9, 10]


def test_a_row_of_a_file_names_the_spans_of_both_prompts():
    """By positions; without those of the corrupt prompt what differs is one span."""
    row = {"clean_ids": [1, 2, 5, 3, 6], "corrupt_ids": [1, 7, 8, 5, 9, 3, 6], "answer_id": 1, "wrong_id": 2}
    row |= {"spans": {"A": 1, "B": [2]}}
    named = Task.from_texts([row | {"corrupt_spans": {"A": [1, 2], "B": [3, 4]}}], align="span")
    assert named.aligned[0].tolist() == [0, 2, 4, 5, 6]
    assert named.spans == ({"A": (1,), "B": (2,)},)
    assert Task.from_texts([row], align="span").aligned[0].tolist() == [0, 3, 4, 5, 6]
    with pytest.raises(InputError, match="corrupt_spans"):
        Task.from_texts([row | {"corrupt_spans": {"A": "first"}}], align="span")
