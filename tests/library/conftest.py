"""Folders of runs that no model made: a circuit, a report and roles."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from circuitsearch.circuit import Circuit
from circuitsearch.graph import Graph
from circuitsearch.library import Library
from circuitsearch.validation import Interval
from tests.setups import made_up, made_up_report, measuring

GRAPH = Graph(2, 4, 2)
COPY = (("embed", "a0.h1<v>"), ("embed", "a1.kv1<k>"), ("a0.h1", "a1.h2<q>"), ("a1.h2", "logits"), ("m0", "logits"))

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run's folder."""

    def make(
        name: str = "run",
        edges: Sequence[tuple[str, str]] = COPY,
        *,
        graph: Graph = GRAPH,
        roles: dict[str, str] | None = None,
        faithfulness: tuple[float, float, float] = (0.912, 0.874, 0.941),
        **setup: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        circuit = Circuit(graph, graph.edge_mask(edges), setup=made_up(**setup))
        circuit.save(folder / "circuit.json")
        measuring(made_up_report(), faithfulness=Interval(*faithfulness)).save(folder / "report.json")
        if roles is not None:
            (folder / "roles.json").write_text(json.dumps(roles))
        return folder

    return make


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A library that does not exist yet."""
    return Library(tmp_path / "library.db")
