"""Letters that are embedded in figures."""

from __future__ import annotations

import pytest

from circuitsearch.figures import fonts
from circuitsearch.figures.canvas import figure_style


@pytest.mark.parametrize("weight", fonts.WEIGHTS)
@pytest.mark.parametrize("letters", ["a0.h1<q> → logits, −1.5", "AVAToÄé fi ffi ‘’ ≤ Δ"])
def test_letters_taken_from_the_common_ones_are_the_same(weight: str, letters: str, monkeypatch: pytest.MonkeyPatch):
    """The bytes are those of letters that are taken from the whole font."""
    with figure_style():
        short = fonts._subset(weight, letters)
        monkeypatch.setattr(fonts, "COMMON", set())
        assert fonts._subset(weight, letters) == short
