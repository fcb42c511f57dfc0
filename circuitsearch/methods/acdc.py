"""Automatic circuit discovery (ACDC; Conmy et al. 2304.14997): from the logits down, ablate every edge that is not needed.

Each decision depends on those before it, but their runs can share a batch: a joint batch measures the next edges on the
guess that each decision is as expected, and its values are used up to the first decision that is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from circuitsearch.circuit import Circuit
from circuitsearch.engine.circuits import Evaluator
from circuitsearch.engine.interventions import Interventions
from circuitsearch.errors import InputError
from circuitsearch.experiment import Experiment, Settings
from circuitsearch.graph import Graph
from circuitsearch.journal import Journal
from circuitsearch.metrics import Metric, neg_kl
from circuitsearch.own_folder import own_file
from circuitsearch.progress import Progress, silent
from circuitsearch.reachability import components
from circuitsearch.registry import METRICS
from circuitsearch.task import Task

FEWEST_AHEAD, MOST_AHEAD = 4, 32  # edges whose decisions one joint batch guesses


def acdc(
    model: Any,
    task: Task,
    thresholds: float | Sequence[float],
    *,
    metric: Metric | str = neg_kl,
    shuffle: int | None = None,
    journal: str | Path | None = None,
    progress: Progress = silent,
    **settings: Unpack[Settings],
) -> dict[float, Circuit]:
    """Find a circuit for each threshold by ACDC (Conmy et al. 2304.14997, algorithm 1).

    Readers are visited from the logits down, and at each the edges from its writers, latest first. An edge is ablated for
    good if that makes the metric's mean fall by less than the threshold. The circuit is the set of remaining edges that are
    on a path from ``embed`` to ``logits``.

    Parameters
    ----------
    model
        A Hugging Face causal language model, or an :class:`circuitsearch.Experiment`.
    task : Task
        Prompts.
    thresholds : float or sequence of float
        In the metric's unit, above 0. Several thresholds share runs as long as their decisions agree.
    metric : Metric
        By default minus the KL divergence from the model's own output, as in the paper; any other may be given, such as
        ``task.metric``.
    shuffle : int, optional
        Seed that shuffles the heads of each block, as readers and as writers; by default the last head comes first.
    journal : path, optional
        A file that keeps the measurements, so that an interrupted run continues from it and finds the same circuits.
    progress : callable
        Called with (readers visited, readers in all).
    **settings
        As of :class:`circuitsearch.Experiment`.

    Returns
    -------
    dict
        A circuit for each threshold, in the order given.

    Raises
    ------
    InputError
        If a threshold is not above 0.

    Notes
    -----
    The decisions are those of the plain algorithm, one edge after another (a test compares). Edges into a component that
    no longer reaches the logits change nothing, so they are ablated without a run. ``docs/benchmarks.md`` gives the cost of
    an edge.
    """
    levels = tuple(dict.fromkeys([thresholds] if isinstance(thresholds, float | int) else thresholds))
    if not levels or not all(level > 0 for level in levels):
        raise InputError(f"ACDC's thresholds must be above 0, not {', '.join(map(str, levels)) or 'none'}")
    experiment = Experiment.of(model, replace(task, metric=METRICS.read(metric)), **settings)
    about = {**experiment.setup.identity(), "acdc": list(levels), "shuffle": shuffle}
    with own_file(journal, experiment.world) as file:
        found = _search(_Measured(experiment.evaluator, Journal(file, about)), levels, shuffle, progress)
    return {level: Circuit(experiment.graph, mask, setup=experiment.setup).pruned() for level, mask in found}


@dataclass(frozen=True)
class _State:
    """State of the search for some thresholds: the edges kept so far and the metric's mean with them."""

    kept: Tensor
    value: float
    levels: tuple[float, ...]  # ascending
    ahead: int = MOST_AHEAD  # how many decisions to guess: twice as many after a batch guessed right, else half as many


def _search(
    measured: _Measured, levels: tuple[float, ...], seed: int | None, progress: Progress
) -> list[tuple[float, Tensor]]:
    graph = measured.graph
    (value,) = measured.means(graph.mask, [graph.mask.new_empty(0, 2, dtype=torch.long)])
    states = [_State(graph.mask, value, tuple(sorted(levels)))]
    readers = readers_down(graph, seed)
    for done, column in enumerate(readers, 1):
        states = _merged([after for state in states for after in _visit(measured, state, column, seed)])
        progress(done, len(readers))
    found = {level: state.kept for state in states for level in state.levels}
    return [(level, found[level]) for level in levels]


def _merged(states: list[_State]) -> list[_State]:
    """One state for all thresholds whose decisions agree so far."""
    alike: dict[bytes, _State] = {}
    for state in states:
        key = state.kept.numpy().tobytes()
        if key in alike:
            state = replace(state, levels=tuple(sorted(alike[key].levels + state.levels)))
        alike[key] = state
    return list(alike.values())


def _visit(measured: _Measured, state: _State, column: int, seed: int | None) -> list[_State]:
    """Decide on every edge into one reader; thresholds that disagree get separate states."""
    graph = measured.graph
    if not measured.heads_mixed and not _reaches_logits(graph, state.kept, column):
        kept = state.kept.clone()
        kept[:, column] = False
        return [replace(state, kept=kept)]
    start = state.kept
    finished: list[_State] = []
    waiting: list[Waiting] = [(state, writers_down(graph, column, seed), {})]
    while waiting:
        current, writers, guesses = waiting.pop()
        if not writers:
            finished.append(current)
            continue
        waiting += _decide(measured, start, current, column, writers, guesses)
    return finished


Waiting = tuple[_State, list[int], dict[int, float]]  # a state, the writers still to decide on, and the falls expected


def _decide(
    measured: _Measured, start: Tensor, state: _State, column: int, writers: list[int], expected: dict[int, float]
) -> list[Waiting]:
    """Measure some writers ahead in one joint batch, and follow each threshold to the first decision not guessed."""
    ahead, rest = writers[: state.ahead], writers[state.ahead :]
    fewer, more = max(FEWEST_AHEAD, state.ahead // 2), min(MOST_AHEAD, 2 * state.ahead)
    guesses = [_Guess(writer, stays=expected.get(writer, 0.0) >= state.levels[0]) for writer in ahead]
    sets = _ablated_along((start & ~state.kept).nonzero(), column, guesses)
    values = measured.means(start, sets)
    parted: list[Waiting] = []
    falls: dict[int, float] = {}
    value = state.value
    for guess, there in zip(guesses, values, strict=True):  # what the batch showed, right or not, is the next guess
        falls[guess.writer] = value - there
        value = value if guess.stays else there
    for place, (guess, edges, there) in enumerate(zip(guesses, sets, values, strict=True)):
        ablating = tuple(level for level in state.levels if falls[guess.writer] < level)
        kept = tuple(level for level in state.levels if level not in ablating)
        without = _State(_without(start, edges), there, ablating)
        as_before = replace(state, levels=kept)
        agreed, other = (as_before, without) if guess.stays else (without, as_before)
        if other.levels:
            parted.append((replace(other, ahead=fewer), ahead[place + 1 :] + rest, falls))
        if not agreed.levels:
            return parted
        state = agreed
    return [*parted, (replace(state, ahead=more), rest, expected)]


@dataclass(frozen=True)
class _Guess:
    """Whether an edge from a writer is expected to stay."""

    writer: int
    stays: bool


def _ablated_along(gone: Tensor, column: int, guesses: list[_Guess]) -> list[Tensor]:
    """The edges (E, 2) that are ablated for each edge's test: itself, those ``gone``, and those before it that are guessed to go."""
    sets = []
    for guess in guesses:
        sets.append(torch.cat([gone, torch.tensor([[guess.writer, column]])]))
        gone = gone if guess.stays else sets[-1]
    return sets


def _without(mask: Tensor, edges: Tensor) -> Tensor:
    fewer = mask.clone()
    fewer[tuple(edges.T)] = False
    return fewer


def _reaches_logits(graph: Graph, kept: Tensor, column: int) -> bool:
    """Whether any edge from a writer that the reader feeds is still kept; those were decided on before the reader."""
    if column == len(graph.readers) - 1:
        return True
    rows = [graph.writer_index[name] for name in components(graph, graph.readers[column])]
    return bool(kept[rows].any())


def readers_down(graph: Graph, seed: int | None = None) -> list[int]:
    """Columns of the readers from the logits down; of a block the MLP, then the v, k and q ports, last head first.

    A ``seed`` shuffles the ports of each kind. In parallel blocks the order is the same, since neither reads the other.
    """
    rng = None if seed is None else np.random.default_rng([seed, 0])
    order = [len(graph.readers) - 1]
    for part in reversed(graph.parts):
        kinds = [part.columns]
        if part.kind == "heads":
            kinds = [graph.port_readers(part.layer, port) for port in ("v", "k", "q")]
        for columns in kinds:
            order += _shuffled(list(range(columns.start, columns.stop)), rng)
    return order


def writers_down(graph: Graph, column: int, seed: int | None = None) -> list[int]:
    """Rows of the writers that a reader can read, latest first; a ``seed`` shuffles the heads of each block."""
    rng = None if seed is None else np.random.default_rng([seed, 1])
    order: list[int] = []
    for part in reversed(graph.parts):
        order += _shuffled(list(range(part.rows.start, part.rows.stop)), rng)
    order += range(graph.parts[0].rows.start)[::-1]  # the embedding, once a span
    return [row for row in order if graph.mask[row, column]]


def _shuffled(places: list[int], rng: np.random.Generator | None) -> list[int]:
    return places[::-1] if rng is None else [places[i] for i in rng.permutation(len(places))]


class _Measured:
    """The metric's mean over prompts with sets of edges, each measured once."""

    def __init__(self, evaluator: Evaluator, journal: Journal) -> None:
        self.evaluator, self.journal = evaluator, journal

    @cached_property
    def graph(self) -> Graph:
        return self.evaluator.described.graph

    @cached_property
    def heads_mixed(self) -> bool:
        """Whether a head without outgoing edges can still change other heads of its block, through a norm that they share."""
        return any(part.mixed for part in self.evaluator.described.parts)

    def means(self, start: Tensor, sets: list[Tensor]) -> list[float]:
        """Mean of the metric when each set of edges (E, 2) of the circuit ``start`` (U, V) is ablated."""
        content = hashlib.sha256(np.packbits(start.numpy()).tobytes())
        for edges in sets:
            content.update(f"{edges.tolist()}".encode())
        prompts = range(len(self.evaluator.task))
        values = self.journal.once(content.hexdigest(), prompts, lambda: self._run(start, sets))
        return torch.tensor(values, dtype=torch.float64).mean(0).tolist()

    def _run(self, start: Tensor, sets: list[Tensor]) -> list[list[float]]:
        """For each prompt the metric when each set of edges is ablated."""
        (values,) = self.evaluator.interventions(Interventions.ablating(sets), near=start)  # (C, N)
        return values.T.tolist()
