"""Lists, data frames and datasets."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from circuitsearch import Task
from circuitsearch.errors import InputError

PAIR = ("The capital of France is", "The capital of Italy is", " Paris", " Rome")
ROW: dict[str, Any] = dict(zip(("clean", "corrupt", "answer", "wrong"), PAIR, strict=True))
TEXTS = [(*PAIR[:2], [PAIR[2]], [PAIR[3]])]


class Polars:
    """As much of a polars data frame as is used."""

    columns = tuple(ROW)

    def to_dicts(self) -> list[dict[str, Any]]:
        return [ROW]


class Pandas:
    """As much of a pandas data frame as is used; a missing value is NaN."""

    columns = (*ROW, "group")

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [ROW | {"group": math.nan, "position": np.int64(4), "clean": np.str_(PAIR[0])}]


def test_lists(bpe: Any, words):
    """Dicts, fours, and both; arrays and tensors of ids."""
    assert words(Task.from_texts([ROW, PAIR, list(PAIR)], bpe)) == TEXTS * 3
    ids = {
        "clean_ids": torch.tensor([1, 2]),
        "corrupt_ids": np.array([1, 3]),
        "answer_id": np.int64(4),
        "wrong_id": (5, 6),
    }
    task = Task.from_texts([ids], name="mine")
    assert (task.name, task.clean[0].tolist(), task.wrong[0].tolist()) == ("mine", [1, 2], [5, 6])


def test_a_list_that_was_saved_as_json(read, words):
    """An array of fours, as Python's json writes tuples."""
    assert words(read(json.dumps([PAIR, PAIR]), "mine.json")) == TEXTS * 2
    with pytest.raises(InputError, match="row 1: not a JSON object"):
        read(json.dumps([PAIR[:3]]), "mine.json")


def test_a_generator_of_rows_is_read_once(bpe: Any, words):
    """Whatever yields rows will do."""
    assert words(Task.from_texts((row for row in [ROW]), bpe)) == TEXTS


@pytest.mark.parametrize("frame", [Polars(), Pandas()], ids=["polars", "pandas"])
def test_data_frames(frame: Any, bpe: Any, words):
    """By what they can do; neither library is imported."""
    assert words(Task.from_dataframe(frame, bpe)) == TEXTS


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_real_data_frames(library: str, bpe: Any, words):
    """Where the libraries are installed, their own frames are read."""
    frame = pytest.importorskip(library).DataFrame({name: [value, value] for name, value in ROW.items()})
    assert words(Task.from_dataframe(frame, bpe)) == TEXTS * 2


class Split:
    """As much of a split of a Hugging Face dataset as is used: it gives its rows one after another."""

    def __iter__(self):
        yield from (ROW, ROW)


def test_a_split_of_a_dataset(bpe: Any, words):
    """Its rows are read; the library is not imported."""
    assert words(Task.from_dataset(Split(), bpe)) == TEXTS * 2


@pytest.mark.parametrize(
    ("make", "given", "says"),
    [
        (Task.from_texts, ROW, "the rows are a dict: give a list of dicts"),
        (Task.from_texts, "mine.csv", "the rows are a str"),
        (Task.from_texts, 7, "the rows are a int"),
        (Task.from_texts, [], "the list has no rows"),
        (
            Task.from_texts,
            [PAIR[:3]],
            r"row 1: it is \('The capital.*give a dict, or \(clean, corrupt, answer, wrong\)",
        ),
        (Task.from_texts, [ROW | {"answer": 7}], "row 1: at 'answer.* write it in quotation marks .*name it answer_id"),
        (Task.from_texts, [ROW | {"answer": "\ud800"}], "half a surrogate pair"),
        (Task.from_texts, [ROW | {"group": object()}], "row 1: at 'group"),
        (Task.from_dataframe, [ROW], "a list is not a data frame"),
        (Task.from_dataset, {"train": [ROW], "test": []}, r"the dataset has splits \(train, test\): give one of them"),
        (Task.from_dataset, 7, "a int is not a dataset"),
    ],
)
def test_what_is_no_list_of_rows(make: Any, given: Any, says: str, bpe: Any):
    """One sentence that says what to give."""
    with pytest.raises(InputError, match=says):
        make(given, bpe)
