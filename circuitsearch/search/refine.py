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
from circuitsearch.history import History
from circuitsearch.methods.recheck import affordable_edges
from circuitsearch.progress import Progress, silent
from circuitsearch.scores import Scores
from circuitsearch.search.checkpoint import Checkpoint
from circuitsearch.search.costs import VALUE
from circuitsearch.search.judging import Judges
from circuitsearch.search.minimal import Edge, Elimination, check_target
from circuitsearch.search.passes import Passes, Refine, State, ends
from circuitsearch.search.ranked import strongest
from circuitsearch.task import Task

ELIMINATION_PROMPTS = (128, 512)  # at least, where the task can write them: at first, and from a smaller circuit
ELIMINATION_MARGINS = (0.0, 0.1)  # above the target, as shares of 1 - target
START_AT = 0.05  # of the target: the faithfulness of the prefix that the passes start from
START_SHARE = 0.01  # of all edges, that it has at least: at a circuit of a few edges no single edge helps
ELIMINATION_FORWARDS = 5  # of the selection prompts, on a model so large that they are more than a few seconds

Passed = Callable[[Circuit], object]
"""Called after every pass with the best circuit so far and its history."""


def refine(
    model: Any,
    task: Task,
    scores: Scores,
    stopping: Task | Experiment,
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
    added below the target and dropped above it, as many as help on the prompts of the next pass. If the task can write prompts, each
    pass has new ones. At the end the smallest circuit is taken that is faithful on the stopping prompts and on new selection prompts
    (:mod:`circuitsearch.search.judging`), and edges are removed by exact runs: all are tried in a circuit small enough, else only
    those of the least gain.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        The prompts that choose edges.
    scores : Scores
        The ranking to start from.
    stopping : Task or Experiment
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
    others = stopping if isinstance(stopping, Experiment) else selection.on(stopping)
    search = _Search(selection, Faithfulness(others, of), scores, faithfulness, how or Refine())
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

    @cached_property
    def judges(self) -> Judges:
        return Judges(self.selection, self.stopping)

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
            passed(self._so_far(state, self.passes.ended(state) or ""))

        def in_time() -> bool:
            return minutes is None or time.monotonic() - began < 60 * minutes

        state = self.passes.run(state, keep, in_time)
        ended = self.passes.ended(state)
        if ended is None:
            return self._so_far(state, f"the {minutes:g} minutes were over")
        self.passes.release()
        circuit = self._eliminated(replace(state, best_at=self._judged(state)), ended)
        checkpoint.remove()
        return circuit

    @cached_property
    def _most(self) -> int:
        """How many edges exact runs can try."""
        return affordable_edges(self.selection, forwards=ELIMINATION_FORWARDS)

    # ---- the start

    def _start(self) -> State:
        """The smallest prefix of the ranking, of sizes that double, with a twentieth of the target; found by bisection.

        It has at least one edge in a hundred, and as many as exact runs can try at the end.
        """
        places = self.scores.ranking()
        smallest = max(self._most, round(START_SHARE * len(places)))
        sizes = list(_doubling(smallest, len(places)))
        experiment = self.passes.prompts.of_pass(0)
        clean, ablated = ends(experiment)
        lower, upper, runs = -1, len(sizes) - 1, 2
        while upper - lower > 1:
            middle, runs = (lower + upper) // 2, runs + 1
            values = experiment.evaluator.metric_of(strongest(self.selection.graph, places, sizes[middle]))
            enough = float(self.stopping.of.estimate(values, clean, ablated)) >= START_AT * self.target
            lower, upper = (lower, middle) if enough else (middle, upper)
        cost = VALUE * runs * len(experiment.task) / len(self.selection.task)
        return self.passes.start(strongest(self.selection.graph, places, sizes[upper]), cost)

    # ---- the end

    def _judged(self, state: State) -> int | None:
        """The pass, counted from 0, of the smallest circuit that the judges accept, or of the one nearest to the target.

        Those are judged that reached it, within a standard error, on the prompts of their pass and the stopping prompts.
        """
        passes = state.passes
        on_both = [each.on_both for each in passes]
        plausible = [at for at, each in enumerate(on_both) if reaches(each.value, self.target, each.error)]
        if not plausible:
            return state.best_at
        masks = torch.stack([self.passes.mask(state.circuits[at]) for at in plausible])
        judged = self.judges(masks, [passes[at].stopping for at in plausible])
        accepted = [at for at, each in zip(plausible, judged, strict=True) if each.reaches(self.target)]
        if accepted:
            return min(accepted, key=lambda at: passes[at].n_edges)
        return min(zip(plausible, judged, strict=True), key=lambda each: abs(1 - each[1].together.value))[0]

    def _eliminated(self, state: State, ended: str) -> Circuit:
        """The smallest circuit that elimination reaches from the best one.

        In a circuit small enough all edges can be tried, on many prompts; else some are, on those of one more pass.
        """
        prompts, start = self.passes.prompts, self.passes.mask(state.best)
        if int(start.sum()) > self._most:
            measure = Faithfulness(prompts.of_pass(len(state.passes)), self.stopping.of)
            found = self._without_some(state, start, measure, ended)
        else:
            found = self._without_any(state, start, ended)
        return min([self._found(state, start, ended), *found], key=self._order)

    def _order(self, circuit: Circuit) -> tuple[bool, float, bool]:
        """The smallest circuit that the judges accept comes first, or else the nearest to the model; of two equal ones that with a certificate."""
        (judged,) = self.judges(circuit.mask[None])
        accepted = judged.reaches(self.target)
        return not accepted, len(circuit) if accepted else abs(1 - judged.together.value), circuit.certificate is None

    def _without_some(self, state: State, start: Tensor, measure: Faithfulness, ended: str) -> Iterator[Circuit]:
        """The circuit with a certificate of its weakest edges, and one without those that can be removed."""
        elimination = Elimination(measure, min(self.target, float(measure(start[None]))) - ROUNDING)
        among = self._weakest(start, measure)
        without = elimination.without_each(start, among)
        yield self._certified(state, start, elimination, without, ended)
        removable = [edge for edge, value in without.items() if reaches(value, elimination.target)]
        *_, smaller = [start, *elimination.eliminate(start, removable)]
        if int(smaller.sum()) < int(start.sum()):
            yield self._certified(state, smaller, elimination, elimination.without_each(smaller, among), ended)

    def _without_any(self, state: State, best: Tensor, ended: str) -> Iterator[Circuit]:
        """Circuits from which no edge can be removed, by runs on new selection prompts, or on the task's own.

        Elimination makes use of what is particular to its prompts. If the judges do not accept its end, it is repeated on more
        prompts, from the smallest circuit on the way that they accept.
        """
        start = None
        for n_prompts, margin in zip(ELIMINATION_PROMPTS, ELIMINATION_MARGINS, strict=True):
            measure = Faithfulness(self.passes.prompts.for_elimination(n_prompts), self.stopping.of)
            start = self._smallest_start(best, measure) if start is None else start
            chain = [start]
            elimination = Elimination(
                measure, min(self.target + margin * (1 - self.target), float(measure(start[None]))) - ROUNDING
            )
            smaller, without = elimination.shrunk(start, passed=chain.append)
            yield self._certified(state, smaller, elimination, without, ended)
            accepted = [at for at, each in enumerate(self.judges(torch.stack(chain))) if each.reaches(self.target)]
            if not accepted or accepted[-1] == len(chain) - 1:
                return
            start = chain[accepted[-1]]
            yield self._found(state, start, ended, measure)

    def _smallest_start(self, best: Tensor, measure: Faithfulness) -> Tensor:
        """The circuit (U, V) to remove edges from: the best one, or a prefix of the ranking if the judges accept a smaller one.

        The smallest prefix that reaches the target on the selection prompts, or the first of larger ones that the judges accept.
        """
        places = self.scores.ranking()[: self._most]
        prefix = strongest(self.selection.graph, places, self._most)
        if not prefix.any() or not reaches(float(measure(prefix[None])), self.target):
            return best
        size = int(Elimination(measure, self.target).smallest_prefix(places).sum())
        while size < int(best.sum()):
            prefix = strongest(self.selection.graph, places, size)
            if self.judges(prefix[None])[0].reaches(self.target):
                return prefix
            size = max(size + 1, size * 5 // 4)
        return best

    def _weakest(self, start: Tensor, measure: Faithfulness) -> Tensor:
        """Mask of the edges of a circuit with the least gain at it."""
        gains = self.passes.gains_at(measure.experiment, start)  # (E,)
        inside = start[self.passes.places]
        weakest = gains.masked_fill(~inside, torch.inf).argsort(stable=True)[: self._most]
        return self.passes.mask(torch.zeros_like(inside).index_fill(0, weakest, True))

    # ---- results

    def _so_far(self, state: State, ended: str) -> Circuit:
        """The best circuit of a search that goes on, or of one whose time is over."""
        known = state.best_pass
        stopping = self.passes.on_stopping(state.best) if known is None else known.stopping
        n_prompts = len(self.stopping.experiment.task)
        missed = "" if reaches(stopping.value, self.target) else f"{stopping} on {n_prompts} stopping prompts"
        history = self.passes.history(state, stopping, n_prompts, ended, complete=False, missed=missed)
        return self._circuit(self.passes.mask(state.best), self.selection, history)

    def _found(self, state: State, mask: Tensor, ended: str, measure: Faithfulness | None = None) -> Circuit:
        """A circuit (U, V) at the end of the search, with its faithfulness on the judging prompts."""
        (judged,) = self.judges(mask[None])
        state = replace(state, forwards=state.forwards + self.judges.forwards)
        missed = "" if judged.reaches(self.target) else f"{judged}"
        n_prompts = self.judges.n_prompts
        history = self.passes.history(state, judged.together, n_prompts, ended, complete=True, missed=missed)
        return self._circuit(mask, self.selection if measure is None else measure.experiment, history)

    def _certified(
        self, state: State, mask: Tensor, elimination: Elimination, without: dict[Edge, float], ended: str
    ) -> Circuit:
        circuit = self._found(state, mask, ended, elimination.measure)
        return replace(circuit, certificate=elimination.certificate(mask, without))

    def _circuit(self, mask: Tensor, experiment: Experiment, history: History) -> Circuit:
        method = None if self.scores.setup is None else self.scores.setup.method
        setup = experiment.setup.model_copy(update={"method": method})
        return Circuit(self.selection.graph, mask, self.scores.values, setup=setup, history=history)


def _doubling(smallest: int, largest: int) -> Iterator[int]:
    size = min(smallest, largest)
    while size < largest:
        yield size
        size = 2 * size
    yield largest
