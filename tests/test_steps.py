"""Steps that were finished before a stop are not done again, and nothing else is taken for them."""

from __future__ import annotations

import pytest

from circuitsearch.errors import InputError
from circuitsearch.steps import Steps


def refuse() -> list[float]:
    raise AssertionError("done twice")


def test_a_step_is_done_once(tmp_path):
    """Also by another object of the same file, to the bit."""
    steps = Steps(tmp_path / "s", list[float], lambda: {"a": (1, 2)})
    assert steps.once("x", lambda: [0.1 + 0.2]) == [0.1 + 0.2]
    again = Steps(tmp_path / "s", list[float], lambda: {"a": (1, 2)})
    assert again.once("x", refuse) == [0.1 + 0.2] and again.once("y", lambda: [1.0]) == [1.0]


def test_a_step_cut_short_is_done_again(tmp_path):
    """Wherever a kill cuts the file."""
    Steps(tmp_path / "s", int, dict).once("x", lambda: 1)
    whole = (tmp_path / "s").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "s").write_bytes(whole[:length])
        assert Steps(tmp_path / "s", int, dict).once("x", lambda: 1) == 1
        assert (tmp_path / "s").read_bytes() == whole


def test_damage_and_other_settings_are_refused(tmp_path):
    """A flipped bit, a result of another kind, and steps of other work."""
    path = tmp_path / "s"
    Steps(path, int, lambda: {"a": 1}).once("x", lambda: 1)
    with pytest.raises(InputError, match="other settings"):
        Steps(path, int, lambda: {"a": 2})
    with pytest.raises(InputError, match="line 2, is damaged"):
        Steps(path, list[float], lambda: {"a": 1})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"result": 1', b'"result": 2'))
    with pytest.raises(InputError, match="line 2, is damaged"):
        Steps(path, int, lambda: {"a": 1})
