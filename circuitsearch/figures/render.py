"""Which Graphviz places the diagram: the one inside pygraphviz, else the system's ``dot``, else a clear sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

import graphviz

from circuitsearch.errors import InputError


@lru_cache(maxsize=8)  # a run's figures and its page are of one circuit
def positions(dot: str) -> Mapping[str, float]:
    """Place a DOT graph: the x of each node's middle, in points.

    Raises
    ------
    InputError
        If there is no Graphviz on this machine.
    """
    return _bundled(dot) or _system(dot)


def _bundled(dot: str) -> dict[str, float] | None:
    try:
        import pygraphviz
    except ImportError:  # not installed, or built against a Graphviz that is gone
        return None
    graph = pygraphviz.AGraph(string=dot)
    graph.layout("dot")
    return {str(node): _x(node.attr["pos"]) for node in graph.nodes()}  # pyright: ignore[reportAttributeAccessIssue]


def _system(dot: str) -> dict[str, float]:
    try:
        placed = json.loads(graphviz.Source(dot).pipe(format="json", engine="dot"))
    except graphviz.ExecutableNotFound:
        raise InputError(
            "no Graphviz found to place the figure: run `pip install 'pygraphviz>=2'`, which carries it, "
            "or install Graphviz so that `dot` is on the PATH; a .dot file can be written without it"
        ) from None
    return {node["name"]: _x(node["pos"]) for node in placed["objects"] if "pos" in node}


def _x(position: str) -> float:
    return float(position.partition(",")[0])
