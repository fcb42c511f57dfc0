"""Conductance: gradients along the path from the ablated to the clean input, each times what the writers gain in its own step."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from circuitsearch.engine.gradients import EMBED
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.trace import Activations
from circuitsearch.errors import counted
from circuitsearch.knobs import Knobs
from circuitsearch.methods.eap import check_steps
from circuitsearch.metric_contract import Needs
from circuitsearch.scores import Work


@dataclass(frozen=True)
class Conductance(Knobs):
    """Edge attribution by conductance (CEAP, Wu et al. 2606.16920; conductance: Dhamdhere et al. 1805.12233).

    As in EAP-IG, the input embeddings go in ``steps`` steps from the ablated to the clean ones. EAP-IG multiplies the mean gradient
    of these runs with the whole difference of a write, clean - ablated, as if every write changed evenly along the path; here the
    gradient of run k, at the end of its step, is multiplied with what the write changes from run k - 1 to run k. The changes add up to the
    difference, clean - ablated. With one step it is EAP.

    Cost: two forwards, and ``steps`` forwards and backwards, per prompt, as EAP-IG; the products of writes and gradients, which EAP-IG
    takes once, are taken at each step.

    Parameters
    ----------
    steps : int
        Number of steps.

    Raises
    ------
    InputError
        If ``steps`` is below 1.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)

    @property
    def needs(self) -> Needs:
        """A gradient at the clean run alone, if there is one step."""
        return Needs.GRADIENT if self.steps > 1 else Needs.GRADIENT_AT_CLEAN

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"conductance, {counted(self.steps, 'step')}"

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        return reduce(operator.add, self._of_steps(pair))

    def _of_steps(self, pair: Pair) -> Iterator[Tensor]:
        """The effects in steps that run together: (U, V) each."""
        clean, ablated, before = pair.clean[0].embed, pair.ablated.embed, pair.ablated
        path = [ablated + (clean - ablated) * (k / self.steps) for k in range(1, self.steps + 1)]
        for copies, run in pair.runs_along(EMBED, path):
            yield run.ports.scores(run.activations - _delayed(before, run.activations, copies))
            before = run.activations.map(lambda values, copies=copies: values.chunk(copies)[-1])


def _delayed(first: Activations, runs: Activations, copies: int) -> Activations:
    """Of each of some runs of a batch, one after the other, the activations of the run before it."""
    return first.map(lambda before, values: torch.cat([before, *values.chunk(copies)[:-1]]), runs)
