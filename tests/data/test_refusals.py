"""All rows are tried; the first ten that are refused are shown, and all are counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

import circuitsearch as cs
from circuitsearch import Task
from circuitsearch.data import RowsRefused
from circuitsearch.errors import InputError

GOOD = ("The capital of France is", "The capital of Italy is", " Paris", " Rome")
LONG = (GOOD[0], "The capital of Italy and Spain is", *GOOD[2:])
BARE = (*GOOD[:2], "Paris", "Rome")
SAME = (GOOD[0], GOOD[0], *GOOD[2:])


def test_the_first_ten_and_the_count(bpe: Any):
    """The sentence has the number and the first; the note has ten places with their reasons."""
    with pytest.raises(RowsRefused) as caught:
        Task.from_texts([GOOD, LONG, BARE, SAME, *[BARE] * 9, GOOD], bpe)
    error = caught.value
    assert str(error).startswith(
        "12 of 14 rows are refused; the first is row 2: the clean prompt has 5 tokens and the corrupt one 7"
    )
    assert [refusal.place for refusal in error.refused] == [f"row {number}" for number in range(2, 14)]
    assert "the clean and the corrupt prompt are the same" in error.refused[2].reason
    lines = error.__notes__[0].splitlines()
    assert (
        len(lines) == 11
        and lines[1].startswith("  row 3: the answer 'Paris' would")
        and lines[-1] == "  ... and 2 more"
    )


def test_one_refused_row_is_one_sentence(bpe: Any):
    """Its place and its reason are all there is to say."""
    with pytest.raises(RowsRefused, match=r"^row 2: the answer 'Paris' would continue") as caught:
        Task.from_texts([GOOD, BARE], bpe)
    assert not hasattr(caught.value, "__notes__")


def test_padding_is_looked_for_in_all_rows_together():
    """A prompt that ends in a word said three times is not padded, if others do not."""
    rows = [
        {"clean_ids": [1, 2, 9, 9, 9], "corrupt_ids": [1, 3, 9, 9, 9], "answer_id": 4, "wrong_id": 5},
        {"clean_ids": [1, 2, 6, 7], "corrupt_ids": [1, 3, 6, 7], "answer_id": 4, "wrong_id": 5},
    ]
    assert len(Task.from_texts(rows)) == 2
    rows[1]["clean_ids"], rows[1]["corrupt_ids"] = [1, 2, 7, 9, 9], [1, 3, 7, 9, 9]
    with pytest.raises(InputError, match="row 1 seems to be padded"):
        Task.from_texts(rows)


def test_lines_of_every_kind_of_fault(read, bpe: Any):
    """Broken JSON, missing keys and bad answers are counted together, in the order of the lines."""
    good = dict(zip(("clean", "corrupt", "answer", "wrong"), GOOD, strict=True))
    texts = [
        json.dumps(good),
        "{",
        json.dumps(good | {"answer": "Paris"}),
        '{"clean": "a"}',
        json.dumps(good | {"corrupt": GOOD[0]}),
    ]
    with pytest.raises(
        RowsRefused, match=r"4 of 5 rows are refused; the first is .*mine\.jsonl, line 2: not JSON"
    ) as caught:
        read("\n".join(texts), "mine.jsonl")
    assert [refusal.place for refusal in caught.value.refused] == ["line 2", "line 3", "line 4", "line 5"]


def test_the_command_line_shows_them(tmp_path, capsys):
    """Below the sentence, with control characters escaped."""
    file = tmp_path / "mine.jsonl"
    row = {"clean_ids": [1], "corrupt_ids": [2], "answer_id": 3, "wrong_id": 3, "clean\x1b[2J": 1}
    file.write_text("".join(json.dumps(row) + "\n" for _ in range(12)))
    from circuitsearch.cli import main

    assert main(["score", str(file)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12 and "12 of 12 rows are refused" in lines[0]
    assert lines[1].startswith("  line 1: token 3 is given as right and as wrong") and lines[-1] == "  ... and 2 more"


def test_rows_of_one_task_all_or_none_have_groups(bpe: Any):
    """The first without one is named."""
    row = dict(zip(("clean", "corrupt", "answer", "wrong"), GOOD, strict=True))
    with pytest.raises(InputError, match="row 2 has no group"):
        cs.Task.from_texts([row | {"group": 1}, row], bpe)
