"""Gradients of a metric at every port in one forward and one backward pass, without splitting any input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from transformers import Cache

from circuitsearch.batch import Batch
from circuitsearch.engine.kernels import HeadGradients, inner_products, writes
from circuitsearch.engine.rules import PLAIN, Rules
from circuitsearch.engine.trace import Activations, Record, run
from circuitsearch.metrics import Metric
from circuitsearch.models.describe import Described
from circuitsearch.models.offload import brought_again
from circuitsearch.models.parts import Experts, Heads, Whole
from circuitsearch.models.precision import widened

# (part index or EMBED, output) -> replacement of the output, or None
Override = Callable[[int, Tensor], Tensor | None]
EMBED = -1
COLUMNS_AT_ONCE = 96  # products of few columns are slow: three times as slow with the ports of one block of SmolLM2
ALL = -1  # all ports of a part, where they read the same input


def as_it_is(index: int, value: Tensor) -> Tensor | None:
    return None


@dataclass
class GradientTaps(Record):
    """Record a pass with everything that the pull-back of gradients to each port needs."""

    override: Override = as_it_is
    streams: dict[int, Tensor] = field(default_factory=dict)  # (B, T, D) before the norm
    outputs: dict[tuple[int, tuple[str, ...]], Tensor] = field(default_factory=dict)  # projections' (B, T, features)
    values: dict[int, Tensor] = field(default_factory=dict)  # (B, T, H, K) as they enter the output projection
    inputs: dict[tuple[int, int], Tensor] = field(default_factory=dict)  # (B, T, D) after the norm, by part and port
    final_input: list[Tensor] = field(default_factory=list)  # (B, T, D) before the norm

    def embed(self, stream: Tensor) -> Tensor:
        replaced = self.override(EMBED, stream)
        super().embed(stream if replaced is None else replaced)
        return self._embed[0].view_as(self._embed[0]).requires_grad_()

    def stream(self, index: int, stream: Tensor) -> None:
        self.streams[index] = stream.detach()

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> None:
        self.outputs[index, ports] = output

    def head_values(self, index: int, values: Tensor) -> Tensor:
        self.values[index] = values
        return values  # returned so that the gradient passes through this very tensor

    def part_input(self, index: int, normed: Tensor) -> Tensor:
        return self.port_input(index, ALL, normed)

    def port_input(self, index: int, port: int, normed: Tensor) -> Tensor:
        self.inputs[index, port] = normed.view_as(
            normed
        )  # its own autograd node, since other ports may read the same norm
        return self.inputs[index, port]

    def part_output(self, index: int, value: Tensor) -> Tensor | None:
        super().part_output(index, value)
        return self.override(index, value)

    def final_stream(self, stream: Tensor) -> Tensor:
        self.final_input.append(stream.view_as(stream))
        return self.final_input[-1]


@dataclass(frozen=True)
class PortGradients:
    """The metric's gradient at every port and at every head's value, of one run or summed over runs, in at least float32."""

    described: Described
    parts: tuple[HeadGradients | Tensor, ...]  # of attention, or (P, B, T, D) at the ports of any other part
    heads: dict[int, Tensor]  # (B, T, H, K) at the values of an attention's heads, as they enter the output projection
    final: Tensor  # (B, T, D) at the final norm's input
    positions: Tensor  # (N,) of the B * T positions those that can have a gradient
    spans: Tensor | None = None  # (B, T), where spans have nodes of their own
    memory: int = sys.maxsize  # bytes of working memory
    runs: int = 1

    def __add__(self, other: PortGradients) -> PortGradients:
        return replace(
            self,
            parts=tuple(mine + theirs for mine, theirs in zip(self.parts, other.parts, strict=True)),  # pyright: ignore[reportOperatorIssue]
            heads={index: grad + other.heads[index] for index, grad in self.heads.items()},
            final=self.final + other.final,
            runs=self.runs + other.runs,
        )

    def folded(self, copies: int) -> PortGradients:
        """Of a run of whole copies of a batch the sum over copies, as of so many runs of the batch."""

        def fold(grad: Tensor, prompts: int = 0) -> Tensor:
            return grad.unflatten(prompts, (copies, -1)).sum(prompts)

        return replace(
            self,
            parts=tuple(fold(each, 1) if isinstance(each, Tensor) else each.folded(copies) for each in self.parts),
            heads={index: fold(grad) for index, grad in self.heads.items()},
            final=fold(self.final),
            positions=self.positions[: len(self.positions) // copies],
            runs=copies,
        )

    def scores(self, differences: Activations) -> Tensor:
        """Inner product of each write with the gradient at each port, over positions and prompts: (U, V), the mean over runs.

        The score is zero where the graph has no edge.
        """
        return self.described.graph.collapse(self.atom_scores(differences))

    @torch.no_grad()
    def atom_scores(self, differences: Activations) -> Tensor:
        """The same between nodes of the base graph, in each span: (U', V', S).

        Tensors as wide as the stream (writes, port gradients) are computed for some positions and parts at a time.
        """
        graph = self.described.graph.base
        n_spans = max(1, len(self.described.graph.spans))
        scores = self.final.new_zeros(len(graph.writers), len(graph.readers), n_spans)
        for some in self._positions():
            spans = None if self.spans is None else self.spans.flatten()[some], n_spans
            some_differences = differences.map(lambda value, some=some: widened(value.flatten(0, 1)[None, some]))
            writes_UND = writes(self.described, some_differences).flatten(1, 2)
            for columns, grads_PND in self._at_ports(some):
                seen = graph.visible_writers(columns.stop - 1)
                scores[:seen, columns] += inner_products(writes_UND[:seen], grads_PND, *spans)
        return scores.masked_fill_(~graph.mask[..., None].to(scores.device), 0) / self.runs

    def _at_ports(self, some: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The gradients (P, N, D) at the ports of several parts together, with their columns; the last are the logits."""
        graph = self.described.graph.base
        readers = [*(part.columns for part in graph.parts), slice(len(graph.readers) - 1, len(graph.readers))]
        for together in _several(readers):
            columns = slice(readers[together[0]].start, readers[together[-1]].stop)
            grads_PND = self.final.new_empty(columns.stop - columns.start, len(some), self.final.shape[-1])
            sizes = [readers[index].stop - readers[index].start for index in together]
            for index, out_PND in zip(together, grads_PND.split(sizes), strict=True):
                self._write_at_ports(index, some, out_PND)
            yield columns, grads_PND

    def _write_at_ports(self, index: int, some: Tensor, out_PND: Tensor) -> None:
        """Write the gradients at the ports of one part, or at the logits after the last."""
        grads = (*self.parts, self.final[None])[index]
        if isinstance(grads, Tensor):
            out_PND.copy_(grads.flatten(1, 2)[:, some])
        else:
            grads.at_ports(self.described.parts[index], some, out_PND)  # pyright: ignore[reportArgumentType]

    def _positions(self) -> Iterator[Tensor]:
        """Chunks of all prompts' positions that can have a gradient, each as large as a quarter of the memory holds."""
        graph = self.described.graph.base
        ports = max((part.columns.stop - part.columns.start for part in graph.parts), default=0)
        width = self.final.shape[-1] * self.final.element_size()
        at_once = max(1, self.memory // (4 * (len(graph.writers) + 2 * max(ports, COLUMNS_AT_ONCE)) * width))
        yield from self.positions.split(at_once)


def _several(readers: Sequence[slice]) -> list[list[int]]:
    """Consecutive readers, by index, that together have at most :data:`COLUMNS_AT_ONCE` columns, or one that has more."""
    groups: list[list[int]] = []
    for index, columns in enumerate(readers):
        if not groups or columns.stop - readers[groups[-1][0]].start > COLUMNS_AT_ONCE:
            groups.append([])
        groups[-1].append(index)
    return groups


@dataclass(frozen=True)
class GradientRun:
    """One forward and backward pass."""

    logits: Tensor  # (B, vocabulary)
    activations: Activations
    ports: PortGradients


def port_gradients(
    described: Described,
    batch: Batch,
    ids: Tensor,
    metric: Metric,
    cache: Cache | None,
    override: Override = as_it_is,
    rules: Rules = PLAIN,
    spans: Tensor | None = None,
    memory: int = sys.maxsize,
) -> GradientRun:
    """Run ``ids`` (B, T), after the prefix in ``cache``, forward and backward.

    The metric is summed over prompts, so that each prompt has its own gradient. If the batch has no clean logits yet, this
    run is taken as the clean run. ``rules`` change what is propagated backward, not the forward pass. ``spans`` (B, T) is the
    index of each position's span, if spans have nodes of their own. ``memory`` bounds the bytes that scoring by these
    gradients takes.
    """
    taps = GradientTaps(override=override)
    with torch.enable_grad(), without_parameter_gradients(described.model), rules.on(described):
        logits = run(described, ids, batch.position - batch.start, taps, cache)
        if batch.clean_logits is None:
            batch = replace(batch, clean_logits=logits.detach())
        sites = [taps.outputs, taps.values, taps.inputs]
        total = metric(logits, batch).sum()
        grads = torch.autograd.grad(
            total,
            [*(tensor for site in sites for tensor in site.values()), *taps.final_input],
            allow_unused=True,
            materialize_grads=True,
        )
    found = map(widened, grads)
    output_grads, value_grads, input_grads = ({key: next(found) for key in site} for site in sites)
    with torch.no_grad():
        heads, head_grads = _heads(described, taps.outputs), _heads(described, output_grads)
        parts = tuple(
            HeadGradients.of_run(
                part, taps.streams[index], heads[index], head_grads[index], fixed_scale=rules.fixed_scales
            )
            if isinstance(part, Heads)
            else _at_ports(part, index, input_grads, taps.streams[index], rules.fixed_scales)
            for index, part in enumerate(described.parts)
        )
        positions = _positions_read(described, batch, ids)
        ports = PortGradients(described, parts, value_grads, next(found), positions, spans, memory)
    return GradientRun(logits.detach(), taps.activations, ports)


def _positions_read(described: Described, batch: Batch, ids: Tensor) -> Tensor:
    """Of the B * T positions those that the metric can depend on: (N,), in a causal model up to the one that is read."""
    last = (batch.reads.amax(1, keepdim=True) - batch.start).to(ids.device) if described.causal else ids.shape[1]
    return (torch.arange(ids.shape[1], device=ids.device) <= last).expand(ids.shape).flatten().nonzero().flatten()


def _at_ports(
    part: Whole, index: int, grads: dict[tuple[int, int], Tensor], stream: Tensor, fixed_scale: bool
) -> Tensor:
    """Pull the gradients after a part's norm back to its ports: (P, B, T, D)."""
    ports = range(part.size + 1) if isinstance(part, Experts) else (ALL,)
    return torch.stack([part.norm.pull_back(grads[index, port], stream, fixed_scale=fixed_scale) for port in ports])


@contextmanager
def without_parameter_gradients(model: nn.Module) -> Iterator[None]:
    """Disable parameters' gradients for the duration of a ``with`` block, so that autograd stores nothing for them, nor weights that are kept elsewhere."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with brought_again(model):
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def _heads(described: Described, outputs: dict[tuple[int, tuple[str, ...]], Tensor]) -> dict[int, Tensor]:
    """Gather the q, k and v heads (B, T, P, K) of each attention from its projections' outputs."""
    by_port: dict[int, dict[str, Tensor]] = {}
    for (index, ports), output in outputs.items():
        by_port.setdefault(index, {}).update(dict.fromkeys(ports, output.detach()))
    return {index: part.take_ports(by_port[index]) for index, part in described.heads}
