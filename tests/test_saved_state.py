"""State of work under way is read back whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from circuitsearch import saved_state
from circuitsearch.errors import InputError
from circuitsearch.saved_state import SavedState

TENSORS = {"numbers": torch.rand(3, 2, dtype=torch.float64), "summed": torch.tensor([True, False])}


def state(file: Path, **about: int) -> SavedState:
    return SavedState(file, lambda: about)


def test_it_is_read_back(tmp_path: Path):
    """Tensors bit by bit, and the rest."""
    state(tmp_path / "s").save(TENSORS, {"done": 3})
    read = state(tmp_path / "s").load()
    assert read is not None and read[1] == {"done": 3}
    assert read[0].keys() == TENSORS.keys() and all(torch.equal(read[0][name], TENSORS[name]) for name in TENSORS)


def test_a_flipped_bit_is_noticed(tmp_path: Path):
    """Anywhere in the numbers."""
    file = tmp_path / "s"
    state(file).save(TENSORS)
    whole = file.read_bytes()
    for place in range(8 + int.from_bytes(whole[:8], "little"), len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match="is damaged"):
            state(file).load()


def test_that_of_other_work_is_refused(tmp_path: Path):
    """Its settings are compared by their digest."""
    state(tmp_path / "s", seed=0).save(TENSORS)
    with pytest.raises(InputError, match="other settings"):
        state(tmp_path / "s", seed=1).load()


def test_small_steps_are_kept_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not each of them, and without a path none."""
    state(tmp_path / "s").keep(lambda: TENSORS)
    assert not (tmp_path / "s").exists()
    monkeypatch.setattr(saved_state, "SECONDS", 0)
    state(tmp_path / "s").keep(lambda: TENSORS)
    assert (tmp_path / "s").exists()
    SavedState(None, dict).keep(lambda: pytest.fail("nothing is to be kept"))


def test_settings_are_gathered_only_for_a_file(tmp_path: Path):
    """They may take the digest of all weights, and short work writes none."""
    never = SavedState(tmp_path / "s", lambda: pytest.fail("there is no file"))
    assert never.load() is None
    never.keep(lambda: TENSORS)
