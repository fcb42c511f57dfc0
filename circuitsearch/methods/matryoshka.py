"""A ranking learned for circuits of all sizes at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from scipy.optimize import brentq
from torch import Tensor

from circuitsearch.errors import InputError, counted
from circuitsearch.experiment import Experiment
from circuitsearch.knobs import Knobs
from circuitsearch.methods.objective import Objective
from circuitsearch.methods.training import Training
from circuitsearch.metric_contract import Needs
from circuitsearch.progress import Progress, silent
from circuitsearch.saved_state import NOTHING_KEPT, SavedState

SIZES = 64  # at which the learned masks are averaged


@dataclass(frozen=True)
class Matryoshka(Knobs):
    """One value an edge, trained so that the k edges of the largest values do the task, for every k (Arora et al. 2609.25518).

    Each step draws a size k, log-uniformly from 1 to the number of edges, and runs the circuit in which an edge has the weight
    sigmoid((value - threshold) / temperature), with the threshold at which the weights sum to k (:func:`soft_top_k`). Gradient descent
    (Adam, from equal values) lowers the distance of its metric from the model's (:class:`circuitsearch.methods.objective.Objective`).

    A score is the mean weight of the edge over sizes that are log-uniform from 1 to all edges: a strength in 0 ... 1, which says how early the
    edge comes into the circuit. It is no effect: it has neither the metric's unit nor a sign.

    Cost: for each step a forward and a backward of a circuit with weighted edges on ``prompts`` of the prompts.

    Parameters
    ----------
    steps : int
        Steps of training.
    prompts : int
        Prompts of a step, at most. If the task has more, they are divided at random, and each step takes one part.
    rate : float
        Learning rate.
    temperature : float
        Of the soft mask: where values differ by much more than this, the weights are nearly 0 and 1.
    overshoot : bool
        Train for the largest metric, as the published rankings are, instead of the model's own. This raises CPR (2504.13151), which counts
        a metric above the model's as gain.

    Raises
    ------
    InputError
        If a number is not above 0, or where it is used, if ablating every edge does not change the metric.

    Notes
    -----
    The result depends on the experiment's seed, and on how the prompts are ordered if they are divided.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> model, tokenizer = cs.load("pico")
    >>> scores = cs.score(model, cs.tasks.induction(tokenizer, n=8), cs.Matryoshka(steps=10, rate=0.3))
    >>> scores.top(1)[0][:2]
    ('a1.h2', 'logits')
    """

    needs: ClassVar[Needs] = Needs.GRADIENT
    steps: int = 200
    prompts: int = 16
    rate: float = 0.1
    temperature: float = 0.5
    overshoot: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "steps", "prompts", "rate", "temperature")

    @property
    def in_words(self) -> str:
        """The method in words, for captions."""
        return f"a ranking trained for circuits of all sizes, {counted(self.steps, 'step')}"

    def rank(self, experiment: Experiment, progress: Progress = silent, state: SavedState = NOTHING_KEPT) -> Tensor:
        """Train on all prompts: strengths (U, V), float64, zero where there is no edge."""
        generator = torch.Generator().manual_seed(experiment.seed)
        objective = Objective.of(experiment, self.prompts, self.overshoot, generator)
        n_edges = experiment.graph.n_edges
        values = torch.zeros(n_edges, dtype=torch.float64)
        optimizer = torch.optim.Adam([values], lr=self.rate)
        for _ in Training(optimizer, generator, state, progress).steps(self.steps):
            size = n_edges ** float(torch.rand((), generator=generator, dtype=torch.float64))
            weights = soft_top_k(values, size, self.temperature)
            _, gradient = objective(objective.drawn(generator), weights)
            values.grad = through_top_k(weights, gradient, self.temperature)
            optimizer.step()
        return on_edges(experiment, self._mean_weights(values))

    def _mean_weights(self, values: Tensor) -> Tensor:
        sizes = [len(values) ** ((place + 0.5) / SIZES) for place in range(SIZES)]
        return sum(soft_top_k(values, size, self.temperature) for size in sizes) / SIZES  # pyright: ignore[reportReturnType]


def soft_top_k(values: Tensor, k: float, temperature: float) -> Tensor:
    """Weights (E,) in 0 ... 1 that sum to k and rise with the values (E,): sigmoid((values - threshold) / temperature).

    Examples
    --------
    >>> weights = soft_top_k(torch.tensor([3.0, 1.0, 0.0, -1.0]).double(), 2, temperature=0.1)
    >>> weights.round(decimals=2).tolist(), round(float(weights.sum()), 6)
    ([1.0, 0.99, 0.01, 0.0], 2.0)
    """
    share = torch.tensor(k / len(values), dtype=torch.float64)
    above, beyond = -temperature * float(torch.logit(share)), temperature  # if all values were equal; for rounding
    low, high = float(values.min()) + above - beyond, float(values.max()) + above + beyond
    threshold: Any = brentq(
        lambda at: float(torch.sigmoid((values - at) / temperature).sum()) - k, low, high, xtol=1e-13
    )
    return torch.sigmoid((values - threshold) / temperature)


def through_top_k(weights: Tensor, gradient: Tensor, temperature: float) -> Tensor:
    """From a derivative in the weights of :func:`soft_top_k` that in the values: (E,) each. The threshold moves with the values."""
    slope = weights * (1 - weights) / temperature
    total = slope.sum().clamp(min=torch.finfo(slope.dtype).tiny)  # 0 if all weights are 0 or 1
    return slope * (gradient - (slope * gradient).sum() / total)


def on_edges(experiment: Experiment, strengths: Tensor) -> Tensor:
    """Strengths (E,) of the graph's edges as (U, V), zero where there is no edge."""
    mask = experiment.graph.mask
    return torch.zeros(mask.shape, dtype=torch.float64).masked_scatter_(mask, strengths)


def check_positive(method: Knobs, *names: str) -> None:
    """Raise an InputError unless these knobs of a method are above 0."""
    for name in names:
        if not getattr(method, name) > 0:
            raise InputError(f"{type(method).__name__}'s {name} must be above 0, not {getattr(method, name)}")
