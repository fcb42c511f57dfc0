"""A benchmark of planted models that was run once for all tests."""

from __future__ import annotations

from typing import Any

import pytest

from circuitsearch.bench import Benchmark, BenchmarkResults, benchmark

SIZES = [0.02, 0.1, 0.5, 1.0]


def asked(**others: Any) -> Benchmark:
    """A small benchmark: one planted model, two rankings."""
    content: dict[str, Any] = {
        "grid": [{"models": ["planted:induction:1"]}],
        "methods": ["eap", "relp"],
        "n": 16,
        "measured": 16,
    }
    return Benchmark.model_validate({**content, "sizes": SIZES, **others})


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResults:
    """Of two planted models, a ranking and a search, with two seeds."""
    models = ["planted:induction:1", "planted:two-hop:2"]
    wanted = asked(
        grid=[{"models": models}], methods=["eap", "relp", "find(passes=1)"], seeds=[0, 1], title="Planted <b>&"
    )
    return benchmark(wanted, tmp_path_factory.mktemp("bench"))
