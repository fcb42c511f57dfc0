"""The gradient at a circuit: the metric's derivative in the weight of every edge, also of those outside the circuit.

A *weight* is the share of a writer's delta that a reader sees: 1 for a kept edge, 0 for an ablated one, so that a reader's
stream is the ablated stream plus the weighted deltas. One forward pass computes the circuit; one backward pass over its
parts, from the last to the first, gives the derivative in every weight. With all weights 1 it is EAP.

A component whose inputs are all ablated is run only if a kept edge reads it: on zeros or means it does not add zero or its mean. One
that no reader sees has no gradient, and so have the edges out of one that is not run.

Legend of shapes: B prompts, T positions, D stream width, U writers, V readers, S spans, P readers of one part, H heads, K head
width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from circuitsearch.engine.gradients import without_parameter_gradients
from circuitsearch.engine.reference import BlockPass, ReplayContext, grouped, project
from circuitsearch.models.norm import NoNorm
from circuitsearch.models.parts import AnyPart, Experts, Heads, Whole
from circuitsearch.models.precision import widened

GRADIENTS_AT_ONCE = 32  # ports of one part whose gradients, as wide as the stream, are in memory together


@dataclass(frozen=True)
class CircuitRun:
    """One run of a circuit on a batch.

    Attributes
    ----------
    logits : Tensor
        (B, vocabulary) at the metric's positions.
    values : Tensor
        (B,) the metric.
    gradient : Tensor, optional
        (B, U, V) its derivative in the weight of every edge, zero where the graph has no edge.
    """

    logits: Tensor
    values: Tensor
    gradient: Tensor | None = None


def run_circuit(context: ReplayContext, weights: Tensor, *, gradient: bool = False) -> CircuitRun:
    """Run a circuit on one batch, and differentiate the metric in the weight of every edge.

    Parameters
    ----------
    context : ReplayContext
        The batch of B prompts.
    weights : Tensor
        (U, V) of the described graph, boolean or real: the weight of each edge.
    gradient : bool
        Whether to compute the gradient.
    """
    fixed = without_parameter_gradients(context.described.model) if gradient else nullcontext()
    with torch.set_grad_enabled(gradient), fixed:
        return _WeightedPass(context, weights, gradient).run()


@dataclass
class _Ran:
    """A part that was run, with what its backward pass needs."""

    inputs: list[Tensor]  # leaves of autograd: the projections' outputs, or the normalised stream at each port
    output: Tensor
    groups: list[list[int]]  # its columns, those that see the same stream together
    modules: list[nn.Module] = field(default_factory=list)  # the projections, in the order of the inputs


class _WeightedPass(BlockPass):
    """Runs a circuit with real weights forward, then backward part by part."""

    def __init__(self, context: ReplayContext, weights: Tensor, gradient: bool) -> None:
        super().__init__(context)
        embed = context.pair.clean[0].embed
        b, t, d = embed.shape
        self.differentiate = gradient
        expanded = context.described.graph.expand(weights)
        self.weights = expanded.to(embed.dtype)  # (U, V, S), on the CPU
        self.edges = expanded != 0
        self.active = torch.zeros(len(self.graph.writers), dtype=torch.bool)  # writers whose delta may not be zero
        made = embed.new_zeros if gradient else embed.new_empty  # inactive writers' are read by the backward pass alone
        self.all_positions = made(self.graph.parts[context.last_mixing].seen, b, t, d)
        self.trimmed = made(len(self.graph.writers), *context.position.shape, d)
        self.deltas = self.all_positions  # those that are read at present
        self.ran: dict[int, _Ran] = {}  # by part index
        with torch.no_grad():
            self._add_deltas(slice(0, 1), (embed - self.ablated.embed)[None])

    def run(self) -> CircuitRun:
        self.run_blocks()
        pair, last = self.context.pair, len(self.graph.readers) - 1
        stream = self.stream(len(self.parts), last, self.deltas)
        stream.requires_grad_(self.differentiate)
        logits = self.context.unembed(stream.flatten(0, 1))
        values = pair.metric(logits, pair.known)
        if not self.differentiate:
            return CircuitRun(logits, values)
        (at_logits,) = torch.autograd.grad(values.sum(), stream)
        gradient = _Backward(self).run(at_logits)
        return CircuitRun(logits.detach(), values.detach(), gradient)

    # ---- forward

    def _add_deltas(self, rows: slice, deltas: Tensor) -> None:
        """Record the deltas (R, B, T, D) of some writers."""
        self.deltas[rows] = deltas
        self.active[rows] = True

    def trim_positions(self) -> None:
        self.trimmed[: len(self.all_positions)] = self.context.trim(self.all_positions, prompts=1)
        self.deltas = self.trimmed

    def stream(self, index: int, column: int, deltas: Tensor) -> Tensor:
        """The stream that a reader of a part sees, (B, T, D), from all deltas (U, B, T, D)."""
        stream, spans = self.context.ablated_stream[index], self.context.spans(deltas.shape[2])
        seen = self.graph.visible_writers(column)
        stream = stream.clone()
        for row in (self.edges[:seen, column].any(-1) & self.active[:seen]).nonzero().flatten().tolist():
            _add(stream, deltas[row], self.weights[row, column], spans)
        return stream

    def must_run(self, index: int) -> bool:
        """Whether any reader of a part sees more than the ablated stream, or a kept edge reads the part."""
        nodes = self.graph.parts[index]
        kept = self.edges[: nodes.seen, nodes.columns].any(-1)
        return bool((kept & self.active[: nodes.seen, None]).any() or self.edges[nodes.rows].any())

    def groups(self, index: int) -> list[list[int]]:
        """The columns of a part, those that see the same stream together."""
        nodes = self.graph.parts[index]
        kept = self.weights[: nodes.seen, nodes.columns] * self.active[: nodes.seen, None, None].to(self.weights)
        return grouped(range(nodes.columns.start, nodes.columns.stop), kept.transpose(0, 1).cpu())

    @torch.no_grad()
    def run_heads(self, index: int, part: Heads) -> None:
        if not self.must_run(index):
            return
        groups = sorted(self.groups(index), key=len, reverse=True)  # the first one may be projected at once
        outputs: dict[nn.Module, Tensor] = {}
        for number, group in enumerate(groups):
            normed = part.norm(self.stream(index, group[0], self.deltas))
            if number == 0:
                outputs = {module: part.project(module, normed) for module in part.projections}
            else:
                project(self.graph, index, part, group, normed, outputs)
        inputs = [output.requires_grad_(self.differentiate) for output in outputs.values()]
        with torch.set_grad_enabled(self.differentiate):
            values = self.context.components.attend(index, dict(zip(outputs, inputs, strict=True)))
            output = part.scaled(self.context.trim_output(index, values))
        self.ran[index] = _Ran(inputs, output, groups, list(outputs))

    @torch.no_grad()
    def run_part(self, index: int, part: Whole) -> None:
        if not self.must_run(index):
            return
        columns = self.graph.parts[index].columns
        groups = [[column] for column in range(columns.start, columns.stop)]
        inputs = [
            part.norm(self.stream(index, column, self.deltas)).requires_grad_(self.differentiate)
            for (column,) in groups
        ]
        with torch.set_grad_enabled(self.differentiate):
            if isinstance(part, Experts):
                output = part.run_ports(inputs)
            else:
                output = self.context.components.run(index, inputs[0])
            if index <= self.context.last_mixing:  # later parts are trimmed already
                output = self.context.trim_output(index, output)
        self.ran[index] = _Ran(inputs, output, groups)

    @torch.no_grad()
    def write(self, index: int, part: AnyPart) -> None:
        if index not in self.ran:
            return
        delta = self.ran[index].output - self.context.trim_output(index, self.ablated.parts[index])
        self._add_deltas(self.graph.parts[index].rows, written(part, delta))


def _add(total: Tensor, values: Tensor, weights: Tensor, spans: Tensor | None) -> None:
    """Add values (B, T, D) to a total in place, by the weight (S,) of each position's span (B, T)."""
    if spans is None:
        total.add_(values, alpha=float(weights))
    else:
        total.addcmul_(values, weights.to(values)[spans][..., None])


def written(part: AnyPart, output: Tensor) -> Tensor:
    """What each writer of a part adds to the stream (R, B, T, D) if its output, or a difference of outputs, is ``output``."""
    if isinstance(part, Experts):
        return output.movedim(-2, 0)
    if part.output_weight is None:
        return output[None]
    b, t, _, k = output.shape
    weight = part.output_weight  # (H, K, D)
    return torch.bmm(output.permute(2, 0, 1, 3).reshape(-1, b * t, k), weight).view(len(weight), b, t, -1)


def _gradient_of_output(part: AnyPart, grads: Tensor) -> Tensor:
    """The gradient at a part's output from that at what each of its writers adds, (R, B, T, D)."""
    if isinstance(part, Experts):
        return grads.movedim(0, -2)
    if part.output_weight is None:
        return grads[0]
    values = torch.bmm(grads.flatten(1, 2), part.output_weight.mT.to(grads))  # (H, B * T, K)
    return values.unflatten(1, grads.shape[1:3]).permute(1, 2, 0, 3)


class _Backward:
    """The backward pass of a circuit that was run."""

    def __init__(self, forward: _WeightedPass) -> None:
        self.forward, self.graph, self.context = forward, forward.graph, forward.context
        self.deltas = forward.trimmed  # of the positions that are differentiated at present
        sizes = forward.trimmed.shape[1], len(self.graph.writers), len(self.graph.readers), forward.weights.shape[-1]
        self.gradient = widened(self.deltas.new_zeros(sizes))  # (B, U, V, S)
        self.grads: dict[int, Tensor] = {}  # at writers' deltas: (B, T, D) each, by row

    @torch.no_grad()
    def run(self, at_logits: Tensor) -> Tensor:
        """The gradient (B, U, V), from that at the final stream (B, R, D)."""
        self._read([len(self.graph.readers) - 1], widened(at_logits)[None])
        for stage in reversed(self.graph.stages):
            grads = {index: self._at_writers(index) for index in stage}
            for index in reversed(stage):
                if index == self.context.last_mixing:
                    self._untrim()
                if grads[index]:
                    self._part(index, grads[index])
        graph = self.context.described.graph
        if graph.base is graph:
            return self.gradient[..., 0]
        return torch.stack([graph.collapse(each) for each in self.gradient])

    def _at_writers(self, index: int) -> dict[int, Tensor]:
        """The gradients (B, T, D) at what each writer of a part adds, by row; empty if nothing reads the part."""
        if index not in self.forward.ran:
            return {}
        rows = self.graph.parts[index].rows
        return {row: self.grads.pop(row) for row in range(rows.start, rows.stop) if row in self.grads}

    def _untrim(self) -> None:
        """Go on with all positions; the gradients so far are at the metric's positions."""
        self.deltas = self.forward.all_positions
        self.grads = {row: self._placed(grad) for row, grad in self.grads.items()}

    def _placed(self, grad: Tensor) -> Tensor:
        """A gradient at the metric's positions (B, R, D) among zeros at all others: (B, T, D)."""
        out = grad.new_zeros(self.deltas.shape[1:])
        return out.scatter(1, self.context.position[..., None].expand_as(grad), grad)

    def _part(self, index: int, grads: dict[int, Tensor]) -> None:
        """Differentiate a part, from the gradients (B, T, D) at what its writers add, by row."""
        ran, part, nodes = self.forward.ran.pop(index), self.forward.parts[index], self.graph.parts[index]
        first = next(iter(grads.values()))
        at_writers = first.new_zeros(nodes.rows.stop - nodes.rows.start, *first.shape)  # (R, B, T, D)
        for row, grad in grads.items():
            at_writers[row - nodes.rows.start] = grad
        at_output = _gradient_of_output(part, at_writers).to(ran.output)
        at_inputs = torch.autograd.grad(ran.output, ran.inputs, at_output, allow_unused=True, materialize_grads=True)
        fed = self.graph.feeds(nodes)[:, [row - nodes.rows.start for row in grads]].any(1)  # (P,)
        live = {nodes.columns.start + port for port in range(len(fed)) if part.mixed or fed[port]}
        at_ports = _AtPorts(part, ran, at_inputs)
        for some in _chunks(ran.groups, live):
            found: list[Tensor] = []
            for group in some:
                stream = self.forward.stream(index, group[0], self.deltas)
                found.append(at_ports(stream, [column - nodes.columns.start for column in group]))
            self._read([column for group in some for column in group], torch.cat(found))

    def _read(self, columns: list[int], grads: Tensor) -> None:
        """Take the gradients (P, B, T, D) at the streams of some readers of one part."""
        forward, seen = self.forward, self.graph.visible_writers(columns[0])
        rows = _contiguous(forward.active[:seen])
        self.gradient[:, rows, columns] = self._products(rows, grads)
        edges = forward.edges[:seen, columns].any(-1) & forward.active[:seen, None]  # (U, P)
        spans = self.context.spans(grads.shape[2])
        for row, port in edges.nonzero().tolist():
            if row not in self.grads:
                self.grads[row] = torch.zeros_like(grads[port])
            _add(self.grads[row], grads[port], forward.weights[row, columns[port]], spans)

    def _products(self, rows: slice, grads: Tensor) -> Tensor:
        """Inner products over positions of some writers' deltas with gradients (P, B, T, D): (B, U', P, S)."""
        deltas = widened(self.deltas[rows]).flatten(2).transpose(0, 1)  # (B, U', T D)
        spans = self.context.spans(grads.shape[2])
        inside = [None] if spans is None else [spans == span for span in range(self.gradient.shape[-1])]  # (B, T) each
        of_each = [grads if some is None else grads * some[..., None] for some in inside]
        return torch.stack([torch.bmm(deltas, each.flatten(2).permute(1, 2, 0)) for each in of_each], -1)


def _contiguous(active: Tensor) -> slice:
    """The rows from the first to the last active one: reading a few zeros is cheaper than copying the others."""
    rows = active.nonzero().flatten().tolist()
    return slice(rows[0], rows[-1] + 1)


def _chunks(groups: list[list[int]], live: set[int]) -> Iterator[list[list[int]]]:
    """The groups without the columns that are not live, some at a time, so that few gradients are in memory together."""
    kept = [some for some in ([column for column in group if column in live] for group in groups) if some]
    chunk: list[list[int]] = []
    for group in kept:
        chunk.append(group)
        if sum(map(len, chunk)) >= GRADIENTS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _AtPorts:
    """Gradients at the ports of a part, from those at its inputs.

    The norm's backward is linear: see :class:`circuitsearch.engine.kernels.HeadGradients`.
    """

    def __init__(self, part: AnyPart, ran: _Ran, at_inputs: Sequence[Tensor]) -> None:
        self.part, self.at_inputs = part, at_inputs
        if isinstance(part, Heads):
            self.grads = widened(_heads(part, ran.modules, at_inputs))  # (B, T, P, K)
            self.heads = _heads(part, ran.modules, ran.inputs)
            weight = part.port_weight()  # (P, K, D)
            self.weight = weight - weight.mean(-1, keepdim=True) if part.norm.centred else weight

    def __call__(self, stream: Tensor, ports: list[int]) -> Tensor:
        """The gradients (P, B, T, D) at some ports that see one stream (B, T, D)."""
        part = self.part
        if not isinstance(part, Heads):
            return torch.stack([part.norm.pull_back(self.at_inputs[port], stream) for port in ports])
        normal, inverse_scale = part.norm.normalise(stream)
        scaled = self.grads[:, :, ports] * inverse_scale[..., None]  # (B, T, P, K)
        out = torch.bmm(scaled.permute(2, 0, 1, 3).flatten(1, 2), self.weight[ports]).unflatten(1, stream.shape[:2])
        if isinstance(part.norm, NoNorm):
            return out
        along = ((self.heads[:, :, ports] - part.port_constant[ports]) * scaled).sum(-1)  # (B, T, P)
        along = along.permute(2, 0, 1)[..., None] / -normal.shape[-1]
        return out.addcmul_(along, normal.expand_as(out))


def _heads(part: Heads, modules: Sequence[nn.Module], outputs: Sequence[Tensor]) -> Tensor:
    """The q, k and v heads (B, T, P, K) in the outputs of an attention's projections."""
    by_port = {
        port: out.detach() for module, out in zip(modules, outputs, strict=True) for port in part.projections[module]
    }
    return part.take_ports(by_port)
