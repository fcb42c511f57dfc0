"""A small sample of what is run by hand: spoiled files end in a value or in one sentence."""

from __future__ import annotations

import pytest

from benchmarks.fuzz.files import spoiled_files
from benchmarks.fuzz.readers import READERS

OTHERS = ("scores.journal", "task of ids", "task of texts", "config.json", "weights' index")


@pytest.mark.rounded
@pytest.mark.parametrize("reader", READERS.keys() - OTHERS)
def test_a_spoiled_file_is_a_value_or_one_sentence(reader: str):
    """No other exception, no hang, no growth, and nothing left behind; ``python -m benchmarks.fuzz files`` runs 20,000."""
    wrong = [(seed, outcome) for _, seed, outcome in spoiled_files(60, seed=0, only=reader) if not outcome.right]
    assert not wrong
