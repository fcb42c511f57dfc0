"""A search that was interrupted goes on from its checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.history import Judged, Measured, Pass
from circuitsearch.search.checkpoint import TENSORS, Checkpoint
from circuitsearch.search.passes import State

PASSES = (
    Pass(1, 3, Measured(0.7, 0.1), Measured(0.6, 0.05), 2.6),
    Pass(2, 2, Measured(0.5, float("inf")), Measured(0.4, 0.2), 5.2, Judged(*[Measured(0.9, 0.1)] * 3)),
)


@pytest.fixture
def state() -> State:
    inside = torch.tensor([True, False, True, True])
    gain = torch.rand(4, dtype=torch.float64)
    start = State(inside, gain, gain / 2, torch.stack([inside, ~inside]), dropped=0.25, forwards=5.2)
    return replace(start, passes=PASSES, best_at=0, trust=0.3, since=1)


def test_a_state_is_read_back_as_it_was(state: State, tmp_path: Path):
    """Every tensor, every pass and every number, so that the next pass is the one that would have followed."""
    Checkpoint(tmp_path / "search", {"seed": 0}).save(state)
    read = Checkpoint(tmp_path / "search", {"seed": 0}).load()
    assert read is not None
    assert all(torch.equal(getattr(read, name), getattr(state, name)) for name in TENSORS)
    assert replace(read, **{name: getattr(state, name) for name in TENSORS}) == state


def test_a_state_before_any_pass_is_read_back(state: State, tmp_path: Path):
    """No pass is done and nothing is measured on the stopping prompts."""
    Checkpoint(tmp_path / "search", {}).save(replace(state, passes=(), circuits=state.circuits[:0], best_at=None))
    read = Checkpoint(tmp_path / "search", {}).load()
    assert read is not None and read.passes == () and read.best_pass is None
    assert torch.equal(read.best, state.inside)


def test_a_file_without_one_circuit_for_each_pass_is_an_error(state: State, tmp_path: Path):
    """As one that another version wrote."""
    Checkpoint(tmp_path / "search", {}).save(replace(state, circuits=state.circuits[:1]))
    with pytest.raises(InputError, match="remove it to begin anew"):
        Checkpoint(tmp_path / "search", {}).load()


def test_the_checkpoint_of_another_search_is_an_error(state: State, tmp_path: Path):
    """A search with other settings does not go on from it."""
    Checkpoint(tmp_path / "search", {"seed": 0}).save(state)
    with pytest.raises(InputError, match="other settings"):
        Checkpoint(tmp_path / "search", {"seed": 1}).load()


def test_a_damaged_checkpoint_is_an_error(state: State, tmp_path: Path):
    """Half of a file is not read as a search."""
    file = tmp_path / "search"
    Checkpoint(file, {}).save(state)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match="remove it to begin anew"):
        Checkpoint(file, {}).load()


def test_a_flipped_bit_is_noticed(state: State, tmp_path: Path):
    """In the numbers as in the words: each place of the file in turn."""
    file = tmp_path / "search"
    Checkpoint(file, {}).save(state)
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in (*range(header, len(whole), max(1, (len(whole) - header) // 40)), whole.index(b"trust") + 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(InputError, match="remove it to begin anew"):
            Checkpoint(file, {}).load()
    file.write_bytes(whole)
    assert Checkpoint(file, {}).load() is not None
