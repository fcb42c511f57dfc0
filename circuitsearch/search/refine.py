"""``refine``: from a ranking of edges to the smallest circuit that is faithful on prompts that did not choose it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import RATIO, ROUNDING, Average, Faithfulness, reaches
from circuitsearch.methods.recheck import affordable_edges
from circuitsearch.progress import Progress, silent
from circuitsearch.scores import Scores
from circuitsearch.search.checkpoint import Checkpoint
from circuitsearch.search.minimal import Elimination, check_target
from circuitsearch.search.passes import VALUE, Passes, Refine, State
from circuitsearch.search.ranked import strongest
from circuitsearch.task import Task

ELIMINATION_PROMPTS = 128  # at least, where the task can write them
START_AT = 1 / 3  # of the target: the faithfulness of the prefix that the passes start from
ELIMINATION_FORWARDS = 5  # of the selection prompts, on a model so large that they are more than a few seconds
TRIES = 3  # eliminations, each to a higher faithfulness on the selection prompts
CHAIN_AT_ONCE = 16  # circuits that are measured together

Passed = Callable[[Circuit], object]
"""Called after every pass with the best circuit so far and its history."""


def refine(
    model: Any,
    task: Task,
    scores: Scores,
    stopping: Task,
    faithfulness: float = 0.9,
    *,
    how: Refine | None = None,
    of: Average = RATIO,
    minutes: float | None = None,
    checkpoint: str | Path | None = None,
    passed: Passed = lambda circuit: None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> Circuit:
    """Find the smallest circuit that reaches a faithfulness on prompts that did not choose its edges.

    It starts from a prefix of the ranking. Every pass runs the circuit and one backward pass, which gives the gain of every edge
    at that circuit (:mod:`circuitsearch.engine.circuit_gradient`); edges that bring more take the place of weak ones, edges are
    added below the target and dropped above it. If the task can write prompts, each pass has new ones. At the end edges are
    removed by exact runs: all are tried in a circuit small enough, else only those of the least gain.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        The prompts that choose edges.
    scores : Scores
        The ranking to start from.
    stopping : Task
        Other prompts, which decide which circuit is returned.
    faithfulness : float
        The target, in (0, 1]: the circuit's faithfulness must be within 1 - target of 1, on either side.
    how : Refine, optional
        Sizes of steps, and when to stop.
    of : Average
        Whether faithfulness is the ratio of means or the mean over prompts.
    minutes : float, optional
        End after about this time, with the best circuit so far. Nothing else depends on the time taken.
    checkpoint : path, optional
        A file that is written after every pass, from which a search that was interrupted goes on.
    passed : callable
        Called after every pass with the best circuit so far.
    progress : callable
        Called with (passes done, passes at most).
    **settings
        As of :class:`circuitsearch.Experiment`; what is not given is as the scores were computed with.

    Returns
    -------
    Circuit
        Its ``history`` has every pass, and a note if the target was not reached; its ``certificate`` the faithfulness without
        each edge that was tried.

    Raises
    ------
    InputError
        As :func:`circuitsearch.minimal`; or if the checkpoint is of another search.
    """
    check_target(faithfulness)
    selection = Experiment.of(model, task, scores, **settings)
    search = _Search(selection, Faithfulness(selection.on(stopping), of), scores, faithfulness, how or Refine())
    return search.run(Checkpoint(checkpoint, search.identity), minutes, passed, progress)


@dataclass(frozen=True)
class _Search:
    selection: Experiment
    stopping: Faithfulness
    scores: Scores
    target: float
    how: Refine

    @cached_property
    def passes(self) -> Passes:
        return Passes(self.selection, self.stopping, self.target, self.how)

    @property
    def identity(self) -> dict[str, Any]:
        """All that the search depends on."""
        return {
            "setup": self.selection.setup.identity(),
            "stopping": self.stopping.experiment.setup.prompts_sha256,
            "target": self.target,
            "of": repr(self.stopping.of),
            "how": repr(self.how),
            "scores": hashlib.sha256(self.scores.values.double().contiguous().numpy().tobytes()).hexdigest(),
        }

    def run(self, checkpoint: Checkpoint, minutes: float | None, passed: Passed, progress: Progress) -> Circuit:
        began = time.monotonic()
        state = checkpoint.load() or self._start()

        def keep(state: State) -> None:
            checkpoint.save(state)
            progress(len(state.passes), self.how.passes)
            passed(self._circuit(state, state.best, "the search goes on"))

        def in_time() -> bool:
            return minutes is None or time.monotonic() - began < 60 * minutes

        state = self.passes.run(state, keep, in_time)
        ended = self.passes.ended(state)
        if ended is None:
            return self._circuit(state, state.best, f"the {minutes:g} minutes were over", complete=False)
        circuit = self._eliminated(state, ended)
        checkpoint.remove()
        return circuit

    # ---- the start

    def _start(self) -> State:
        """The smallest prefix of the ranking, of sizes that double, with a third of the target; found by bisection.

        It has at least as many edges as exact runs can try at the end.
        """
        places = self.scores.ranking()
        sizes = list(_doubling(affordable_edges(self.selection, forwards=ELIMINATION_FORWARDS), len(places)))
        experiment = self.passes.prompts.of_pass(0)
        measure = Faithfulness(experiment, self.stopping.of)
        lower, upper, runs = -1, len(sizes) - 1, 2
        while upper - lower > 1:
            middle, runs = (lower + upper) // 2, runs + 1
            mask = strongest(self.selection.graph, places, sizes[middle])
            enough = bool(mask.any()) and float(measure(mask[None])) >= START_AT * self.target
            lower, upper = (lower, middle) if enough else (middle, upper)
        cost = VALUE * runs * len(experiment.task) / len(self.selection.task)
        return self.passes.start(strongest(self.selection.graph, places, sizes[upper]), cost)

    # ---- the end

    def _eliminated(self, state: State, ended: str) -> Circuit:
        """The smallest circuit that elimination reaches from the best one, or from a prefix of the ranking if that is small."""
        most = affordable_edges(self.selection, forwards=ELIMINATION_FORWARDS)
        measure = Faithfulness(self._elimination_experiment(state, most), self.stopping.of)
        start = self._smallest_start(state, measure, most)
        found = [self._circuit(state, state.best, ended), *self._smaller(state, start, measure, most, ended)]
        return min(found, key=self._order)

    def _order(self, circuit: Circuit) -> tuple[bool, int, bool]:
        assert circuit.history is not None
        return not reaches(circuit.history.stopping.value, self.target), len(circuit), circuit.certificate is None

    def _elimination_experiment(self, state: State, most: int) -> Experiment:
        """On new selection prompts, at least as many as the task has, or on the task's own if it cannot write others.

        Where only some edges can be tried, on those of one more pass.
        """
        prompts = self.passes.prompts
        if int(state.best.sum()) > most:
            return prompts.of_pass(len(state.passes))
        return prompts.for_elimination(ELIMINATION_PROMPTS)

    def _smallest_start(self, state: State, measure: Faithfulness, most: int) -> Tensor:
        """The circuit (U, V) to remove edges from: the best one, or the smallest prefix if all its edges can be tried."""
        best, places = self.passes.mask(state.best), self.scores.ranking()[:most]
        prefix = strongest(self.selection.graph, places, most)
        if not prefix.any() or not reaches(float(measure(prefix[None])), self.target):
            return best
        prefix = Elimination(measure, self.target).smallest_prefix(places)
        return prefix if int(prefix.sum()) < int(best.sum()) else best

    def _smaller(self, state: State, start: Tensor, measure: Faithfulness, most: int, ended: str) -> Iterator[Circuit]:
        """Circuits to which elimination shrinks ``start``.

        First to the target on the selection prompts; if that is too small for the stopping prompts, to the faithfulness that the
        smallest circuit on the way had which reaches the target on them.
        """
        among = None if int(start.sum()) <= most else self._weakest(start, measure, most)
        level = self.target
        for _ in range(TRIES):
            chain = [start]
            yield self._shrunk(state, start, level, measure, among, ended, chain)
            values = torch.cat([self.stopping(some) for some in torch.stack(chain).split(CHAIN_AT_ONCE)])
            reached = reaches(values, self.target)
            if reached[-1] or not reached.any():
                return
            last = int(reached.nonzero().max())
            start = chain[last]
            yield self._circuit(state, start[self.passes.places], ended, measure)
            kept = float(measure(start[None]))
            level = kept if last else (level + kept) / 2  # even the first batch of edges was too much

    def _shrunk(
        self,
        state: State,
        start: Tensor,
        level: float,
        measure: Faithfulness,
        among: Tensor | None,
        ended: str,
        chain: list[Tensor],
    ) -> Circuit:
        """A circuit without the edges that can be removed at a faithfulness of at least ``level``; all circuits on the way to it."""
        level = min(level, float(measure(start[None]))) - ROUNDING
        elimination = Elimination(measure, level)
        mask, without = elimination.shrunk(start, among=among, rounds=None if among is None else 1, passed=chain.append)
        circuit = self._circuit(state, mask[self.passes.places], ended, measure)
        return replace(circuit, certificate=elimination.certificate(mask, without))

    def _weakest(self, start: Tensor, measure: Faithfulness, count: int) -> Tensor:
        """Mask of the edges of a circuit with the least gain at it."""
        gains = self.passes.gains_at(measure.experiment, start)  # (E,)
        inside = start[self.passes.places]
        weakest = gains.masked_fill(~inside, torch.inf).argsort(stable=True)[:count]
        return self.passes.mask(torch.zeros_like(inside).index_fill(0, weakest, True))

    # ---- results

    def _circuit(
        self, state: State, inside: Tensor, ended: str, measure: Faithfulness | None = None, complete: bool = True
    ) -> Circuit:
        """A circuit with the history of the search; it is measured on the stopping prompts unless that is known."""
        known = state.best_pass if torch.equal(inside, state.best) else None
        stopping = self.passes.on_stopping(inside) if known is None else known.stopping
        setup = (self.selection if measure is None else measure.experiment).setup
        method = None if self.scores.setup is None else self.scores.setup.method
        history = self.passes.history(state, stopping, ended, complete)
        return Circuit(
            self.selection.graph,
            self.passes.mask(inside),
            self.scores.values,
            setup=setup.model_copy(update={"method": method}),
            history=history,
        )


def _doubling(smallest: int, largest: int) -> Iterator[int]:
    size = min(smallest, largest)
    while size < largest:
        yield size
        size = 2 * size
    yield largest
