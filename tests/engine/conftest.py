"""All that is tested here is exact to the last digits of float64; what the battery measures can be written down as a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from circuitsearch.models.describe import describe
from tests.conftest import CONFIGS, granularity_of
from tests.engine.models_page import Measurements, complete

MEASUREMENTS = pytest.StashKey[Measurements]()


@pytest.fixture(autouse=True)
def _exact(exact: None) -> None:
    """Run every test so."""


@pytest.fixture
def measured(request, every_model) -> Callable[[str, object, float], None]:
    """Hold a difference below a bound, and keep it for the page of families."""
    name: str = request.node.callspec.params["every_model"]
    found = request.config.stash.setdefault(MEASUREMENTS, Measurements())
    kinds = {part.kind for part in describe(every_model, granularity_of(every_model)).graph.parts}

    def check(what: str, difference: object, bound: float) -> None:
        assert float(difference) < bound  # pyright: ignore[reportArgumentType]
        found.add(CONFIGS[name].model_type, name, kinds, what, float(difference))  # pyright: ignore[reportArgumentType]

    return check


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, if it was asked for and every family passed."""
    path, found = session.config.getoption("--models-page", None), session.config.stash.get(MEASUREMENTS, None)
    if path and found is not None and exitstatus == 0 and complete(found):
        Path(path).write_text(found.page(), encoding="utf-8")
