"""Scores as a collection of edges."""

from __future__ import annotations

import sys

import pytest
import torch

import circuitsearch as cs
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.scores import Scores


@pytest.fixture
def scores() -> Scores:
    """Random ones, of which one is missing."""
    graph = Graph(1, 2, 2)
    values = torch.randn(graph.mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values[tuple(graph.mask.nonzero()[0].tolist())] = float("nan")
    return Scores(graph, values.where(graph.mask, torch.zeros(())))


def test_it_has_the_edges_that_were_scored(scores: Scores):
    """Their number, each one's name, and its score."""
    edges = list(scores)
    assert len(edges) == len(scores) == scores.graph.n_edges - 1
    assert {f"{writer}->{reader}": scores[writer, reader] for writer, reader in edges} == scores.to_dict()


def test_it_is_a_data_frame(scores: Scores):
    """A row an edge, the strongest first."""
    pytest.importorskip("pandas")
    frame = scores.to_dataframe()
    assert list(frame.itertuples(index=False, name=None)) == scores.top(len(scores))
    assert list(frame) == ["writer", "reader", "score"]


def test_a_data_frame_needs_pandas(scores: Scores, monkeypatch: pytest.MonkeyPatch):
    """One sentence says what to install, or what to use instead."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas, or use to_dict"):
        scores.to_dataframe()
    assert cs.Scores is Scores
