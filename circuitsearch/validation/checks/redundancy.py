"""What can take the place of a complete circuit's edges, and how faithful each of its minimal circuits is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from circuitsearch.knobs import Knobs
from circuitsearch.names import ends_of
from circuitsearch.redundancy import ALTERNATIVE, BACKUP, OPPOSES, Redundancy
from circuitsearch.validation.bootstrap import ratio
from circuitsearch.validation.measurement import Line, Measurement
from circuitsearch.validation.trial import Trial

NAMED = 12  # edges or gates in a line


@dataclass(frozen=True)
class Redundant(Knobs):
    """The role of every edge of a complete circuit (:func:`circuitsearch.complete`), with the edges that take its place.

    The minimal circuits of which it is the union are measured on the held-out prompts.
    """

    def measure(self, trial: Trial) -> Measurement:
        """A row for each edge; the value is the number of minimal circuits. Nothing for a circuit that is not a complete one."""
        redundancy = trial.circuit.redundancy
        if redundancy is None:
            return Measurement("redundancy")
        return Measurement(
            "redundancy",
            len(redundancy.circuits),
            table=tuple(
                {
                    "edge": edge,
                    "role": role,
                    "without": redundancy.without[edge],
                    "without_in_model": redundancy.without_in_model[edge],
                    "replaced_by": redundancy.replacements(edge),
                }
                for edge, role in redundancy.roles.items()
            ),
            lines=(("redundancy", redundancy.describe()), *_named(redundancy), *_kept(trial, redundancy)),
            caption=redundancy.describe() if len(redundancy.circuits) > 1 else "",
        )


def _named(redundancy: Redundancy) -> Iterator[Line]:
    """The edges that oppose, those that can take the place of others, and the gates."""
    for role, name in ((ALTERNATIVE, "alternatives"), (BACKUP, "backup"), (OPPOSES, "opposes")):
        edges = [edge for edge, own in redundancy.roles.items() if own == role]
        if edges:
            yield name, _first(edges)
    if redundancy.left_out:
        found = [f"{edge} ({value:.2f})" for edge, value in redundancy.left_out.items()]
        yield (
            "only in the model",
            f"{_first(found)}: its faithfulness without each; the circuit is not faithful with them, or hardly changes",
        )
    if redundancy.gates:
        yield "gates", _first([f"{gate.kind} at {gate.reader}" for gate in redundancy.gates])
    if redundancy.untried:
        of = f"{redundancy.untried} of the {len(redundancy.minimal)} edges of the first circuit"
        yield (
            "not replaced",
            f"{of}: the model needs them about as much as the circuit, or the circuit hardly needs them",
        )


def _first(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _kept(trial: Trial, redundancy: Redundancy) -> Iterator[Line]:
    """The faithfulness of each minimal circuit on the held-out prompts, if there are several."""
    if len(redundancy.circuits) == 1:
        return
    graph = trial.circuit.graph
    masks = torch.stack([graph.edge_mask(map(ends_of, edges)) for edges in redundancy.circuits])
    (values,) = trial.faithfulness.metrics(masks)
    for number, (edges, metric) in enumerate(zip(redundancy.circuits, values, strict=True), 1):
        kept = trial.interval(ratio, metric, trial.faithfulness.clean, trial.faithfulness.ablated)
        yield f"minimal circuit {number}", f"{len(edges)} edges, faithfulness {kept}"
