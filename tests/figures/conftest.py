"""Circuits to draw: random, pruned, with scores of both signs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from circuitsearch.circuit import Circuit
from circuitsearch.graph import Graph
from circuitsearch.validation import Report
from tests.setups import made_up_report

Maker = Callable[..., Circuit]


@pytest.fixture(scope="session")
def random_circuit() -> Maker:
    """The fewest strongest edges of random scores that, pruned, are at least n: ``random_circuit(n, graph)``."""

    def make(n: int, graph: Graph | None = None) -> Circuit:
        graph = graph or Graph(4, 8, 8)
        values = torch.randn(graph.mask.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        values[0] *= 3
        values[:, -1] *= 3
        values = torch.where(graph.mask, values, 0.0)
        ranking = values.abs().flatten().argsort(descending=True)[: graph.n_edges]
        for size in range(n, graph.n_edges + 1):
            mask = torch.zeros_like(graph.mask)
            mask.view(-1)[ranking[:size]] = True
            circuit = Circuit(graph, mask, values).pruned()
            if len(circuit) >= n:
                return circuit
        raise AssertionError(f"{graph} has fewer than {n} edges")

    return make


@pytest.fixture
def report() -> Report:
    """A report with controls and a curve."""
    return made_up_report()
