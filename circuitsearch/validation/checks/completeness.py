"""Completeness: whether the circuit without some of its edges does what the model without them does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from circuitsearch.faithfulness import Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.knobs import Knobs
from circuitsearch.names import LOGITS
from circuitsearch.reachability import components
from circuitsearch.validation.hypothesis import check_counts, without_each
from circuitsearch.validation.measurement import Cell, Measurement, number
from circuitsearch.validation.trial import Trial

Named = tuple[str, Tensor]  # a set of edges K with its name: boolean (U, V)


@dataclass(frozen=True)
class Completeness(Knobs):
    """Incompleteness |F(M without K) - F(C without K)| over sets K of the circuit's edges (Wang et al. 2211.00593, section 4.1).

    M is the model, C the circuit, F the faithfulness as a ratio of means. A circuit that misses backups or opposing edges keeps its faithfulness
    where the model does not, or the reverse, once the right edges are ablated in both. Three kinds of sets are tried:

    - random: each edge of the circuit with a chance of 1/2;
    - node: all edges of the circuit into and out of one component; and port: all of its edges into queries, keys, values, MLPs or logits;
    - greedy: starting with none, of some random edges the one is added with which the difference is largest; the sets of all steps count.

    Parameters
    ----------
    count : int
        Random sets.
    steps, tries : int
        Edges that are added greedily, at most, and random edges to choose each from (all of them if there are fewer).
    prompts : int
        On how many of the prompts, at most.
    """

    count: int = 20
    steps: int = 10
    tries: int = 10
    prompts: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(random_sets=self.count, steps=self.steps, tries=self.tries, prompts=self.prompts)

    def measure(self, trial: Trial) -> Measurement:
        """The largest incompleteness; a row for each set, with both faithfulnesses. Without a value for a circuit without edges."""
        circuit, rng = trial.circuit.mask, np.random.default_rng(trial.experiment.seed)
        if not circuit.any():
            return Measurement("completeness", lines=(("completeness", "the circuit has no edges"),))
        few = trial.faithfulness.on_first(self.prompts)
        named = [*_random_sets(circuit, self.count, rng), *_classes(few.graph, circuit)]
        rows = _measured(few, circuit, named) + self._greedy(few, circuit, rng)
        return self.found(rows)

    def found(self, rows: list[dict[str, Cell]]) -> Measurement:
        """The measurement of some sets."""
        lines = []
        for kind in dict.fromkeys(str(row["kind"]) for row in rows):
            of_kind = [row for row in rows if row["kind"] == kind]
            worst, mean = max(of_kind, key=_size), fmean(map(_size, of_kind))
            text = f"{_size(worst):z.3f} at most ({worst['set']}), {mean:z.3f} on average of {len(of_kind)}"
            lines.append((f"incompleteness, {kind}", text))
        return Measurement("completeness", max(map(_size, rows)), table=tuple(rows), lines=tuple(lines))

    def _greedy(self, faithfulness: Faithfulness, circuit: Tensor, rng: np.random.Generator) -> list[dict[str, Cell]]:
        removed, rows = torch.zeros_like(circuit), []
        for _ in range(min(self.steps, int(circuit.sum()))):
            places = (circuit & ~removed).nonzero()
            places = places[torch.from_numpy(rng.permutation(len(places))[: self.tries])]
            sets = [("", circuit & ~each) for each in without_each(circuit & ~removed, places)]
            found = _measured(faithfulness, circuit, sets)
            best = max(range(len(found)), key=lambda each: _size(found[each]))
            removed = sets[best][1]
            last = faithfulness.graph.edge_name(*places[best].tolist())
            rows.append(found[best] | {"kind": "greedy", "set": f"step {len(rows) + 1}: {last}"})
        return rows


def _size(row: dict[str, Cell]) -> float:
    return number(row["incompleteness"])


def _random_sets(circuit: Tensor, count: int, rng: np.random.Generator) -> Iterator[Named]:
    for draw in range(1, count + 1):
        yield f"random {draw}", circuit & torch.from_numpy(rng.random(circuit.shape) < 0.5)


def _classes(graph: Graph, circuit: Tensor) -> Iterator[Named]:
    """All edges of each component, and all edges into each kind of port."""
    fed = {reader: components(graph, reader) for reader in graph.readers}
    for row, node in enumerate(graph.writers):
        into = torch.tensor([node in fed[reader] for reader in graph.readers])
        edges = circuit.clone()
        edges &= (torch.arange(len(graph.writers)) == row)[:, None] | into
        if edges.any():
            yield f"node {node}", edges
    for kind in dict.fromkeys(map(_port, graph.readers)):
        edges = circuit & torch.tensor([_port(reader) == kind for reader in graph.readers])
        if edges.any():
            yield f"port {kind}", edges


def _port(reader: str) -> str:
    """The kind of a reader: ``q`` of ``a0.h1<q>``."""
    return reader.partition("<")[2].partition(">")[0] or LOGITS


def _measured(faithfulness: Faithfulness, circuit: Tensor, sets: list[Named]) -> list[dict[str, Cell]]:
    """A row for each set, whose name begins with its kind."""
    whole, removed = faithfulness.graph.mask, torch.stack([each for _, each in sets])
    model = faithfulness(whole & ~removed, near=whole).tolist()
    kept = faithfulness(circuit & ~removed, near=circuit).tolist()
    return [
        {
            "kind": name.partition(" ")[0], "set": name.partition(" ")[2], "n_edges": int(edges.sum()),
            "model": in_model, "circuit": in_circuit, "incompleteness": abs(in_model - in_circuit),
        }
        for (name, edges), in_model, in_circuit in zip(sets, model, kept, strict=True)
    ]  # fmt: skip
