"""Tasks and batches as data."""

from __future__ import annotations

import json

import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.task import Task


def ids_row(**changes) -> str:
    """A line of a task file, with changes."""
    row = {"clean_ids": [1, 2, 3], "corrupt_ids": [1, 5, 3], "answer_id": 4, "wrong_id": 6} | changes
    return json.dumps({key: value for key, value in row.items() if value is not None})


def test_buckets_hold_one_length_and_start_before_every_difference():
    """Each batch has prompts of one length that agree before its start, and every row comes once."""
    clean = [[1, 2, 3, 4], [1, 2, 3, 4], [9, 9, 9], [1, 2, 3, 5]]
    corrupt = [[1, 2, 3, 7], [1, 7, 3, 4], [9, 9, 8], [1, 2, 7, 5]]
    task = Task.from_ids(clean, corrupt, [0] * 4, [1] * 4)
    batches = list(task.batches())
    assert sorted(torch.cat([b.rows for b in batches]).tolist()) == [0, 1, 2, 3]
    for batch in batches:
        assert torch.equal(batch.clean[:, : batch.start], batch.corrupt[:, : batch.start])


def test_rows_that_differ_much_later_get_a_bucket_of_their_own():
    """Merging stops where it would run many tokens twice."""
    clean = torch.ones(40, 50, dtype=torch.long)
    corrupt = clean.clone()
    corrupt[:20, 2], corrupt[20:, 40] = 2, 2
    task = Task.from_ids(clean, corrupt, [0] * 40, [1] * 40)
    batches = list(task.batches())
    assert [batch.start for batch in batches] == [2, 40] and sum(map(len, batches)) == 40


def test_batches_are_no_larger_than_asked():
    """A size caps every batch, and sharing can be turned off."""
    task = Task.from_ids([[1, 2]] * 7, [[1, 3]] * 7, [0] * 7, [1] * 7)
    assert [len(batch) for batch in task.batches(3)] == [3, 3, 1]
    assert {batch.start for batch in task.batches(3, share_prefix=False)} == {0}


def test_a_metric_read_before_the_difference_keeps_its_position():
    """The shared prefix never swallows the position that the metric reads."""
    task = Task.from_ids([[1, 2, 3, 4]], [[1, 2, 3, 5]], [0], [1], position=[1])
    assert next(iter(task.batches())).start == 1


def test_answers_of_different_counts_are_padded():
    """Several right answers stand beside one, padded with -1."""
    task = Task.from_ids([[1], [2]], [[2], [3]], [[5, 6], [7]], [[8], [9]])
    assert next(iter(task.batches())).answers.tolist() == [[5, 6], [7, -1]]


def test_split_keeps_groups_whole():
    """No group stands on both sides, every row stands on one, and the seed decides."""
    task = Task.from_ids([[i] for i in range(20)], [[99]] * 20, [1] * 20, [2] * 20, groups=[i // 5 for i in range(20)])
    first, second = task.split(0.5, seed=1)
    assert not set(first.groups) & set(second.groups) and len(first) == len(second) == 10
    assert first.digest() == task.split(0.5, seed=1)[0].digest()
    assert len({task.split(0.5, seed=s)[0].digest() for s in range(8)}) > 1


def test_equal_prompts_never_stand_on_both_sides():
    """Without groups given, the same clean prompt counts as one."""
    task = Task.from_ids([[1, 2], [1, 2], [3, 4]], [[1, 3], [1, 4], [3, 5]], [7] * 3, [8] * 3)
    first, second = task.split(0.5)
    assert {len(first), len(second)} == {1, 2}


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 2])
def test_a_split_needs_two_sides(fraction):
    """Fractions at or beyond the ends are refused."""
    with pytest.raises(InputError, match="between 0 and 1"):
        Task.from_ids([[1], [2]], [[3], [3]], [1, 1], [2, 2]).split(fraction)


def test_one_group_cannot_be_split():
    """A task of one group says so."""
    with pytest.raises(InputError, match="belong to one group"):
        Task.from_ids([[1], [2]], [[3], [3]], [1, 1], [2, 2], groups=[0, 0]).split()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (([[1, 2]], [[1]], [1], [2]), "row 1: the clean prompt has 2 tokens and the corrupt one 1"),
        (([[1]], [[2]], [3], [3]), "row 1: token 3 is given as right and as wrong"),
        (([[1]], [[2]], [[]], [3]), "at least one right"),
        (([[]], [[]], [1], [2]), "the prompt is empty"),
        (([[1], [2]], [[1]], [1], [2]), "one entry an example"),
        (([], [], [], []), "no examples"),
    ],
)
def test_ids_that_make_no_task(columns, says):
    """Each fault is named with its row."""
    with pytest.raises(InputError, match=says):
        Task.from_ids(*columns)


def test_ids_beyond_the_vocabulary_name_the_row():
    """An id that the model does not have is named."""
    task = Task.from_ids([[1, 2], [1, 50]], [[1, 3], [1, 3]], [1, 1], [2, 2])
    with pytest.raises(InputError, match="row 2: token id 50 lies outside the model's vocabulary of 40"):
        task.check_vocabulary(40)


def test_a_file_of_ids_is_read(tmp_path):
    """Lines of ids make the task, blank lines are let be, lists of answers are taken whole."""
    path = tmp_path / "mine.jsonl"
    path.write_text(ids_row() + "\n\n" + ids_row(answer_id=[4, 7]) + "\n")
    task = Task.from_file(path)
    assert (task.name, len(task), task.answers[1].tolist()) == ("mine", 2, [4, 7])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"{", "line 1: not JSON"),
        (b"[1]", "line 1: not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (ids_row().encode() + b"\n" + ids_row(wrong_id=None).encode(), "line 2: the key 'wrong_id' is missing"),
        (ids_row(answer_id="x").encode(), "line 1: the key 'answer_id"),
        (ids_row(corrupt_ids=[1]).encode(), "row 1: the clean prompt has 3 tokens and the corrupt one 1"),
        (ids_row(wrong_id=4).encode(), "right and as wrong"),
        (b'{"clean": "a", "corrupt": "b", "answer": "c", "wrong": "d"}', "no tokenizer was given"),
    ],
)
def test_files_that_hold_no_task(tmp_path, content, says):
    """Each fault is one sentence with the file and the line."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        Task.from_file(path)
    assert "bad.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    """A path that is not there is named."""
    with pytest.raises(InputError, match="cannot be read"):
        Task.from_file(tmp_path / "absent.jsonl")


def test_the_digest_sees_every_choice():
    """Ids, answers and positions all change the digest; the name does not."""
    columns = ([[1, 2]], [[1, 3]], [4], [5])
    same = [Task.from_ids(*columns, name=name).digest() for name in "ab"]
    others = [
        Task.from_ids([[1, 4]], *columns[1:]).digest(),
        Task.from_ids(*columns[:3], [6]).digest(),
        Task.from_ids(*columns, position=[0]).digest(),
    ]
    assert same[0] == same[1] and len({same[0], *others}) == 4
