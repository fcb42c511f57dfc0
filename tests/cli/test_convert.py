"""circuitsearch convert."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx

import circuitsearch as cs

Command = Callable[..., Any]


def test_convert_a_circuit(command: Command):
    """Nodes, roles and a title that says what it is; --help explains."""
    circuit = cs.Circuit.from_edges(cs.Graph(1, 1, 1), [("embed", "m0<in>"), ("m0", "logits")])
    circuit.save("mine.json")
    Path("roles.json").write_text('{"m0": "facts"}')
    said = command("convert", "mine.json", "-o", "mine.graphml", "--roles", "roles.json", "--json")
    assert said.code == 0 and json.loads(said.out) == {"out": "mine.graphml", "n_edges": 2}
    graph = nx.read_graphml("mine.graphml")
    assert graph.nodes["m0"] == {"kind": "mlp", "layer": 0, "role": "facts"}
    assert "2 of" in graph.graph["name"]
    assert command("convert", "--help").code == 0


def test_bad_input_is_one_sentence(command: Command):
    """No such folder, no such format, no such file."""
    cs.Circuit.from_edges(cs.Graph(1, 1, 1), [("embed", "logits")]).save("mine.json")
    for arguments, hint in (
        (("mine.json", "-o", "no/x.gexf"), "no"),
        (("mine.json", "-o", "x.xlsx"), ".graphml"),
        (("other.json", "-o", "x.gexf"), "other.json"),
    ):
        said = command("convert", *arguments)
        assert said.code == 2 and hint in said.err and said.err.count("\n") == 1
