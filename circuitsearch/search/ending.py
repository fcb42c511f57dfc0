"""The end of a search: its circuits are judged, and edges of the best one are removed by exact runs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.experiment import Experiment
from circuitsearch.faithfulness import Faithfulness
from circuitsearch.history import History
from circuitsearch.methods.recheck import affordable_edges
from circuitsearch.scores import Scores
from circuitsearch.search.judging import Judges
from circuitsearch.search.minimal import Elimination, Place
from circuitsearch.search.passes import Passes, State
from circuitsearch.search.ranked import strongest
from circuitsearch.target import ROUNDING, reaches, threshold

ELIMINATIONS = (
    (128, (0.0,)),
    (512, (0.1, 0.4)),
)  # prompts, at least, where the task can write them, and how far above the threshold, as shares of 1 - threshold; one after another
ELIMINATION_FORWARDS = 5  # of the selection prompts, on a model so large that they are more than a few seconds


def edges_to_try(selection: Experiment) -> int:
    """How many edges of a circuit exact runs can try at the end of a search."""
    return affordable_edges(selection, forwards=ELIMINATION_FORWARDS)


def recorded(mask: Tensor, scores: Scores, experiment: Experiment, history: History) -> Circuit:
    """The circuit ``mask`` (U, V) that a search has found, with how it was found."""
    method = None if scores.setup is None else scores.setup.method
    setup = experiment.setup.model_copy(update={"method": method})
    return Circuit(experiment.graph, mask, scores.values, setup=setup, history=history)


@dataclass(frozen=True, eq=False)
class _Start:
    """A circuit, mask (U, V), that edges are removed from, on some prompts."""

    measure: Faithfulness
    mask: Tensor

    @cached_property
    def without_each(self) -> dict[Place, float]:
        """Its faithfulness without each of its edges."""
        return self.elimination(1.0).without_each(self.mask)

    def elimination(self, target: float) -> Elimination:
        """For a target, or for what the circuit itself reaches if that is less."""
        return Elimination(self.measure, min(target, float(self.measure(self.mask[None]))) - ROUNDING)


@dataclass(frozen=True)
class Ending:
    """From the circuits of the passes to the one that is returned.

    Parameters
    ----------
    passes : Passes
        How the circuits were found, and on which prompts.
    scores : Scores
        The ranking that the search started from.
    state : State
        After the last pass.
    ended : str
        Why the passes ended.
    """

    passes: Passes
    scores: Scores
    state: State
    ended: str

    @property
    def selection(self) -> Experiment:
        """On the prompts that choose edges."""
        return self.passes.selection

    @property
    def target(self) -> float:
        """The faithfulness to reach."""
        return self.passes.target

    @cached_property
    def judges(self) -> Judges:
        """They decide which circuit is returned; those of the passes are known."""
        passes = zip(self.state.circuits, self.state.passes, strict=True)
        known = [(self.passes.mask(circuit), each.judged) for circuit, each in passes if each.judged is not None]
        return self.passes.judges.knowing(known)

    @cached_property
    def _most(self) -> int:
        return edges_to_try(self.selection)

    def circuit(self) -> Circuit:
        """The best circuit of the passes without the edges that exact runs can remove."""
        return self._eliminated(self.passes.mask(self.state.best))

    def _eliminated(self, best: Tensor) -> Circuit:
        """The smallest circuit that elimination reaches from the best one.

        In a circuit small enough all edges can be tried, on many prompts; else some are, on those of one more pass.
        """
        prompts = self.passes.prompts
        if int(best.sum()) > self._most:
            measure = Faithfulness(prompts.of_pass(len(self.state.passes)), self.passes.average)
            found = self._without_some(best, measure)
        else:
            found = self._without_any(best)
        return min([self._found(best), *found], key=self._order)

    def _order(self, circuit: Circuit) -> tuple[bool, float, bool]:
        """The smallest circuit that the judges accept comes first, or else the nearest to the model; of two equal ones that with a certificate."""
        (judged,) = self.judges(circuit.mask[None])
        accepted = judged.reaches_with_margin(self.target)
        return not accepted, len(circuit) if accepted else abs(1 - judged.together.value), circuit.certificate is None

    def _without_some(self, start: Tensor, measure: Faithfulness) -> Iterator[Circuit]:
        """The circuit with a certificate of its weakest edges, and one without those that can be removed."""
        elimination = _Start(measure, start).elimination(self._threshold(start))
        among = self._weakest(start, measure)
        without = elimination.without_each(start, among)
        yield self._certified(start, elimination, without)
        *_, smaller = [start, *elimination.eliminate(start, elimination.removable(start, without))]
        if int(smaller.sum()) < int(start.sum()) and self._last_accepted([start, smaller]) != 0:
            yield self._certified(smaller, elimination, elimination.without_each(smaller, among))

    def _without_any(self, best: Tensor) -> Iterator[Circuit]:
        """Circuits from which no edge can be removed, by runs on new selection prompts, or on the task's own.

        Elimination makes use of what is particular to its prompts. If the judges do not accept its end, it is repeated on more
        prompts, from the smallest circuit on the way that they accept.
        """
        least, mask = self._threshold(best), None
        for n_prompts, margins in ELIMINATIONS:
            measure = Faithfulness(self.passes.prompts.for_elimination(n_prompts), self.passes.average)
            mask = self._smallest_start(best, measure) if mask is None else mask
            start, done = _Start(measure, mask), None
            for more in margins:
                elimination = start.elimination(least + more * (1 - least))
                if done == (start, elimination.target):
                    continue  # the start itself has no more
                done = (start, elimination.target)
                chain, needed = self._shrunk(start, elimination)
                if needed is not None:
                    yield self._certified(chain[-1], elimination, needed)
                accepted = self._last_accepted(chain)
                if accepted is None or accepted == len(chain) - 1:
                    return
                if accepted > 0:
                    start = _Start(measure, chain[accepted])
            mask = start.mask
        yield self._certified(start.mask, elimination, start.without_each)

    def _shrunk(self, start: _Start, elimination: Elimination) -> tuple[list[Tensor], dict[Place, float] | None]:
        """Smaller and smaller circuits, masks (U, V), and the faithfulness of the last without each of its edges.

        Once the judges refuse one, though they accept the start, no edges of it are tried any more.
        """
        chain, without = [start.mask], start.without_each
        while removable := elimination.removable(chain[-1], without):
            chain += elimination.eliminate(chain[-1], removable)
            if self._last_accepted([start.mask, chain[-1]]) == 0:
                return chain, None
            without = elimination.without_each(chain[-1])
        return chain, without

    def _last_accepted(self, chain: list[Tensor]) -> int | None:
        """The place in a chain of circuits of the last that the judges accept."""
        judged = self.judges(torch.stack(chain))
        return max((at for at, each in enumerate(judged) if each.reaches_with_margin(self.target)), default=None)

    def _smallest_start(self, best: Tensor, measure: Faithfulness) -> Tensor:
        """The circuit (U, V) to remove edges from: the best one, or a prefix of the ranking if the judges accept a smaller one.

        The smallest prefix that reaches the target on these prompts, or the first of larger ones that the judges accept.
        """
        places, n_best = self.passes.ranking[: self._most], int(best.sum())

        def prefix(size: int) -> Tensor:
            return strongest(self.selection.graph, places, size)

        sizes = range(1, len(places) + 1)
        largest = bisect_left(sizes, n_best, key=lambda size: int(prefix(size).sum()))  # of those with fewer edges
        if not largest or not reaches(float(measure(prefix(largest)[None])), self.target):
            return best
        found = Elimination(measure, self.target).smallest(prefix, largest)
        size = n_best if found is None else int(found.sum())
        while size < n_best:
            if self.judges(prefix(size)[None])[0].reaches_with_margin(self.target):
                return prefix(size)
            size = max(size + 1, size * 5 // 4)
        return best

    def _threshold(self, mask: Tensor) -> float:
        """The faithfulness to keep when edges of a circuit (U, V) are removed."""
        (judged,) = self.judges(mask[None])
        return threshold(self.target, judged.together.error)

    def _weakest(self, start: Tensor, measure: Faithfulness) -> Tensor:
        """Mask of the edges of a circuit with the least gain at it."""
        gains = self.passes.gains_at(measure.experiment, start)  # (E,)
        inside = start[self.passes.places]
        weakest = gains.masked_fill(~inside, torch.inf).argsort(stable=True)[: self._most]
        return self.passes.mask(torch.zeros_like(inside).index_fill(0, weakest, True))

    def _found(self, mask: Tensor, measure: Faithfulness | None = None) -> Circuit:
        """A circuit (U, V) at the end of the search, with its faithfulness on the judging prompts."""
        (judged,) = self.judges(mask[None])
        recording = 0.0 if any(each.judged for each in self.state.passes) else self.judges.cost_of_recording
        state = replace(self.state, forwards=self.state.forwards + recording + self.judges.forwards)
        missed = "" if judged.reaches(self.target) else f"{judged}"
        n_prompts = self.judges.n_prompts
        history = self.passes.history(state, judged.together, n_prompts, self.ended, complete=True, missed=missed)
        experiment = self.selection if measure is None else measure.experiment
        return recorded(mask, self.scores, experiment, history)

    def _certified(self, mask: Tensor, elimination: Elimination, without: dict[Place, float]) -> Circuit:
        circuit = self._found(mask, elimination.measure)
        return replace(circuit, certificate=elimination.certificate(mask, without))
