"""All that is tested here is exact to the last digits of float64; the bundled model is read once."""

from __future__ import annotations

import pytest

import circuitsearch as cs


@pytest.fixture(autouse=True)
def _exact(exact: None) -> None:
    """Run every test so."""


@pytest.fixture(scope="session")
def pico():
    """The bundled model and its tokenizer."""
    return cs.load("pico")
