"""The look: what a reader can tell apart."""

from __future__ import annotations

import pytest

from circuitsearch.figures import style


def lightness(colour: str) -> float:
    """CIE L* of an sRGB colour, 0 to 100."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 116 * (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 3) - 16


def test_signs_differ_in_grey():
    """Supports and opposes lie far apart in lightness, and both stand out from the paper."""
    dark, light = lightness(style.SUPPORTS), lightness(style.OPPOSES)
    assert light - dark > 25
    assert max(dark, light) < 75


def test_width_is_linear_in_strength():
    """Twice the strength is twice the width above the thinnest, whatever the sign."""
    half, full = (style.width(score, strongest=4.0) - style.THINNEST for score in (-2.0, 4.0))
    assert full == pytest.approx(2 * half)


def test_q_k_and_the_rest_differ():
    """Three line styles: q, k, and what carries content."""
    assert len({style.dash("q"), style.dash("k"), style.dash("v")}) == 3
    assert style.dash("v") == style.dash("in") == style.dash("") == "solid"
