"""Run circuits on a whole task: every edge outside the circuit is ablated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from circuitsearch.ablation import Ablation, Resample
from circuitsearch.distributed import ALONE, World
from circuitsearch.engine.circuit_gradient import CircuitRun, run_circuit
from circuitsearch.engine.interventions import Asked, Circuits
from circuitsearch.engine.pair import Pair, bytes_per_prompt, pairs
from circuitsearch.engine.reference import ReferenceRun, ReplayContext, run_reference
from circuitsearch.engine.replay import measure
from circuitsearch.engine.working_memory import DEFAULT_MEMORY, WorkingMemory
from circuitsearch.metrics import Metric
from circuitsearch.models.describe import Described
from circuitsearch.task import Task

RECORDED_STREAMS = (
    4  # what is cached of each part, in tensors as wide as the stream: clean, ablated, and the ablated stream
)

Result = TypeVar("Result")
Ends = tuple[Tensor, Tensor]
"""A metric (N,) of the model, and with every edge ablated."""


class Evaluator:
    """Runs circuits of one model on one task; activations that all runs share are computed once.

    Parameters
    ----------
    described : Described
        The model.
    task : Task
        N prompts.
    ablation : Ablation
        The value that ablated edges carry.
    memory : WorkingMemory or int
        Working memory, which may be shared with other evaluators, or its size in bytes.
    world : World
        The processes that share the prompts, or the interventions if the prompts are fewer than processes. Each has all results.
    """

    def __init__(
        self,
        described: Described,
        task: Task,
        ablation: Ablation | None = None,
        memory: WorkingMemory | int = DEFAULT_MEMORY,
        world: World = ALONE,
    ) -> None:
        self.described, self.task = described, task
        self.memory = WorkingMemory(memory) if isinstance(memory, int) else memory
        self.ablation = ablation or Resample()
        enough = len(task) >= world.size
        self.sharing_prompts, self.sharing_interventions = (world, ALONE) if enough else (ALONE, world)
        self._empty_references: dict[ReplayContext, ReferenceRun] = {}
        self._last_references: tuple[Tensor, dict[ReplayContext, ReferenceRun]] | None = (
            None  # the last ``near``, its runs
        )
        self._ends: list[tuple[Metric, Ends]] = []  # those measured so far

    @cached_property
    def _keeps_activations(self) -> bool:
        """Whether clean and ablated activations of all batches fit in memory; if not, every call computes them again."""
        return self._fits(RECORDED_STREAMS * len(self.described.parts), logits=1)

    @cached_property
    def _keeps_references(self) -> bool:
        """Whether two reference runs of all batches fit too, with what every writer adds: the empty one and another."""
        writers = len(self.described.graph.base.writers)
        streams = RECORDED_STREAMS * len(self.described.parts) + 2 * 2 * writers
        return self._keeps_activations and self._fits(streams, logits=3)

    def _fits(self, streams: int, logits: int) -> bool:
        """Whether so many tensors as wide as the stream, and logits at one position, of all prompts may be kept."""
        described = self.described
        each = streams * self.task.max_length * described.d_model * described.dtype.itemsize
        each += logits * described.vocabulary_size * max(4, described.dtype.itemsize)  # in at least float32
        one_prompt = bytes_per_prompt(described, self.task.max_length)
        n_own = -(-len(self.task) // self.sharing_prompts.size)
        return self.memory.keep(self, n_own * each, one_prompt)

    def pairs(self) -> Iterable[Pair]:
        """This process's share of the task in batches with their clean and ablated activations.

        They are recorded once if they fit the memory.
        """
        return self._kept_pairs if self._keeps_activations else self._new_pairs()

    def all_pairs(self) -> Iterable[Pair]:
        """The whole task in such batches, for work that is divided otherwise than by prompts."""
        if self.sharing_prompts.size == 1:
            return self.pairs()
        return pairs(self.described, self.task, self.ablation, self.memory.chunk)

    def _new_pairs(self) -> Iterator[Pair]:
        return pairs(self.described, self.task, self.ablation, self.memory.chunk, self.sharing_prompts)

    @cached_property
    def _kept_pairs(self) -> list[Pair]:
        return list(self._new_pairs())

    @cached_property
    def _cached_contexts(self) -> list[ReplayContext]:
        return [ReplayContext(pair) for pair in self._kept_pairs]

    def _contexts(self) -> Iterable[ReplayContext]:
        return self._cached_contexts if self._keeps_activations else map(ReplayContext, self._new_pairs())

    def on_pairs(self, work: Callable[[Pair], Result]) -> Iterator[tuple[Pair, Result]]:
        """What ``work`` gives of each batch of this process; where memory runs out, of its halves."""
        return self.memory.each(self.pairs(), work, self.release)

    def on_all_pairs(self, work: Callable[[Pair], Result]) -> Iterator[tuple[Pair, Result]]:
        """The same of each batch of the whole task, on which processes work together; they could not halve it each by itself."""
        if self.sharing_prompts.size == 1 == self.sharing_interventions.size:
            yield from self.on_pairs(work)
            return
        for pair in self.all_pairs():
            yield pair, work(pair)

    def _on_contexts(self, work: Callable[[ReplayContext], Result]) -> Iterator[tuple[Tensor, Result]]:
        """The same with what replays need of a batch; yield the rows of the prompts, on the CPU, and the result."""
        for context, result in self.memory.each(self._contexts(), work, self.release):
            yield context.pair.batch.rows, result

    def references(self, near: Tensor | None) -> Iterator[ReferenceRun]:
        """The run of the circuit ``near`` (U, V), or with every edge ablated, on each batch of this process."""
        return (self._reference(context, near) for context in self._contexts())

    def _reference(self, context: ReplayContext, near: Tensor | None) -> ReferenceRun:
        """One batch's, which is kept if memory allows."""
        known = self._known_references(near) if self._keeps_references else {}
        if context not in known:
            kept = torch.zeros_like(self.described.graph.mask) if near is None else near
            known[context] = run_reference(context, kept)
        return known[context]

    def _known_references(self, near: Tensor | None) -> dict[ReplayContext, ReferenceRun]:
        if near is None:
            return self._empty_references
        if self._last_references is None or not torch.equal(self._last_references[0], near):
            self._last_references = near, {}
        return self._last_references[1]

    def clean(self, *metrics: Metric) -> list[Tensor]:
        """Measure each metric (the task's if none is given) of the model itself on every prompt: one (N,) tensor for each."""
        metrics = metrics or (self.task.metric,)
        values = torch.zeros(len(metrics), len(self.task), dtype=torch.float64)
        for pair, found in self.on_pairs(lambda pair: [metric(pair.clean[1], pair.known) for metric in metrics]):
            for out, measured in zip(values, found, strict=True):
                out[pair.batch.rows] = measured.cpu().double()
        return list(self.sharing_prompts.filled(values))

    def ends(self, *metrics: Metric) -> list[Ends]:
        """Measure each metric (the task's if none is given) of the model, and with every edge ablated: (N,) each.

        The values are kept. Both come from one sweep over the batches, which matters where activations do not fit the memory.
        """
        metrics = metrics or (self.task.metric,)
        new = [metric for metric in metrics if not any(known is metric for known, _ in self._ends)]
        if new:
            self._ends += zip(new, self._measured_ends(new), strict=True)
        return [next(ends for known, ends in self._ends if known is metric) for metric in metrics]

    def _measured_ends(self, metrics: Sequence[Metric]) -> list[Ends]:
        values = torch.zeros(len(metrics), 2, len(self.task), dtype=torch.float64)
        empty = torch.zeros_like(self.described.graph.mask)

        def measured(context: ReplayContext) -> Tensor:  # (M, 2, B)
            both = context.pair.clean[1], run_circuit(context, empty).logits
            return _measured(context.pair, both, metrics)

        for rows, found in self._on_contexts(measured):
            values[:, :, rows] = found
        return [(clean, ablated) for clean, ablated in self.sharing_prompts.filled(values)]

    def release(self) -> None:
        """Forget the activations that are kept between calls; the next call computes them again."""
        self._last_references = None
        self._empty_references = {}
        for name in ("_kept_pairs", "_cached_contexts", "_keeps_activations", "_keeps_references"):
            self.__dict__.pop(name, None)
        self.memory.release(self)

    def run(self, weights: Tensor, *, gradient: bool = False) -> Iterator[tuple[Tensor, CircuitRun]]:
        """Run one circuit on each batch of this process, as :func:`circuitsearch.engine.circuit_gradient.run_circuit`; yield rows too."""
        return self._on_contexts(lambda context: run_circuit(context, weights, gradient=gradient))

    def metric_of(self, weights: Tensor) -> Tensor:
        """The task's metric of one circuit, run by itself, on every prompt: (N,), on the CPU."""
        return self.metric_of_each([weights])[0]

    def metric_of_each(self, weights: Sequence[Tensor]) -> Tensor:
        """The task's metric of some circuits, each run by itself, on every prompt: (C, N), on the CPU.

        All of them run on one batch after another, which matters where activations do not fit the memory.
        """
        return self.metrics_of_each(weights)[0]

    def metrics_of_each(self, weights: Sequence[Tensor], *metrics: Metric) -> Tensor:
        """M metrics (the task's if none is given) of some circuits, each run by itself, on every prompt: (M, C, N), on the CPU."""
        metrics = metrics or (self.task.metric,)
        values = torch.zeros(len(metrics), len(weights), len(self.task), dtype=torch.float64)

        def measured(context: ReplayContext) -> Tensor:  # (M, C, B)
            return _measured(context.pair, (run_circuit(context, each).logits for each in weights), metrics)

        for rows, found in self._on_contexts(measured):
            values[:, :, rows] = found
        return self.sharing_prompts.filled(values, *weights)

    def circuits(self, masks: Tensor, *metrics: Metric, near: Tensor | None = None) -> list[Tensor]:
        """Measure each metric of every circuit on every prompt.

        Parameters
        ----------
        masks : Tensor
            Boolean (C, U, V), the edges that each circuit keeps.
        metrics : Metric
            The task's metric if none is given.
        near : Tensor, optional
            Boolean (U, V), a circuit that differs little from these. It is run once, and each circuit from the first component
            that differs. By default the circuits start from the run with every edge ablated. Only the time depends on it.

        Returns
        -------
        list of Tensor
            One (C, N) tensor for each metric, on the CPU.
        """
        start = torch.zeros_like(self.described.graph.mask) if near is None else near
        return self.interventions(Circuits(masks, start), *metrics, near=near)

    def interventions(self, asked: Asked, *metrics: Metric, near: Tensor | None = None) -> list[Tensor]:
        """Measure each metric of every intervention on every prompt.

        Parameters
        ----------
        asked : Interventions or Circuits
            C interventions, as the edges that they change from ``near``.
        metrics : Metric
            The task's metric if none is given.
        near : Tensor, optional
            Boolean (U, V), the circuit that they start from. By default it is that of no edges.

        Returns
        -------
        list of Tensor
            One (C, N) tensor for each metric, on the CPU.
        """
        metrics = metrics or (self.task.metric,)
        own = self.sharing_interventions.slice(len(asked))
        mine = asked if own == slice(0, len(asked)) else asked[own]
        values = torch.zeros(len(metrics), len(asked), len(self.task), dtype=torch.float64)
        for rows, found in self._on_contexts(lambda context: measure(self._reference(context, near), mine, *metrics)):
            for out, measured in zip(values, found, strict=True):
                out[own, rows] = measured
        return list(self._filled(values, *asked.content(), *(() if near is None else (near,))))

    def _filled(self, values: Tensor, *of: Tensor) -> Tensor:
        return self.sharing_interventions.filled(self.sharing_prompts.filled(values, *of), *of)


def _measured(pair: Pair, runs: Iterable[Tensor], metrics: Sequence[Metric]) -> Tensor:
    """M metrics of C runs, given by their logits, on every prompt of a batch: (M, C, B), on the CPU."""
    values = [torch.stack([metric(logits, pair.known) for metric in metrics]) for logits in runs]
    return torch.stack(values, dim=1).cpu().double()
