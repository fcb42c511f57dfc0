"""A ranking from gates that are trained to be open or shut."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from circuitsearch.errors import InputError, counted
from circuitsearch.experiment import Experiment
from circuitsearch.journal import beside
from circuitsearch.knobs import Knobs
from circuitsearch.methods.ensemble import check_method, share_below
from circuitsearch.methods.matryoshka import check_positive, on_edges
from circuitsearch.methods.objective import Objective
from circuitsearch.methods.training import Training
from circuitsearch.metric_contract import Needs
from circuitsearch.progress import Progress, silent
from circuitsearch.saved_state import NOTHING_KEPT, SavedState

LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3  # of the hard concrete distribution, as in both papers
OPEN = 2.0  # log alpha before training, nearly all gates open; the paper's 10, of which nothing is learned at first, is for thousands of steps
WARMING = 0.07  # share of the steps over which the learning rate rises
TIGHTENING = 5 / 6  # share of the steps over which the target falls from all edges to ``share`` of them


@dataclass(frozen=True)
class EdgePruning(Knobs):
    """A random gate an edge, trained to be open on few edges only (Bhaskar et al. 2406.16778; gates: Louizos et al. 1712.01312).

    The weight of an edge is drawn from a hard concrete distribution: a sigmoid of (log alpha + logistic noise) / (2/3), stretched to -0.1 ... 1.1 and
    clamped to 0 ... 1. Each step draws all weights anew, and descends (Adam) the distance of the circuit's metric from the model's
    (:class:`circuitsearch.methods.objective.Objective`; the paper's is the divergence of its prediction, which is that of the metric
    ``neg_kl``) plus a * d + b * d ** 2, where d is how far the expected share of shut gates is from its target; a and b ascend. The target goes
    linearly from none to all but ``share`` of the edges over the first five sixths of the steps. The learning rate rises over the
    first steps, then falls to 0.

    With a ``start`` it is a sequential ensemble (Mondorf et al. 2510.06811): before training, a gate is the wider open the higher its edge ranks by the magnitude of
    that method's score. The paper starts from EAP-IG; log alpha is here linear in the rank, from -2 for the weakest edge to 2 for the strongest.

    A score is the probability that the gate is not shut: a strength in 0 ... 1. It is no effect: it has neither the metric's unit nor a sign.
    It is trained for one size, so it says less of circuits that are much smaller or larger.

    Cost: for each step a forward and a backward of a circuit with weighted edges on ``prompts`` of the prompts, and that of ``start``.

    Parameters
    ----------
    share : float
        Share of the edges that are to be kept, between 0 and 1.
    steps : int
        Steps of training.
    prompts : int
        Prompts of a step, at most. If the task has more, they are divided at random, and each step takes one part.
    rate : float
        Learning rate, also of a and b. The paper trains for 3,000 steps with .8, from gates that are wider open.
    start : Method, optional
        Its ranking is where training starts; by default all gates are alike, with a log alpha of 2.

    Raises
    ------
    InputError
        If a number is not above 0, the share is not below 1, the start is no method, or where it is used, if ablating every edge does not
        change the metric.

    Notes
    -----
    The result depends on the experiment's seed, and on how the prompts are ordered if they are divided.
    """

    needs: ClassVar[Needs] = Needs.GRADIENT
    share: float = 0.05
    steps: int = 200
    prompts: int = 16
    rate: float = 0.3
    start: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "share", "steps", "prompts", "rate")
        if not self.share < 1:
            raise InputError(
                f"EdgePruning's share must be below 1, not {self.share}: it is the share of the edges to keep"
            )
        if self.start is not None:
            check_method("as EdgePruning's start", self.start)

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"edge pruning to {self.share:.2g} of the edges, {counted(self.steps, 'step')}"

    @torch.enable_grad()
    def rank(self, experiment: Experiment, progress: Progress = silent, state: SavedState = NOTHING_KEPT) -> Tensor:
        """Train on all prompts: probabilities (U, V), float64, zero where there is no edge."""
        generator = torch.Generator().manual_seed(experiment.seed)
        objective = Objective.of(experiment, self.prompts, False, generator)
        log_alpha = self._started(experiment, state.path).requires_grad_()
        multipliers = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([{"params": [log_alpha]}, {"params": [multipliers], "maximize": True}], self.rate)
        for step in Training(optimizer, generator, state, progress).steps(self.steps):
            for group in optimizer.param_groups:
                group["lr"] = self.rate * self._share_of_rate(step)
            optimizer.zero_grad()
            gates = drawn_gates(log_alpha, generator)
            _, gradient = objective(objective.drawn(generator), gates.detach())
            gates.backward(gradient)
            self._penalty(log_alpha, multipliers, step).backward()
            optimizer.step()
        return on_edges(experiment, probability_open(log_alpha.detach()))

    def _started(self, experiment: Experiment, kept: Path | None) -> Tensor:
        """Log alpha of each edge (E,) before training."""
        if self.start is None:
            return torch.full((experiment.graph.n_edges,), OPEN, dtype=torch.float64)
        return OPEN * (2 * share_below(experiment.score(self.start, journal=beside(kept, "start"))) - 1)

    def _penalty(self, log_alpha: Tensor, multipliers: Tensor, step: int) -> Tensor:
        """a * d + b * d ** 2."""
        target = (1 - self.share) * min(1.0, step / (TIGHTENING * self.steps))
        missed = 1 - probability_open(log_alpha).mean() - target
        return multipliers[0] * missed + multipliers[1] * missed**2

    def _share_of_rate(self, step: int) -> float:
        warm = max(1.0, WARMING * self.steps)
        return (step + 1) / warm if step < warm - 1 else (self.steps - step) / (self.steps - warm + 1)


def drawn_gates(log_alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Weights (E,) drawn from the hard concrete distribution of each log alpha (E,)."""
    uniform = torch.rand(log_alpha.shape, generator=generator, dtype=log_alpha.dtype).clamp(1e-6, 1 - 1e-6)
    stretched = torch.sigmoid((uniform.logit() + log_alpha) / TEMPERATURE) * (HIGH - LOW) + LOW
    return stretched.clamp(0, 1)


def probability_open(log_alpha: Tensor) -> Tensor:
    """Probability that a gate is above 0: (E,)."""
    return torch.sigmoid(log_alpha - TEMPERATURE * log(-LOW / HIGH))
