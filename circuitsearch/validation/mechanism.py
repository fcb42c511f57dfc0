"""Mechanisms: the clusters of a task's prompts that need circuits of their own, and what each edge does on each prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError, shortened
from circuitsearch.escape import plain_text
from circuitsearch.files import write_json
from circuitsearch.graph import Graph
from circuitsearch.setup import MadeWith, Setup
from circuitsearch.task import Task
from circuitsearch.validation.clusters import Clustering
from circuitsearch.validation.cross_task import Specificity

VALUES = 4  # of a factor that a line names


@dataclass(frozen=True, eq=False)
class Mechanism:
    """Prompts that are done in one way, and the circuit that does them.

    Attributes
    ----------
    name : str
        ``"mechanism 1"`` is that of the most prompts.
    prompts : tuple of int
        Rows of the task.
    searched : tuple of int
        Those of them on which the circuit was found; it is measured on the others.
    circuit : Circuit
        The circuit.
    only : dict
        For each factor of the prompts (templates, names ...), its values that two prompts or more of this mechanism have, and no prompt
        of another one.
    """

    name: str
    prompts: tuple[int, ...]
    searched: tuple[int, ...]
    circuit: Circuit
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Mechanisms(MadeWith):
    """The mechanisms of a task.

    Attributes
    ----------
    graph : Graph
        Of the edges.
    effects : Tensor
        (N, E) what each edge brings to the metric on each prompt, in the metric's unit, for the edges in the order of ``graph.mask.nonzero()``:
        integrated gradients in the weights of all edges, from none to the full model. Positive supports the behaviour. Over the edges they
        add up to about the model's metric on the prompt less that with every edge ablated.
    clusters : Clustering
        Of the prompts, by the effects of the edges alone.
    mechanisms : tuple of Mechanism
        One or more, that of the most prompts first: clusters, those joined whose circuits do each other's prompts.
    cross : Specificity
        The circuit of each mechanism on the held-out prompts of each.
    left_out : tuple of int
        Rows of the prompts that the model does not do.
    n_edges : int
        How many edges the clustering used.
    setup : Setup, optional
        What was measured.
    """

    graph: Graph
    effects: Tensor
    clusters: Clustering
    mechanisms: tuple[Mechanism, ...]
    cross: Specificity
    left_out: tuple[int, ...]
    n_edges: int
    setup: Setup | None = None

    def __len__(self) -> int:
        return len(self.mechanisms)

    def of_prompt(self, row: int, n: int = 10) -> list[tuple[str, str, float]]:
        """The circuit of one prompt: its ``n`` edges of largest effect, by magnitude: (writer, reader, effect) each.

        Raises
        ------
        InputError
            If there is no such row of the task.
        """
        if not 0 <= row < len(self.effects):
            raise InputError(f"the task has prompts 0 to {len(self.effects) - 1}, and none {shortened(row)}")
        effects, places = self.effects[row], self.graph.mask.nonzero()
        order = effects.abs().argsort(descending=True, stable=True)[:n].tolist()
        ends = [(*places[at].tolist(), float(effects[at])) for at in order]
        return [(self.graph.writers[writer], self.graph.readers[reader], effect) for writer, reader, effect in ends]

    def mechanism_of(self, row: int) -> Mechanism | None:
        """The mechanism of a prompt; None if the model does not do it."""
        return next((each for each in self.mechanisms if row in each.prompts), None)

    def rows(self) -> list[tuple[str, str]]:
        """What was found as (name, text)."""
        return [
            ("task", f"{self.task}, {len(self.effects):,} prompts{self._without()}"),
            ("clusters", self._clusters()),
            ("mechanisms", self._verdict()),
            *((each.name, self._described(each)) for each in self.mechanisms),
            *(row for row in self.cross.rows() if row[0] in ("not defined",)),
        ]

    def _without(self) -> str:
        return f", of which the model does not do {len(self.left_out):,}" if self.left_out else ""

    def _clusters(self) -> str:
        shown = ", ".join(f"{k}: {value:.2f}" for k, value in self.clusters.silhouettes.items())
        if isnan(self.clusters.p):
            return "1: no partition has clusters large enough"
        return (
            f"{self.clusters.k} by the effects of {self.n_edges:,} edges; silhouettes of {shown}; p = {self.clusters.p:.2g} that one"
            " normal distribution has so large a one"
        )

    def _verdict(self) -> str:
        joined = self.clusters.k - len(self)
        why = f": {joined} of the clusters joined, whose circuits do each other's prompts" if joined else ""
        several = len(self) > 1
        return f"the task is {len(self)} mechanisms{why}" if several else f"the task is one mechanism{why}"

    def _described(self, each: Mechanism) -> str:
        found, others = self.cross[each.name, each.name], [other.name for other in self.mechanisms if other is not each]
        theirs = "; ".join(f"the circuit of {other} {self.cross[other, each.name]}" for other in others)
        common = "; ".join(f"only here: {name} {_listed(values)}" for name, values in each.only.items() if values)
        text = f"{len(each.prompts):,} prompts, {len(each.circuit):,} edges, faithfulness on {found.n:,} held-out ones {found}"
        return "; ".join(part for part in (text, theirs, common if others else "") if part)

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}} {text}" for name, text in rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the effects as plain JSON types."""
        return {
            "clusters": asdict(self.clusters),
            "mechanisms": [
                {"name": each.name, "prompts": each.prompts, "searched": each.searched, "only": dict(each.only), "circuit": each.circuit.to_dict()}
                for each in self.mechanisms
            ],
            "cross": self.cross.to_dict(),
            "left_out": self.left_out,
            "n_edges": self.n_edges,
            "setup": None if self.setup is None else self.setup.model_dump(mode="json"),
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_dict` as JSON."""
        write_json(path, self.to_dict())


def only_in(task: Task, rows: Sequence[int], others: Sequence[int]) -> dict[str, tuple[str, ...]]:
    """For each factor the values that two or more of these prompts have, and none of the others."""
    if not task.factors:
        return {}
    inside, outside = _counted(task, rows), _counted(task, others)
    found: dict[str, list[str]] = {name: [] for name in task.factors[0]}
    for (name, value), count in inside.items():
        if count > 1 and (name, value) not in outside:
            found.setdefault(name, []).append(value)
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _counted(task: Task, rows: Sequence[int]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for place in _values(task, rows):
        counts[place] = counts.get(place, 0) + 1
    return counts


def _values(task: Task, rows: Sequence[int]) -> Iterator[tuple[str, str]]:
    for row in rows:
        for name, values in task.factors[row].items():
            yield from ((name, value) for value in values)


def _listed(values: Sequence[str]) -> str:
    shown = ", ".join(repr(shortened(plain_text(value), 60)) for value in values[:VALUES])
    return f"{shown} and {len(values) - VALUES} more" if len(values) > VALUES else shown
