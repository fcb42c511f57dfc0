"""``refine``: from a ranking of edges to the smallest circuit that is faithful on prompts that did not choose it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.faithfulness import RATIO, Average, Faithfulness
from circuitsearch.own_folder import own_file
from circuitsearch.progress import Progress, part, silent
from circuitsearch.scores import Scores
from circuitsearch.search.checkpoint import Checkpoint
from circuitsearch.search.costs import VALUE
from circuitsearch.search.effects import EFFECT_PROMPTS, effects_in
from circuitsearch.search.ending import Ending, edges_to_try, recorded
from circuitsearch.search.passes import Passes, Refine, State
from circuitsearch.search.ranked import strongest
from circuitsearch.search.starts import best_of, checkpoint_of
from circuitsearch.target import check_target, reaches
from circuitsearch.task import Task

START_AT = 0.05  # of the target: the faithfulness of the prefix that the passes start from
START_SHARE = 0.01  # of all edges, that it has at least: at a circuit of a few edges no single edge helps

Passed = Callable[[Circuit], object]
"""Called after every pass with the best circuit so far and its history."""


def refine(
    model: Any,
    task: Task,
    scores: Scores,
    stopping: Task | Experiment,
    faithfulness: float = 0.9,
    *,
    starts: Sequence[Scores] = (),
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
    starts : sequence of Scores
        Further rankings of the same edges. The search is done again from each, and the smallest circuit that reaches the target is
        returned. It has the scores of the first ranking.
    how : Refine, optional
        Sizes of steps, and when to stop.
    of : Average
        Whether faithfulness is the ratio of means or the mean over prompts.
    minutes : float, optional
        End after about this time, with the best circuit so far. Nothing else depends on the time taken.
    checkpoint : path, optional
        A file that is written after every pass, from which a search that was interrupted goes on. Searches from further rankings
        have files beside it.
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
        each edge that was tried; its ``effects`` what each edge brings to it.

    Raises
    ------
    InputError
        As :func:`circuitsearch.minimal`; if the checkpoint is of another search, or a further ranking of another graph.
    """
    check_target(faithfulness)
    selection = Experiment.of(model, task, scores, **settings)
    for each in starts:
        Experiment.of(selection, task, each)  # refuses the scores of another graph
    others = stopping if isinstance(stopping, Experiment) else selection.on(stopping)
    measure, knobs, rankings = Faithfulness(others, of), how or Refine(), (scores, *starts)
    began, checkpoints, found = time.monotonic(), list[Checkpoint](), list[Circuit]()

    def goes_on() -> bool:
        return minutes is None or selection.world.agreed(time.monotonic() - began < 60 * minutes)

    def passed_here(so_far: Circuit) -> None:
        passed(best_of([*found, so_far]))

    with ExitStack() as files:
        for number, ranked in enumerate(rankings):
            search = _Search(Passes(selection, measure, faithfulness, knobs, ranked.ranking()), scores)
            file = files.enter_context(own_file(checkpoint_of(checkpoint, number), selection.world))
            checkpoints.append(Checkpoint(file, search.identity))
            found.append(search.run(checkpoints[-1], goes_on, passed_here, part(progress, number, len(rankings))))
        best = best_of(found)
        effects = effects_in(measure.on_first(EFFECT_PROMPTS).experiment, best.mask)
        measure.experiment.evaluator.release()
        assert best.history is not None
        if best.history.complete:
            for each in checkpoints:
                each.remove()
    return replace(best, effects=effects)


@dataclass(frozen=True)
class _Search:
    """A search from one ranking; ``scores`` are those that its circuit has."""

    passes: Passes
    scores: Scores

    @property
    def identity(self) -> dict[str, Any]:
        """All that the search depends on."""
        passes = self.passes
        return {
            "setup": passes.selection.setup.identity(),
            "stopping": passes.stopping.experiment.setup.prompts_sha256,
            "target": passes.target,
            "of": repr(passes.average),
            "how": repr(passes.knobs),
            "ranking": hashlib.sha256(passes.ranking.contiguous().numpy().tobytes()).hexdigest(),
        }

    def run(self, checkpoint: Checkpoint, goes_on: Callable[[], bool], passed: Passed, progress: Progress) -> Circuit:
        """The circuit at its end, or the best one when ``goes_on`` says no."""
        state = checkpoint.load() or self._start()

        def keep(state: State) -> None:
            checkpoint.save(state)
            progress(len(state.passes), self.passes.knobs.passes)
            passed(self._so_far(state, self.passes.ended(state) or ""))

        state = self.passes.run(state, keep, goes_on)
        ended = self.passes.ended(state)
        self.passes.release()
        if ended is None:
            return self._so_far(state, "the time was over")
        return Ending(self.passes, self.scores, state, ended).circuit()

    def _start(self) -> State:
        """The smallest prefix of the ranking, of sizes that double, with a twentieth of the target; found by bisection.

        It has at least one edge in a hundred, and as many as exact runs can try at the end.
        """
        passes, places = self.passes, self.passes.ranking
        smallest = max(edges_to_try(passes.selection), round(START_SHARE * len(places)))
        sizes = list(_doubling(smallest, len(places)))
        experiment = passes.prompts.of_pass(0)
        lower, upper, runs = -1, len(sizes) - 1, 2
        while upper - lower > 1:
            middle, runs = (lower + upper) // 2, runs + 1
            kept = passes.faithfulness_on(experiment, strongest(passes.graph, places, sizes[middle]))
            enough = kept >= START_AT * passes.target
            lower, upper = (lower, middle) if enough else (middle, upper)
        cost = VALUE * runs * len(experiment.task) / len(passes.selection.task)
        return passes.start(strongest(passes.graph, places, sizes[upper]), cost)

    def _so_far(self, state: State, ended: str) -> Circuit:
        """The best circuit of a search that goes on, or of one whose time is over."""
        passes, known = self.passes, state.best_pass
        if known is not None and known.judged is not None:
            found, n_prompts = known.judged.together, passes.judges.n_prompts
            missed = "" if known.judged.reaches(passes.target) else f"{known.judged}"
        else:
            found = passes.on_stopping(state.best) if known is None else known.stopping
            n_prompts = len(passes.stopping.experiment.task)
            missed = "" if reaches(found.value, passes.target) else f"{found} on {n_prompts} stopping prompts"
        history = passes.history(state, found, n_prompts, ended, complete=False, missed=missed)
        return recorded(passes.mask(state.best), self.scores, passes.selection, history)


def _doubling(smallest: int, largest: int) -> Iterator[int]:
    size = min(smallest, largest)
    while size < largest:
        yield size
        size = 2 * size
    yield largest
