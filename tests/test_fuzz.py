"""A small sample of what is run by hand: spoiled files end in a value or in one sentence."""

from __future__ import annotations

import pytest

from benchmarks.fuzz.commands import wrong_commands
from benchmarks.fuzz.files import spoiled_files
from benchmarks.fuzz.readers import READERS

# A config.json that promises a larger model than its weights hold is refused only when transformers has allocated it.
LARGER_THAN_ITS_WEIGHTS = "config.json"


@pytest.mark.rounded
@pytest.mark.parametrize("reader", sorted(READERS.keys() - {LARGER_THAN_ITS_WEIGHTS}))
def test_a_spoiled_file_is_a_value_or_one_sentence(reader: str):
    """No other exception, no hang, no growth, and nothing left behind; ``python -m benchmarks.fuzz files`` runs 20,000."""
    outcomes = list(spoiled_files(50, seed=0, only=reader))
    assert len(outcomes) == 50 and not [each for each in outcomes if not each[-1].right]
    assert {outcome.kind for *_, outcome in outcomes} == {"value", "refused"}


@pytest.mark.rounded
def test_a_wrong_command_line_is_one_sentence():
    """Exit code 2, one line, and nothing left behind; ``python -m benchmarks.fuzz commands`` runs all of them."""
    outcomes = list(wrong_commands(only="x" * 300))
    assert len(outcomes) > 20 and not [each for each in outcomes if not each[-1].right]
