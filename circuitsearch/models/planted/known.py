"""Models with known circuits, and the folders that hold them.

A folder has four files, and so can be written by other packages that compile models:

- ``config.json`` and ``model.safetensors``: the model, as ``save_pretrained`` writes it;
- ``truth.json``: ``{"edges": ["embed->a0.h2<v>", "a0.h2->a1.h0<k>", "a1.h0->logits"]}``, the true edges in any spelling of their nodes, and perhaps
  ``"sufficient"``, a list of lists of edges, each of which does the whole task alone;
- ``prompts.jsonl``: a task file (:meth:`circuitsearch.Task.from_file`) with ``clean_ids, corrupt_ids, answer_id, wrong_id``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuitsearch.errors import InputError
from circuitsearch.files import STRICT, checking, read_json, write_bytes, write_json
from circuitsearch.graph import Graph
from circuitsearch.models.describe import describe
from circuitsearch.models.load import read
from circuitsearch.models.planted.motif import Edge
from circuitsearch.names import ends_of
from circuitsearch.task import Task

TRUTH, PROMPTS = "truth.json", "prompts.jsonl"


@dataclass(frozen=True, eq=False)
class KnownCircuit:
    """A model of which the circuit is known.

    Attributes
    ----------
    model
        A Hugging Face model.
    task : Task
        Its prompts.
    edges : tuple of Edge
        The true edges, in the package's names.
    sufficient : tuple of frozenset
        Sets of edges each of which has faithfulness 1, while none of its edges can be left out: one set of all true edges,
        unless the circuit is redundant or true edges cancel.
    """

    model: Any
    task: Task
    edges: tuple[Edge, ...]
    sufficient: tuple[frozenset[Edge], ...]

    def save(self, folder: str | Path) -> None:
        """Write the folder's four files; of the task, the prompts, answers, positions and groups."""
        place = Path(folder)
        self.model.save_pretrained(place)
        sufficient = [sorted(map("->".join, edges)) for edges in self.sufficient]
        write_json(place / TRUTH, {"edges": list(map("->".join, self.edges)), "sufficient": sufficient})
        write_bytes(place / PROMPTS, "".join(f"{json.dumps(row)}\n" for row in _rows(self.task)).encode())

    @staticmethod
    def load(folder: str | Path) -> KnownCircuit:
        """Read such a folder.

        Raises
        ------
        InputError
            If a file is missing or is something else, or an edge is not one of the model.
        """
        place = Path(folder)
        truth = read_json(place / TRUTH, "a list of true edges", _Truth)
        task = Task.from_file(place / PROMPTS)
        model, _ = read(place, None, None)
        with checking(place / TRUTH, "a list of true edges"):
            graph = describe(model).graph
            edges = _named(graph, truth.edges)
            sufficient = tuple(frozenset(_named(graph, some)) for some in truth.sufficient) or (frozenset(edges),)
            if not edges or not frozenset().union(*sufficient) <= set(edges):
                raise InputError("it has no edges, or sufficient ones that are not among them")
        return KnownCircuit(model, task, edges, sufficient)


@dataclass(frozen=True)
class _Truth:
    """What ``truth.json`` holds."""

    __pydantic_config__ = STRICT

    edges: list[str]
    sufficient: list[list[str]] = field(default_factory=list)


def _named(graph: Graph, edges: Iterable[str]) -> tuple[Edge, ...]:
    """Edges of a graph by their canonical names; raises an InputError for one that is none."""
    return tuple(
        (graph.writers[row], graph.readers[column]) for row, column in map(graph.find_edge, map(ends_of, edges))
    )


def _rows(task: Task) -> Iterable[dict[str, Any]]:
    names = {"clean_ids": task.clean, "corrupt_ids": task.corrupt, "answer_id": task.answers, "wrong_id": task.wrong}
    for row, (position, group) in enumerate(zip(task.position, task.groups, strict=True)):
        ids = {name: column[row].tolist() for name, column in names.items()}
        yield {**ids, "position": position, "group": group, "name": task.name}
