"""``complete``: a minimal circuit with all that can take the place of its edges, and all that opposes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import nan
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import RATIO, Average, Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.knobs import Knobs, check_at_least_one
from circuitsearch.progress import Progress, silent
from circuitsearch.redundancy import Alternative, Redundancy
from circuitsearch.search.alternatives import Alternatives
from circuitsearch.search.effects import effects_in
from circuitsearch.search.ending import edges_to_try
from circuitsearch.search.gates import Gates
from circuitsearch.search.interactions import Interactions
from circuitsearch.search.minimal import Elimination, Place
from circuitsearch.search.prompts import PassPrompts
from circuitsearch.steps import Steps
from circuitsearch.target import ROUNDING, check_target
from circuitsearch.task import Task

NO_PASS = 1000  # number of a pass that no search comes to, so that the prompts are others

Found = tuple[Tensor, Tensor | None]  # edges that were forbidden, and the circuit without them: (U, V) each
_Tried = list[tuple[list[Place], list[Place] | None]]  # the same of one edge, as places


@dataclass(frozen=True)
class Complete(Knobs):
    """How a circuit is completed.

    Parameters
    ----------
    edges : int
        Edges of the circuit, at most, that circuits are searched for without: those without which it loses most, of all without which
        the model itself loses at most half of that.
    depth : int
        How many edges are forbidden together at most: with 2 a third circuit is found where there are three.
    prompts : int
        On how many prompts, at most; new ones where the task can write them.
    """

    edges: int = 32
    depth: int = 2
    prompts: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "edges", "depth", "prompts")


def complete(
    model: Any,
    task: Task,
    circuit: Circuit,
    faithfulness: float = 0.9,
    *,
    how: Complete | None = None,
    of: Average = RATIO,
    checkpoint: str | Path | None = None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Circuit:
    """Complete a minimal circuit: add what can take the place of its edges, and what opposes it.

    A minimal circuit has one branch of an OR, and two of three heads that vote; and it may leave out heads that oppose the behaviour.
    An edge that the circuit needs (it loses 1 - target or more without it: denoising), and without which the model itself loses at most half
    of that (noising), must have a substitute in the model. So each such edge is forbidden in turn, and a minimal circuit without it is
    searched for, from the edges that support the behaviour most in the model without that edge. The complete circuit is the union of all that are found, with the edges that change
    its faithfulness when they are added to it, or the model's when they are ablated there.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        The prompts of the search; if it can write prompts, new ones are measured on.
    circuit : Circuit
        A minimal circuit, as of :func:`circuitsearch.find`, :func:`circuitsearch.refine` or :func:`circuitsearch.minimal`.
    faithfulness : float
        The target, in (0, 1]. If the circuit itself has less on these prompts, others need not have more. An edge counts if the
        faithfulness changes by 1 - target.
    how : Complete, optional
        How much is tried.
    of : Average
        Whether faithfulness is the ratio of means or the mean over prompts.
    checkpoint : path, optional
        A file for the circuits found without each edge, which a call that was interrupted goes on from; it is left there.
    progress : callable
        Called with (edges forbidden so far, edges to be forbidden).
    **settings
        As of :class:`circuitsearch.Experiment`; what is not given is as the circuit was found with.

    Returns
    -------
    Circuit
        Its ``redundancy`` tells what each edge does in it: see :class:`circuitsearch.redundancy.Redundancy`. It has no certificate.

    Raises
    ------
    InputError
        If the target is not in (0, 1], the circuit keeps nothing of the behaviour on these prompts, or the ablation, the granularity or
        the metric is not that of the circuit.

    References
    ----------
    Forbidding edges in turn: hitting sets of minimal sets (Reiter 1987, A theory of diagnosis from first principles).
    """
    check_target(faithfulness)
    knobs, experiment = how or Complete(), Experiment.of(model, task, circuit, **settings)
    prompts = PassPrompts(experiment, knobs.prompts).of_pass(NO_PASS)
    completion = _Completion(Faithfulness(prompts, of), circuit.mask, faithfulness, knobs, edges_to_try(experiment))

    def about() -> dict[str, Any]:
        asked = {"target": faithfulness, "how": repr(knobs), "of": repr(of)}
        return {"setup": prompts.setup.identity(), "circuit": circuit.edges, **asked}

    mask, redundancy = completion.run(Steps(checkpoint, _Tried, about), progress)
    effects = effects_in(completion.alternatives.few, mask)
    prompts.evaluator.release()
    return replace(circuit, mask=mask, certificate=None, bound=None, redundancy=redundancy, effects=effects)


@dataclass(frozen=True, eq=False)
class _Completion:
    measure: Faithfulness
    minimal: Tensor
    target: float
    knobs: Complete
    most: int

    @property
    def graph(self) -> Graph:
        return self.measure.graph

    @property
    def least(self) -> float:
        """The change of faithfulness from which an edge counts."""
        return 1 - self.target

    @cached_property
    def own(self) -> float:
        """The faithfulness of the minimal circuit."""
        own = float(self.measure(self.minimal[None]))
        if not 0 < own < 2:
            raise InputError(
                f"the circuit has a faithfulness of {own:.3f} on these prompts: complete a circuit that does the task"
            )
        return own

    @cached_property
    def elimination(self) -> Elimination:
        """With the target, or what the minimal circuit itself reaches if that is less."""
        return Elimination(self.measure, min(self.target, 1 - abs(1 - self.own)) - ROUNDING)

    @cached_property
    def alternatives(self) -> Alternatives:
        return Alternatives(self.elimination, self.minimal, self.most)

    @cached_property
    def _of_model(self) -> dict[Place, float]:
        """The model's faithfulness without each edge that was ablated in it so far."""
        return {}

    def run(self, steps: Steps[_Tried], progress: Progress) -> tuple[Tensor, Redundancy]:
        forbidden = self._to_forbid()
        found: list[Found] = []
        for done, edge in enumerate(forbidden, 1):
            tried = steps.once(self.elimination.name(edge), partial(self._tried, edge, found))
            found += [(self._mask(without), None if mask is None else self._mask(mask)) for without, mask in tried]
            progress(done, len(forbidden))
        union = torch.stack([self.minimal, *(mask for _, mask in found if mask is not None)]).any(0)
        interactions = Interactions(self.elimination, self.least, self.most)
        whole, left_out = interactions.added_to(union, effects_in(self.alternatives.few, self.graph.mask))
        redundancy = self._redundancy(whole, found)
        return whole, replace(
            redundancy,
            left_out=self._named(self._without_in_model(left_out)),
            untried=len(redundancy.minimal) - len(forbidden),
        )

    def _to_forbid(self) -> list[Place]:
        """The edges that the circuit loses much without, and the model at most half of that: those without which it loses most."""
        without = self.elimination.without_each(self.minimal)
        in_model = self._without_in_model(self.minimal)
        lost = {edge: abs(self.own - value) for edge, value in without.items()}
        redundant = (edge for edge in lost if lost[edge] >= max(self.least, 2 * abs(1 - in_model[edge])))
        return sorted(redundant, key=lost.__getitem__, reverse=True)[: self.knobs.edges]

    def _without_in_model(self, edges: Tensor) -> dict[Place, float]:
        """The model's faithfulness without each of these edges (U, V)."""
        places = self.elimination.candidates(edges)
        new = torch.tensor([place for place in places if place not in self._of_model], dtype=torch.long).view(-1, 2)
        self._of_model.update(self.elimination.without_each(self.graph.mask, self.graph.mask_at(new)))
        return {place: self._of_model[place] for place in places}

    def _tried(self, edge: Place, found: Sequence[Found]) -> _Tried:
        """The same, as places."""
        return [
            (self._places(without), None if mask is None else self._places(mask))
            for without, mask in self._without(edge, found)
        ]

    def _places(self, mask: Tensor) -> list[Place]:
        return [(row, column) for row, column in mask.nonzero().tolist()]

    def _mask(self, places: list[Place]) -> Tensor:
        return self.graph.mask_at(torch.tensor(places, dtype=torch.long).view(-1, 2))

    def _without(self, edge: Place, found: Sequence[Found]) -> Iterator[Found]:
        """What is forbidden, and the circuit found without it: first the edge alone, then also one edge of what took its place."""
        forbidden = torch.zeros_like(self.minimal)
        forbidden[edge] = True
        for _ in range(self.knobs.depth):
            mask = self._known(forbidden, found)
            if mask is None:
                mask = self.alternatives.without(forbidden)
            yield forbidden, mask
            new = None if mask is None else (mask & ~self.minimal).nonzero()
            if new is None or not len(new):
                return
            forbidden = forbidden.clone()
            forbidden[tuple(new[-1])] = True

    def _known(self, forbidden: Tensor, found: Sequence[Found]) -> Tensor | None:
        """A circuit found before that has none of the forbidden edges."""
        return next((mask for _, mask in found if mask is not None and not (mask & forbidden).any()), None)

    def _redundancy(self, whole: Tensor, found: Sequence[Found]) -> Redundancy:
        return Redundancy(
            target=self.target,
            faithfulness=float(self.measure(whole[None])),
            minimal=self._edges(self.minimal),
            alternatives=tuple(self._alternatives(found)),
            without=self._named(self.elimination.without_each(whole)),
            without_in_model=self._named(self._without_in_model(whole)),
            gates=tuple(Gates(self.measure, whole, self.least).named()),
        )

    def _alternatives(self, found: Sequence[Found]) -> Iterator[Alternative]:
        masks = [mask for _, mask in found if mask is not None]
        values = iter(self.measure(torch.stack(masks)).tolist() if masks else [])
        for forbidden, mask in found:
            edges, value = ((), nan) if mask is None else (self._edges(mask), next(values))
            yield Alternative(self._edges(forbidden), edges, value)

    def _edges(self, mask: Tensor) -> tuple[str, ...]:
        return tuple(f"{writer}->{reader}" for writer, reader in self.graph.edges(mask))

    def _named(self, values: dict[Place, float]) -> dict[str, float]:
        """Values of edges by name, in the stream's order of readers."""
        places = sorted(values, key=lambda edge: edge[::-1])
        return {self.elimination.name(place): values[place] for place in places}
