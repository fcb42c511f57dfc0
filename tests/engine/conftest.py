"""All that is tested here is exact to the last digits of float64."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _exact(exact: None) -> None:
    """Run every test so."""
