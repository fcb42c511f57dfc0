"""Edge attribution patching, and its gradients averaged along a path.

Every method here estimates an edge's effect as (clean write - ablated write) . (metric's gradient at the port), summed
over positions; they differ only in the runs at which the gradient is taken.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import count
from typing import ClassVar

from torch import Tensor

from circuitsearch.engine.gradients import EMBED, PortGradients
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.trace import Activations
from circuitsearch.errors import InputError, counted
from circuitsearch.knobs import Knobs
from circuitsearch.metric_contract import Needs
from circuitsearch.scores import Work


class ByGradient(Knobs):
    """A method that estimates every edge's effect from one gradient at its port."""

    needs: ClassVar[Needs] = Needs.GRADIENT_AT_CLEAN

    def gradients(self, pair: Pair) -> tuple[PortGradients, Activations]:
        """The gradient at every port, and what every writer adds in the clean run."""
        raise NotImplementedError

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        ports, clean = self.gradients(pair)
        return ports.scores(pair.differences(clean))


@dataclass(frozen=True)
class EAP(ByGradient):
    """Edge attribution patching (Syed et al. 2310.10348): the gradient at the clean run.

    Cost: two forwards and one backward per prompt.
    """

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return "attribution patching"

    def gradients(self, pair: Pair) -> tuple[PortGradients, Activations]:
        """The gradient at the clean run, and the writers' outputs in that run."""
        run = pair.gradients()
        return run.ports, run.activations


@dataclass(frozen=True)
class EAPIG(ByGradient):
    """EAP with integrated gradients over the inputs (Hanna et al. 2403.17806).

    The gradient is averaged over runs whose input embeddings are ablated + k / steps (clean - ablated),
    k = 0 ... steps - 1.

    Cost: two forwards, and ``steps`` forwards and backwards, per prompt.
    """

    needs: ClassVar[Needs] = Needs.GRADIENT
    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"integrated gradients, {counted(self.steps, 'step')}"

    def gradients(self, pair: Pair) -> tuple[PortGradients, Activations]:
        """The summed gradients along the path, and the writers' outputs in the clean run."""
        clean, ablated = pair.clean[0].embed, pair.ablated.embed
        path = [ablated + (clean - ablated) * (k / self.steps) for k in range(self.steps)]
        return pair.gradients_along(EMBED, path), pair.clean[0]


@dataclass(frozen=True)
class EAPIGActivations(Knobs):
    """EAP with integrated gradients over activations (Hanna et al. 2403.17806).

    Each group of writers in turn (the embedding, a block's heads, a block's MLP) is set to
    k / steps clean + (1 - k / steps) ablated, k = 1 ... steps, in an otherwise clean run; the gradient is averaged over
    all these runs.

    Cost: two forwards, and ``steps`` * (1 + 2 blocks) forwards and backwards, per prompt.
    """

    needs: ClassVar[Needs] = Needs.GRADIENT
    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"integrated gradients over activations, {counted(self.steps, 'step')}"

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        differences = pair.differences(pair.clean[0])
        paths = list(self._paths(pair))
        return reduce(operator.add, (pair.gradients_along(*path).scores(differences) for path in paths)) / len(paths)

    def _paths(self, pair: Pair) -> Iterator[tuple[int, list[Tensor]]]:
        """For each group of writers the outputs that it is set to."""
        clean, ablated = pair.clean[0], pair.ablated
        groups = [(EMBED, clean.embed, ablated.embed), *zip(count(), clean.parts, ablated.parts, strict=False)]
        for index, full, empty in groups:
            yield index, [empty + (full - empty) * (k / self.steps) for k in range(1, self.steps + 1)]


@dataclass(frozen=True)
class CleanCorrupt(Knobs):
    """The mean of EAP's gradient at the clean run and at the run on the ablated input (Hanna et al. 2403.17806).

    Cost: three forwards and two backwards per prompt, and one more forward of the clean run.
    """

    needs: ClassVar[Needs] = Needs.GRADIENT

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return "the mean of the gradients at the clean and the ablated prompt"

    def effects(self, pair: Pair, work: Work) -> Tensor:
        """Sum over the pair's prompts of each edge's effect: (U, V)."""
        return (EAP().effects(pair, work) + EAPIG(steps=1).effects(pair, work)) / 2


def check_steps(steps: int) -> None:
    """Raise an InputError for a number of steps below 1."""
    if steps < 1:
        raise InputError(f"the number of steps must be at least 1, not {steps}")
