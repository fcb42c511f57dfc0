"""What was measured before a stop is not measured again, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest

from circuitsearch.checked_lines import checksum
from circuitsearch.errors import InputError
from circuitsearch.journal import Journal


def refuse() -> list[list[float]]:
    raise AssertionError("measured twice")


def filled(path) -> bytes:
    """Three measurements in a file."""
    journal = Journal(path, {"a": 1})
    for key in "xyz":
        journal.once(key, [0], lambda key=key: [[float(ord(key))]])
    return path.read_bytes()


def test_every_float_comes_back_bit_for_bit(tmp_path):
    """A second journal of the same file knows the very numbers."""
    values = [0.1 + 0.2, 1e-310, -0.0, 1.7e308]
    Journal(tmp_path / "j", {"a": 1}).once("k", [4], lambda: [values])
    (again,) = Journal(tmp_path / "j", {"a": 1}).once("k", [4], refuse)
    assert [value.hex() for value in again] == [value.hex() for value in values]


def test_how_prompts_are_batched_does_not_matter(tmp_path):
    """What two batches measured answers for one batch of both, in any order."""
    journal = Journal(tmp_path / "j", {})
    journal.once("k", [0, 1], lambda: [[1.0], [2.0]])
    journal.once("k", [2], lambda: [[3.0]])
    assert Journal(tmp_path / "j", {}).once("k", [2, 0, 1], refuse) == [[3.0], [1.0], [2.0]]


def test_a_line_cut_short_is_dropped(tmp_path):
    """Wherever a kill cuts the file, whole lines count and the rest is measured anew, into a file that is whole again."""
    path = tmp_path / "j"
    whole = filled(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert filled(path) == whole


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    """No changed byte of a whole line is believed; a changed last line break leaves a line that was never finished."""
    path = tmp_path / "j"
    whole = filled(path)
    for place in range(len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"line \d+, is damaged"):
            Journal(path, {"a": 1})


@pytest.mark.parametrize(
    "entry",
    [
        {"key": "x", "prompts": [0], "values": [[1.0], [2.0]]},
        {"key": "x", "prompts": [0], "values": [1.0]},
        {"key": "x", "prompts": [0], "values": [[None]]},
        {"key": 3, "prompts": [0], "values": [[1.0]]},
        {"key": "x", "values": [[1.0]]},
        {"key": "x", "prompts": [[0]], "values": [[1.0]]},
        {"key": "x", "prompts": [0], "values": [[10**400]]},
    ],
)
def test_a_line_of_another_shape_is_refused(tmp_path, entry):
    """Also where its checksum is right."""
    path = tmp_path / "j"
    filled(path)
    text = json.dumps(entry).encode()
    path.write_bytes(path.read_bytes() + checksum(text) + b" " + text + b"\n")
    with pytest.raises(InputError, match="line 5, is damaged"):
        Journal(path, {"a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_kept(tmp_path, value):
    """The prompt is named, and no file is left behind."""
    with pytest.raises(InputError, match="the metric of prompt 8 is NaN or infinite"):
        Journal(tmp_path / "j", {}).once("k", [6, 7], lambda: [[1.0], [value]])
    assert not (tmp_path / "j").exists()


def test_other_work_is_refused(tmp_path):
    """A journal of other choices is not mixed in."""
    filled(tmp_path / "j")
    with pytest.raises(InputError, match="measurements of other settings"):
        Journal(tmp_path / "j", {"a": 2})


@pytest.mark.parametrize("content", ["hello\n", "[1]\n", '{"journal": {}}\n{"a": 1}\n'])
def test_what_is_no_journal_is_refused(tmp_path, content):
    """Any other file is named and left alone."""
    path = tmp_path / "j"
    path.write_text(content)
    with pytest.raises(InputError, match="not a line of a journal"):
        Journal(path, {})
    assert path.read_text() == content


def test_without_a_file_nothing_is_kept():
    """In memory alone each call measures."""
    journal = Journal()
    assert journal.once("k", [0], lambda: [[1.0]]) == [[1.0]]
    assert journal.once("k", [0], lambda: [[2.0]]) == [[2.0]]
