"""Refine a circuit by the gradient at it: edges are swapped, added and dropped, on new prompts in every pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Average, Faithfulness
from circuitsearch.graph import Graph
from circuitsearch.history import History, Measured, Pass
from circuitsearch.knobs import Knobs, check_at_least_one
from circuitsearch.reachability import prune
from circuitsearch.search.advice import advice
from circuitsearch.search.costs import GRADIENT, RECORD, VALUE
from circuitsearch.search.edits import Edits, Gains, Steps, best_of, edited
from circuitsearch.search.judging import Judges
from circuitsearch.search.prompts import PassPrompts
from circuitsearch.target import reaches, threshold

CHECKED = (0.8, 0.5, 0.2, 0.05)  # shares of an edit that are run, to see how much of it to make
FIRST_TRUST = 0.1  # share of the gains of added edges that is expected, before any were measured together
LEAST_TRUST = 0.05
LEAST_PREDICTED = 0.05  # gain from which trust in predictions is learned
RETRIES = 2  # passes in which a circuit that fell below the target may be mended, before the best one is taken again
LEAST_DROPPED = 0.03  # share of edges
FAR = 2 / 3  # of the target: below this share of it
LEAST_RISE = 0.1  # of what is missing must an edit bring, or else the ranking adds edges
SMALLER = 0.95  # a circuit of at most this share of the edges of those before is progress


@dataclass(frozen=True)
class Refine(Knobs):
    """How a circuit is refined.

    Parameters
    ----------
    passes : int
        At most.
    prompts : int
        Prompts of a pass.
    swapped, added, dropped : float
        Edges that one pass may change at most, as shares of the circuit.
    momentum : float
        Weight of earlier passes in the gain of an edge.
    errors : float
        Standard errors by which a change must be sure to help.
    patience : int
        Passes without progress after which the search ends, once a circuit has reached the target.
    """

    passes: int = 12
    prompts: int = 32
    swapped: float = 0.08
    added: float = 0.5
    dropped: float = 0.5
    momentum: float = 0.5
    errors: float = 1.0
    patience: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "passes", "prompts", "patience")
        for name in ("swapped", "added", "dropped", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"Refine's {name} must be in [0, 1), not {getattr(self, name)}")

    @property
    def in_words(self) -> str:
        """The knobs, for reports."""
        return f"by the gradient in the edges, {', '.join(f'{each.name} {getattr(self, each.name):g}' for each in fields(self))}"


@dataclass(frozen=True)
class State:
    """A search between two passes; all that the next pass depends on. E edges of the graph.

    Attributes
    ----------
    inside : Tensor
        Boolean (E,), the circuit.
    gain, variance : Tensor
        (E,) averaged over passes.
    circuits : Tensor
        Boolean (P, E), those that the P passes so far measured.
    dropped, trust : float
        The share of edges that may be dropped; the share of the predicted gain to expect.
    passes : tuple of Pass
        So far.
    best_at : int, optional
        The pass, counted from 0, of the smallest circuit that reached the target, or else of the one that came nearest to it.
    since, failed : int
        Passes since the last progress; passes in a row below the target, once a circuit has reached it.
    forwards : float
        Cost so far.
    """

    inside: Tensor
    gain: Tensor
    variance: Tensor
    circuits: Tensor
    dropped: float
    forwards: float
    trust: float = FIRST_TRUST
    passes: tuple[Pass, ...] = ()
    best_at: int | None = None
    since: int = 0
    failed: int = 0

    @property
    def best(self) -> Tensor:
        """Boolean (E,), the best circuit so far."""
        return self.inside if self.best_at is None else self.circuits[self.best_at]

    @property
    def best_pass(self) -> Pass | None:
        """The pass that measured it."""
        return None if self.best_at is None else self.passes[self.best_at]


Keep = Callable[[State], object]
"""Called after every pass."""


@dataclass(frozen=True)
class _AtCircuit:
    """The metric (N,) and its gradient (N, E) at a circuit (U, V)."""

    experiment: Experiment
    mask: Tensor
    values: Tensor
    gradients: Tensor


@dataclass(frozen=True)
class Passes:
    """A search by the gradient at a circuit.

    Parameters
    ----------
    selection : Experiment
        On the prompts that choose edges.
    stopping : Faithfulness
        Measures on the prompts that choose the circuit.
    target : float
        The faithfulness to reach, in (0, 1].
    knobs : Refine
        How.
    ranking : Tensor
        (R, 2) row and column of the edges of a ranking, the strongest first: where the search starts, and added where gains lead no further.
    """

    selection: Experiment
    stopping: Faithfulness
    target: float
    knobs: Refine
    ranking: Tensor

    @property
    def graph(self) -> Graph:
        """Writers, readers and edges."""
        return self.selection.graph

    @property
    def average(self) -> Average:
        """How faithfulness is averaged over prompts."""
        return self.stopping.of

    @property
    def aim(self) -> float:
        """The most to aim at, a third of the way from the target to 1."""
        return self.target + (1 - self.target) / 3

    def _threshold(self, passed: Pass) -> float:
        """The faithfulness from which a circuit is good enough, by how surely it was measured."""
        return threshold(self.target, passed.best_estimate.error)

    @cached_property
    def _experiments(self) -> dict[int, Experiment]:
        return {}

    def release(self) -> None:
        """Forget the prompts of passes, and the activations on them."""
        self._experiments.clear()
        self._last_gradients.clear()

    @cached_property
    def _last_gradients(self) -> list[_AtCircuit]:
        return []

    @cached_property
    def judges(self) -> Judges:
        """They decide which circuit is the best."""
        return Judges(self.selection, self.stopping)

    @cached_property
    def prompts(self) -> PassPrompts:
        """Of each pass."""
        return PassPrompts(self.selection, self.knobs.prompts)

    # ---- between edges and masks

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """Row and column of every edge: (E,) each."""
        rows, columns = self.graph.mask.nonzero().unbind(1)
        return rows, columns

    def mask(self, inside: Tensor) -> Tensor:
        """(E,) as a mask (U, V)."""
        out = torch.zeros_like(self.graph.mask)
        out[self.places] = inside
        return out

    def pruned(self, inside: Tensor) -> Tensor:
        """The edges (E,) on a path from embed to logits."""
        return prune(self.graph, self.mask(inside))[self.places]

    # ---- the search

    def start(self, mask: Tensor, forwards: float = 0.0) -> State:
        """The state that begins with a circuit (U, V)."""
        inside = mask[self.places]
        zero = torch.zeros(len(inside), dtype=torch.float64)
        return State(inside, zero, zero, inside.new_empty(0, len(inside)), self.knobs.dropped, forwards)

    def run(self, state: State, keep: Keep = lambda state: None, goes_on: Callable[[], bool] = lambda: True) -> State:
        """Do passes until the search ends, or until ``goes_on`` says no."""
        while self.ended(state) is None and goes_on():
            state = self.step(state)
            keep(state)
        return state

    def ended(self, state: State) -> str | None:
        """Why the search is at its end, or None if it is not."""
        if len(state.passes) >= self.knobs.passes:
            return f"{self.knobs.passes} passes were done"
        if state.since >= self.knobs.patience and self._reached(state):
            return f"{state.since} passes brought no smaller circuit"
        if state.dropped < LEAST_DROPPED:
            return "no more edges could be dropped"
        return None

    def step(self, state: State) -> State:
        """One pass: measure the circuit and every edge's gain, keep the circuit if it is the best, and edit it."""
        experiment = self._experiment(len(state.passes))
        ((clean, ablated),) = experiment.evaluator.ends()
        values, gradients = self._gradients(experiment, self.mask(state.inside))
        faithfulness = self.average.measured(values, clean, ablated)
        gains, variance = self._gains(state, values, clean, ablated, gradients)
        state = self._judged(replace(state, forwards=state.forwards + self._cost(experiment)), faithfulness)
        state = replace(state, gain=gains.mean, variance=variance)
        if self.ended(state) is not None:
            return state
        if state.failed > RETRIES:
            return replace(state, inside=state.best, dropped=state.dropped / 2, failed=0)
        steps = Steps(self.knobs.swapped, self.knobs.added, state.dropped)
        seen, least = state.passes[-1].best_estimate, self._threshold(state.passes[-1])
        edits = edited(state.inside, gains, seen.value, self.target, steps, state.trust)
        changed, rise = self._checked(state, edits)
        if torch.equal(changed.inside, state.inside):
            changed = replace(changed, dropped=state.dropped / 2)
        if seen.value < FAR * self.target and rise < LEAST_RISE * (least - seen.value):
            return replace(changed, inside=self._widened(state.inside))
        return changed

    def _experiment(self, number: int) -> Experiment:
        """On the prompts of a pass; those of the last two are kept."""
        if number not in self._experiments:
            for old in [each for each in self._experiments if each != number - 1]:
                del self._experiments[old]
            self._experiments[number] = self.prompts.of_pass(number)
        return self._experiments[number]

    def _checked(self, state: State, edits: Edits) -> tuple[State, float]:
        """Make all the changes, or the first of them in the order of :meth:`Edits.mended`: as many as do what they should together.

        The second result is the rise of faithfulness that is expected of them.

        Gains at one circuit do not add up, and were chosen on the prompts of the pass. So circuits are compared on the prompts of
        the next one, and what they differ by is added to the faithfulness on the pass's and the stopping prompts.
        """
        whole = self.pruned(edits.first(1, state.inside))
        if torch.equal(whole, state.inside):
            return state, 0.0
        experiment = self._experiment(len(state.passes))
        at = self.faithfulness_on(experiment, self.mask(state.inside))
        all_made, mended = self._mended(experiment, edits, whole)
        parts = (self.pruned(mended.first(share, state.inside)) for share in CHECKED)
        tried = _distinct([state.inside, whole, *parts])
        values = [at, all_made, *(self.faithfulness_on(experiment, self.mask(each)) for each in tried[2:])]
        seen = state.passes[-1].best_estimate.value
        expected = [seen + each - at for each in values]
        chosen = best_of(expected, [int(each.sum()) for each in tried], self._threshold(state.passes[-1]))
        cost = GRADIENT + VALUE * (len(tried) - 1) - (GRADIENT if chosen == 1 else 0.0)  # which the next pass then has
        changed = replace(
            state,
            inside=tried[chosen],
            trust=self._trust(state, edits.predicted, all_made - at),
            forwards=state.forwards + cost * len(experiment.task) / len(self.selection.task),
        )
        return changed, values[chosen] - at

    def _mended(self, experiment: Experiment, edits: Edits, whole: Tensor) -> tuple[float, Edits]:
        """Faithfulness after all changes, and the changes in the order of the edges' effects there."""
        faithfulness, effect, _ = self._effects(experiment, self.mask(whole))
        return faithfulness, edits.mended(effect)

    def _effects(self, experiment: Experiment, mask: Tensor) -> tuple[float, Tensor, Tensor]:
        """The faithfulness of a circuit (U, V) on some prompts, every edge's effect on it, and the effect's variance: (E,) each."""
        ((clean, ablated),) = experiment.evaluator.ends()
        values, gradients = self._gradients(experiment, mask)
        effect, variance = _summed(gradients, self.average.slope(values, clean, ablated))
        return float(self.average.estimate(values, clean, ablated)), effect, variance

    def _widened(self, inside: Tensor) -> Tensor:
        """The circuit (E,) with as many edges again, the strongest of the ranking that are outside it.

        Gradients do not see a path of which two edges are missing: neither edge alone does anything.
        """
        mask = self.mask(inside)
        outside = self.ranking[~mask[self.ranking[:, 0], self.ranking[:, 1]]][: int(inside.sum())]
        mask[outside[:, 0], outside[:, 1]] = True
        return self.pruned(mask[self.places])

    def _gradients(self, experiment: Experiment, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The metric (N,) of a circuit, and its gradient (N, E).

        The last result is kept: if all changes of an edit are made, the next pass begins with the circuit that was mended.
        """
        if not any(each.experiment is experiment and torch.equal(each.mask, mask) for each in self._last_gradients):
            self._last_gradients[:] = [_AtCircuit(experiment, mask, *self._run_with_gradient(experiment, mask))]
        (last,) = self._last_gradients
        return last.values, last.gradients

    def _run_with_gradient(self, experiment: Experiment, mask: Tensor) -> tuple[Tensor, Tensor]:
        values = torch.zeros(len(experiment.task), dtype=torch.float64)
        gradients = torch.zeros(len(values), len(self.places[0]), device=experiment.described.device)
        for rows, run in experiment.evaluator.run(mask, gradient=True):
            assert run.gradient is not None
            values[rows] = run.values.cpu().double()
            gradients[rows] = run.gradient[:, *self.places].to(gradients)
        sharing = experiment.evaluator.sharing_prompts
        return sharing.filled(values, mask), sharing.filled(gradients).cpu()

    def _gains(
        self, state: State, values: Tensor, clean: Tensor, ablated: Tensor, gradients: Tensor
    ) -> tuple[Gains, Tensor]:
        """Every edge's gain, and its variance (E,); both averaged with those of earlier passes."""
        pull = self.average.pull(values, clean, ablated, self.aim)
        gain, variance = (each.double() for each in _summed(gradients, pull))
        if state.passes:
            kept = self.knobs.momentum
            gain, variance = (
                kept * state.gain + (1 - kept) * gain,
                kept**2 * state.variance + (1 - kept) ** 2 * variance,
            )
        effect = self.average.slope(values, clean, ablated).to(gradients) @ gradients
        return Gains(gain, self.knobs.errors * variance.sqrt(), effect.double()), variance

    def _trust(self, state: State, predicted: float, seen: float) -> float:
        """How much of a predicted gain to expect, after an edit was measured."""
        if predicted < LEAST_PREDICTED:
            return state.trust
        return min(1.0, max(LEAST_TRUST, seen / predicted))

    def _cost(self, experiment: Experiment) -> float:
        records = RECORD if experiment is not self.selection else 0.0
        return (records + GRADIENT) * len(experiment.task) / len(self.selection.task)

    def _judged(self, state: State, faithfulness: Measured) -> State:
        """Measure the circuit on the stopping prompts, judge it if it is near the target, and keep it if it is the best so far."""
        n_edges, forwards = int(state.inside.sum()), state.forwards
        if state.passes and torch.equal(state.inside, state.circuits[-1]):
            stopping = state.passes[-1].stopping
        else:
            stopping = self.on_stopping(state.inside)
            forwards += VALUE * len(self.stopping.experiment.task) / len(self.selection.task)
        passed = Pass(len(state.passes) + 1, n_edges, faithfulness, stopping, forwards)
        near = passed.best_estimate
        if reaches(near.value, self.target, near.error):
            (judged,) = self.judges(self.mask(state.inside)[None], [stopping])
            forwards += self._cost_of_judging(first=not any(each.judged for each in state.passes))
            passed = replace(passed, judged=judged)
        passed = replace(passed, forwards=round(forwards, 2))
        failed = (
            state.failed + 1 if self._reached(state) and passed.best_estimate.value < self._threshold(passed) else 0
        )
        better, shrinks = self._is_better(state, passed), self._shrinks(state, passed)
        circuits = torch.cat([state.circuits, state.inside[None]])
        state = replace(state, passes=(*state.passes, passed), circuits=circuits, forwards=forwards)
        if better:
            return replace(state, best_at=len(state.passes) - 1, since=0, failed=0)
        return replace(state, since=0 if shrinks else state.since + 1, failed=failed)

    def _cost_of_judging(self, first: bool) -> float:
        judges = self.judges
        if judges.new is None:
            return 0.0
        run = VALUE * len(judges.new.clean) / len(self.selection.task)
        return run + (judges.cost_of_recording if first else 0.0)

    def faithfulness_on(self, experiment: Experiment, mask: Tensor) -> float:
        """Faithfulness of the circuit (U, V) on the prompts of a pass; on so few the model need not do the task."""
        (both_ends,) = experiment.evaluator.ends()
        return float(self.average.estimate(experiment.evaluator.metric_of(mask), *both_ends))

    def on_stopping(self, inside: Tensor) -> Measured:
        """Faithfulness of the circuit (E,) on the stopping prompts."""
        return self.stopping.measured_alone(self.mask(inside))

    def _reached(self, state: State) -> bool:
        return state.best_pass is not None and self._is_good(state.best_pass)

    def _is_good(self, passed: Pass) -> bool:
        """Whether a circuit was judged to reach the target."""
        return passed.judged is not None and passed.judged.reaches_with_margin(self.target)

    def _is_better(self, state: State, passed: Pass) -> bool:
        """Whether a circuit is better than the best so far: smaller at the target, or nearer to it."""
        if state.best_pass is None:
            return True
        if self._is_good(passed):
            return not self._reached(state) or passed.n_edges <= SMALLER * int(state.best.sum())
        return not self._reached(state) and abs(1 - passed.best_estimate.value) < abs(
            1 - state.best_pass.best_estimate.value
        )

    def _shrinks(self, state: State, passed: Pass) -> bool:
        """Whether a circuit is smaller than all before and not below the target; if it overshoots, it is not yet a good one."""
        smallest = min((each.n_edges for each in state.passes), default=self.graph.n_edges)
        return passed.best_estimate.value >= self._threshold(passed) and passed.n_edges <= SMALLER * smallest

    def gains_at(self, experiment: Experiment, mask: Tensor) -> Tensor:
        """The magnitude of every edge's effect at a circuit (U, V), plus its standard error over prompts: (E,)."""
        _, effect, variance = self._effects(experiment, mask)
        return effect.abs() + variance.sqrt()

    def history(
        self, state: State, stopping: Measured, n_stopping: int, ended: str, complete: bool, missed: str = ""
    ) -> History:
        """The record of the search for a circuit with this faithfulness, and in words if it missed the target."""
        n_selection = len(state.passes) * self.knobs.prompts if self.prompts.are_new else len(self.selection.task)
        return History(
            target=self.target,
            stopping=stopping,
            n_selection=n_selection,
            n_stopping=n_stopping,
            forwards=round(state.forwards, 2),
            passes=state.passes,
            ended=ended,
            complete=complete,
            note=missed and advice(self.target, stopping, missed, state.passes),
        )


def _distinct(circuits: Iterable[Tensor]) -> list[Tensor]:
    """The circuits (E,) without repetitions, in the same order."""
    distinct: dict[bytes, Tensor] = {}
    for each in circuits:
        distinct.setdefault(each.numpy().tobytes(), each)
    return list(distinct.values())


def _summed(gradients: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over prompts of weighted gradients (N, E), and its variance: (E,) each."""
    weighted, n = gradients * weights.to(gradients)[:, None], len(weights)
    return weighted.sum(0), n * weighted.var(0, unbiased=n > 1)
