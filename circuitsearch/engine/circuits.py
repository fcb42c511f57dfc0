"""Run circuits on a whole task: every edge outside the circuit is ablated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from circuitsearch.ablation import Ablation, Resample
from circuitsearch.distributed import ALONE, World
from circuitsearch.engine.circuit_gradient import CircuitRun, run_circuit
from circuitsearch.engine.interventions import Asked, Circuits
from circuitsearch.engine.pair import DEFAULT_MEMORY, Pair, pairs
from circuitsearch.engine.reference import ReferenceRun, ReplayContext, run_reference
from circuitsearch.engine.replay import measure
from circuitsearch.errors import memory_named
from circuitsearch.metrics import Metric
from circuitsearch.models.describe import Described
from circuitsearch.task import Task

CACHE_MEMORIES = 4  # activations cached between calls may take so many times the working memory
RECORDED_STREAMS = (
    4  # what is cached of each part, in tensors as wide as the stream: clean, ablated, and the ablated stream
)

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
    memory : int
        Bytes of working memory for one chunk of circuits and prompts.
    world : World
        The processes that share the prompts, or the interventions if the prompts are fewer than processes. Each has all results.
    """

    def __init__(
        self,
        described: Described,
        task: Task,
        ablation: Ablation | None = None,
        memory: int = DEFAULT_MEMORY,
        world: World = ALONE,
    ) -> None:
        self.described, self.task, self.memory = described, task, memory
        self.ablation = ablation or Resample()
        enough = len(task) >= world.size
        self.sharing_prompts, self.sharing_interventions = (world, ALONE) if enough else (ALONE, world)
        self._last_reference: tuple[Tensor, list[ReferenceRun]] | None = None  # the last ``near`` and its runs
        self._ends: list[tuple[Metric, Ends]] = []  # those measured so far

    @cached_property
    def _keeps_activations(self) -> bool:
        """Whether clean and ablated activations of all batches fit in memory; if not, every call computes them again."""
        return self._fits(RECORDED_STREAMS * len(self.described.parts))

    @cached_property
    def _keeps_references(self) -> bool:
        """Whether a reference run of all batches fits too, with what every writer adds."""
        streams = RECORDED_STREAMS * len(self.described.parts) + 2 * len(self.described.graph.base.writers)
        return self._fits(streams)

    def _fits(self, streams: int) -> bool:
        """Whether so many tensors as wide as the stream, of all prompts, take at most some working memories."""
        width = self.task.max_length * self.described.d_model * self.described.dtype.itemsize
        n_own = -(-len(self.task) // self.sharing_prompts.size)
        return n_own * streams * width <= CACHE_MEMORIES * self.memory

    def pairs(self) -> Iterable[Pair]:
        """This process's share of the task in batches with their clean and ablated activations.

        They are recorded once if they fit the memory.
        """
        return self._kept_pairs if self._keeps_activations else self._new_pairs()

    def all_pairs(self) -> Iterable[Pair]:
        """The whole task in such batches, for work that is divided otherwise than by prompts."""
        if self.sharing_prompts.size == 1:
            return self.pairs()
        return pairs(self.described, self.task, self.ablation, self.memory)

    def _new_pairs(self) -> Iterator[Pair]:
        return pairs(self.described, self.task, self.ablation, self.memory, self.sharing_prompts)

    @cached_property
    def _kept_pairs(self) -> list[Pair]:
        return list(self._new_pairs())

    @cached_property
    def _cached_contexts(self) -> list[ReplayContext]:
        return [ReplayContext(pair) for pair in self._kept_pairs]

    def _contexts(self) -> Iterable[ReplayContext]:
        return self._cached_contexts if self._keeps_activations else map(ReplayContext, self._new_pairs())

    @cached_property
    def _empty_references(self) -> list[ReferenceRun]:
        empty = torch.zeros_like(self.described.graph.mask)
        return [run_reference(context, empty) for context in self._contexts()]

    def references(self, near: Tensor | None) -> Iterable[ReferenceRun]:
        """The run of the circuit ``near`` (U, V), or with every edge ablated, on each batch of this process."""
        if not self._keeps_references:
            start = torch.zeros_like(self.described.graph.mask) if near is None else near
            return (run_reference(context, start) for context in self._contexts())
        if near is None:
            return self._empty_references
        if self._last_reference is None or not torch.equal(self._last_reference[0], near):
            self._last_reference = near, [run_reference(context, near) for context in self._contexts()]
        return self._last_reference[1]

    def clean(self, *metrics: Metric) -> list[Tensor]:
        """Measure each metric (the task's if none is given) of the model itself on every prompt: one (N,) tensor for each."""
        metrics = metrics or (self.task.metric,)
        values = torch.zeros(len(metrics), len(self.task), dtype=torch.float64)
        with memory_named(self.memory):
            for pair in self.pairs():
                for metric, out in zip(metrics, values, strict=True):
                    out[pair.batch.rows.cpu()] = metric(pair.clean[1], pair.known).double().cpu()
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
        with memory_named(self.memory):
            for context in self._contexts():
                pair, ablated = context.pair, run_circuit(context, empty).logits
                for metric, outs in zip(metrics, values, strict=True):
                    for out, logits in zip(outs, (pair.clean[1], ablated), strict=True):
                        out[pair.batch.rows.cpu()] = metric(logits, pair.known).double().cpu()
        return [(clean, ablated) for clean, ablated in self.sharing_prompts.filled(values)]

    def release(self) -> None:
        """Forget the activations that are kept between calls; the next call computes them again."""
        self._last_reference = None
        for name in ("_kept_pairs", "_cached_contexts", "_empty_references"):
            self.__dict__.pop(name, None)

    def run(self, weights: Tensor, *, gradient: bool = False) -> Iterator[tuple[Tensor, CircuitRun]]:
        """Run one circuit on each batch of this process, as :func:`circuitsearch.engine.circuit_gradient.run_circuit`; yield rows too."""
        with memory_named(self.memory):
            for context in self._contexts():
                yield context.pair.batch.rows.cpu(), run_circuit(context, weights, gradient=gradient)

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
        with memory_named(self.memory):
            for context in self._contexts():
                pair, rows = context.pair, context.pair.batch.rows.cpu()
                for circuit, each in enumerate(weights):
                    logits = run_circuit(context, each).logits
                    for of_metric, metric in zip(values, metrics, strict=True):
                        of_metric[circuit, rows] = metric(logits, pair.known).double().cpu()
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
        with memory_named(self.memory):
            for reference in self.references(near):
                rows = reference.context.pair.batch.rows.cpu()
                for out, found in zip(values, measure(reference, mine, *metrics), strict=True):
                    out[own, rows] = found
        return list(self._filled(values, *asked.content(), *(() if near is None else (near,))))

    def _filled(self, values: Tensor, *of: Tensor) -> Tensor:
        return self.sharing_interventions.filled(self.sharing_prompts.filled(values, *of), *of)
