"""Circuits that were found are kept, and not taken when they were changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.graph import Graph
from circuitsearch.replication.folder import Folder, Search
from tests.setups import made_up


@dataclass(frozen=True)
class MadeUp:
    """Stands for a configuration."""

    checkpoint: Path | None = None


def test_a_circuit_that_was_changed_is_noticed(tmp_path: Path):
    """It is found once and read back; with another edge in its file it is refused."""
    circuit = Circuit.from_edges(Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")])
    search, configuration, found = Search(setup=made_up(), faithfulness=0.9, discover="x"), MadeUp(), []

    def discover(_: Any) -> Circuit:
        found.append(circuit)
        return circuit

    for _ in range(2):
        kept = Folder(tmp_path).circuit("one", configuration, search, discover)  # pyright: ignore[reportArgumentType]
        assert kept.edges == circuit.edges and len(found) == 1
    file = tmp_path / "circuits/one.json"
    file.write_text(file.read_text().replace("embed->m0<in>", "embed->logits"))
    with pytest.raises(InputError, match="was changed since it was found"):
        Folder(tmp_path).circuit("one", configuration, search, discover)  # pyright: ignore[reportArgumentType]
