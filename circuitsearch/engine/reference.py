"""The reference run: the run that interventions start from, with every activation that they reuse.

Legend of shapes: B prompts, T positions, N live positions of all prompts, D stream width, U writers, V readers, S spans, H
heads, K head width, R positions that the metric reads of each prompt. A stream is stored for every part index, as the part reads
it, and once more for the end. After the last part that mixes positions only the positions that the metric reads are computed, so
there T is R, and N is B * R; R is 1 unless answers have several tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from circuitsearch.engine.components import Components
from circuitsearch.engine.pair import Pair
from circuitsearch.graph import Graph
from circuitsearch.models.parts import AnyPart, Experts, Heads, Whole

WORK_STREAMS = 24  # what a block of the model holds at once, in tensors as wide as the stream
WORK_LOGITS = 3  # and at the end: logits as the model makes them, as they are selected, and what metrics make of them


class ReplayContext:
    """What all replays on one batch share: the model's components, the metric's positions, and the ablated stream."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.described = pair, pair.described
        self.graph: Graph = pair.described.graph.base  # masks of a coarser graph are expanded to it
        self.components = Components(pair.described, pair.clean_ids, pair.prefix)
        self.position = pair.batch.reads - pair.batch.start  # (B, R)
        parts = self.graph.parts
        self.last_mixing = max((index for index, part in enumerate(parts) if part.mixes), default=-1)
        stage = parts[self.last_mixing].layer, parts[self.last_mixing].stage
        self.first_trimmed = min(index for index, part in enumerate(parts) if (part.layer, part.stage) == stage)

    def __len__(self) -> int:
        return len(self.pair)

    def halves(self) -> tuple[ReplayContext, ReplayContext]:
        """Those of the first and the last half of the prompts."""
        first, last = self.pair.halves()
        return ReplayContext(first), ReplayContext(last)

    @cached_property
    def base_edges(self) -> int:
        """How many edges of the base graph, in each span, an edge of the described graph stands for, on average; rounded up."""
        graph = self.described.graph
        return -(-self.graph.n_edges * graph.per_node // graph.n_edges)

    def trim(self, tensor: Tensor, prompts: int = 0) -> Tensor:
        """Select the positions that the metric reads: (..., B, T, ...) -> (..., B, R, ...), where ``prompts`` is B's dimension."""
        index = self.position.view(*self.position.shape, *[1] * (tensor.dim() - prompts - 2))
        shape = list(tensor.shape)
        shape[prompts + 1] = self.position.shape[1]
        return tensor.gather(prompts + 1, index.expand(shape))

    def unembed(self, stream: Tensor) -> Tensor:
        """Logits (..., B, vocabulary) of the final stream (..., B * R, D); (..., B, R, vocabulary) where answers have several tokens."""
        logits = self.components.unembed(stream.flatten(0, -2)).unflatten(0, stream.shape[:-1])
        return logits.unflatten(-2, self.position.shape) if self.pair.batch.position.dim() == 2 else logits

    @cached_property
    def live(self) -> Tensor:
        """(B, T) the positions that interventions change and the metric depends on, if it is known which these are.

        They are from a prompt's first difference to the position that the metric reads. A mixer reads every position.
        """
        batch = self.pair.batch
        places = torch.arange(batch.clean.shape[1] - batch.start, device=self.position.device)
        live = torch.ones(len(batch), len(places), dtype=torch.bool, device=places.device)
        if self.described.shares_prefix and self.described.causal:
            live &= places <= self.position.amax(1, keepdim=True)
        if self.pair.shares_prefix:
            live &= batch.differs[:, batch.start :].cumsum(1) > 0
        return live.scatter(1, self.position, True)

    @cached_property
    def live_rows(self) -> Tensor:
        """(N,) the same as places among all B * T positions."""
        return self.live.flatten().nonzero().flatten()

    @cached_property
    def last_rows(self) -> Tensor:
        """(B * R,) the places among the N live positions that the metric reads."""
        before = self.live.flatten().cumsum(0).view_as(self.live)
        return before.gather(1, self.position).flatten() - 1

    def pack(self, tensor: Tensor, prompts: int = 0) -> Tensor:
        """Keep the live positions: (..., B, T, ...) -> (..., N, ...), where ``prompts`` is B's dimension; all of trimmed ones."""
        flat = tensor.flatten(prompts, prompts + 1)
        if tensor.shape[prompts + 1] < self.live.shape[1] or len(self.live_rows) == self.live.numel():
            return flat
        return flat.index_select(prompts, self.live_rows)

    def trim_output(self, index: int, output: Tensor) -> Tensor:
        """A part's output (B, T, ...), trimmed to the metric's positions if no later part mixes positions."""
        return self.trim(output) if index >= self.first_trimmed else output

    def spans(self, length: int) -> Tensor | None:
        """The span of each position (B, T), or of those that the metric reads (B, R); None if there is one span."""
        spans = self.pair.spans
        return spans if spans is None or spans.shape[1] == length else self.trim(spans)

    def packed_spans(self, length: int) -> Tensor | None:
        """The span of each live position (N,), or of those that the metric reads (B * R,); None if there is one span."""
        spans = self.pair.spans
        if spans is None:
            return None
        return self.pack(spans if length == len(self.live_rows) else self.trim(spans))

    @cached_property
    @torch.no_grad()
    def ablated_stream(self) -> list[Tensor]:
        """The stream (B, T, D) that each part reads, and the end, when every edge is ablated."""
        ablated = self.pair.ablated
        streams: list[Tensor] = []
        stream, writes = ablated.embed, []
        for nodes, part, output in zip(self.graph.parts, self.described.parts, ablated.parts, strict=True):
            if nodes.rows.start == nodes.seen:  # a new stage reads what the stage before it wrote
                stream, writes = sum(writes, start=stream), []
            streams.append(stream)
            writes.append(part.write(output))
        streams.append(sum(writes, start=stream))
        return [self.trim(each) if index > self.last_mixing else each for index, each in enumerate(streams)]


@dataclass(frozen=True)
class ReferenceRun:
    """A run that interventions start from, with the activations that they reuse.

    Attributes
    ----------
    kept : Tensor
        Boolean (U, V, S): the edges of the base graph that it keeps, in each span.
    projections : dict
        Of each attention, by part index, its projection modules' outputs (B, T, features).
    expert_inputs : dict
        Of each mixture whose experts are nodes, the normalised stream at its ports: (P, N, D).
    part_outputs : list
        Output of each part: heads' scaled values (N, H, K), or what it adds to the stream (N, D).
    deltas : Tensor
        (U', N, D): each write minus its ablated value, for the writers that the last mixing part sees.
    trimmed_deltas : Tensor
        (U, B * R, D): the same for all writers, at the metric's positions.
    ablated_stream, full_stream : list
        The stream (N, D) at each part index when every edge into it is ablated, and as if none were: the ablated stream plus
        all deltas.
    logits : Tensor
        (B, vocabulary) at the metric's position, or (B, R, vocabulary).
    """

    context: ReplayContext
    kept: Tensor
    projections: dict[int, dict[nn.Module, Tensor]]
    expert_inputs: dict[int, Tensor]
    part_outputs: list[Tensor]
    deltas: Tensor
    trimmed_deltas: Tensor
    ablated_stream: list[Tensor]
    full_stream: list[Tensor]
    logits: Tensor

    @property
    def stream_bytes(self) -> int:
        """Memory of one stream of the batch."""
        return self.deltas[0].nbytes

    @property
    def work_bytes(self) -> int:
        """About what running one intervention holds at once, if no delta is stored."""
        return WORK_STREAMS * self.stream_bytes + WORK_LOGITS * self.logits.nbytes

    @cached_property
    def alike(self) -> list[int]:
        """Of each reader the first one of its part into which the same edges are kept."""
        first = list(range(len(self.context.graph.readers)))
        for nodes in self.context.graph.parts:
            columns = range(nodes.columns.start, nodes.columns.stop)
            for group in grouped(columns, self.kept[: nodes.seen, nodes.columns].transpose(0, 1)):
                for column in group:
                    first[column] = group[0]
        return first


def run_reference(context: ReplayContext, kept: Tensor) -> ReferenceRun:
    """Run the circuit ``kept``, boolean (U, V) of the described graph, and record what interventions on it reuse."""
    with torch.no_grad():
        return _ReferencePass(context, context.described.graph.expand(kept)).run()


class BlockPass:
    """The order in which the parts of every block read from and write to the stream."""

    def __init__(self, context: ReplayContext) -> None:
        self.context, self.graph, self.parts = context, context.graph, context.described.parts
        self.ablated = context.pair.ablated

    def run_blocks(self) -> None:
        """Run all blocks; after the last part that mixes positions only the metric's positions are left."""
        for stage in self.graph.stages:
            for index in stage:
                part = self.parts[index]
                if isinstance(part, Heads):
                    self.run_heads(index, part)
                else:
                    self.run_part(index, part)
                if index == self.context.last_mixing:
                    self.trim_positions()
            for index in stage:
                self.write(index, self.parts[index])

    def run_heads(self, index: int, part: Heads) -> None:
        """Compute an attention's output from the stream."""
        raise NotImplementedError

    def run_part(self, index: int, part: Whole) -> None:
        """Compute any other part's output from the stream."""
        raise NotImplementedError

    def trim_positions(self) -> None:
        """Drop all positions but those that the metric reads."""
        raise NotImplementedError

    def write(self, index: int, part: AnyPart) -> None:
        """Add a part's output to the stream."""
        raise NotImplementedError


class _ReferencePass(BlockPass):
    """Run one circuit from the embedding to the logits."""

    def __init__(self, context: ReplayContext, kept: Tensor) -> None:
        super().__init__(context)
        self.kept = kept
        embed = context.pair.clean[0].embed
        b, t, d = embed.shape
        self.all_positions = embed.new_zeros(self.graph.parts[context.last_mixing].seen, b, t, d)
        self.trimmed = embed.new_zeros(len(self.graph.writers), *context.position.shape, d)
        self.deltas = self.all_positions  # those that are read at present
        self.total = torch.zeros_like(embed)  # sum of all deltas so far
        self.projections: dict[int, dict[nn.Module, Tensor]] = {}
        self.expert_inputs: dict[int, Tensor] = {}
        self.part_outputs: list[Tensor] = []
        self.full_stream: list[Tensor] = []
        self._add_delta(0, embed - self.ablated.embed)

    def run(self) -> ReferenceRun:
        self.run_blocks()
        self._start_part(len(self.parts))
        logits = self.context.unembed(self._stream(len(self.graph.readers) - 1).flatten(0, 1))
        pack = self.context.pack
        return ReferenceRun(
            self.context,
            self.kept,
            self.projections,
            {index: pack(inputs, prompts=1) for index, inputs in self.expert_inputs.items()},
            list(map(pack, self.part_outputs)),
            pack(self.all_positions, prompts=1),
            pack(self.trimmed, prompts=1),
            list(map(pack, self.context.ablated_stream)),
            list(map(pack, self.full_stream)),
            logits,
        )

    def _add_delta(self, writer: int, delta: Tensor) -> None:
        self.deltas[writer] = delta
        self.total = self.total + delta

    def trim_positions(self) -> None:
        self.trimmed[: len(self.all_positions)] = self.context.trim(self.all_positions, prompts=1)
        self.deltas, self.total = self.trimmed, self.context.trim(self.total)

    def _stream(self, column: int) -> Tensor:
        """The stream that a reader sees: (B, T, D)."""
        seen = self.graph.visible_writers(column)
        kept, deltas = self.kept[:seen, column].to(self.deltas), self.deltas[:seen]
        spans = self.context.spans(deltas.shape[2])
        if spans is None:
            return self.context.ablated_stream[self.part_index] + torch.tensordot(kept[:, 0], deltas, dims=1)
        return self.context.ablated_stream[self.part_index] + torch.einsum("ubt,ubtd->btd", kept[:, spans], deltas)

    def _start_part(self, index: int) -> None:
        self.part_index = index
        self.full_stream.append(self.context.ablated_stream[index] + self.total)

    def run_heads(self, index: int, part: Heads) -> None:
        self._start_part(index)
        columns, seen = self.graph.parts[index].columns, self.graph.parts[index].seen
        b, t, _ = self.total.shape
        outputs = {module: self.total.new_empty(b, t, width) for module, width in part.projection_widths.items()}
        for group in grouped(range(columns.start, columns.stop), self.kept[:seen, columns].transpose(0, 1)):
            project(self.graph, index, part, group, part.norm(self._stream(group[0])), outputs)
        self.projections[index] = outputs
        values = self.context.components.attend(index, outputs)
        self.part_outputs.append(part.scaled(self.context.trim_output(index, values)))

    def run_part(self, index: int, part: Whole) -> None:
        self._start_part(index)
        columns = self.graph.parts[index].columns
        if isinstance(part, Experts):
            streams = [self._stream(column) for column in range(columns.start, columns.stop)]
            self.expert_inputs[index] = part.norm(torch.stack(streams))
            output = part.run_ports(list(self.expert_inputs[index]))
        else:
            output = self.context.components.run(index, part.norm(self._stream(columns.start)))
        trims = index <= self.context.last_mixing  # later parts are trimmed already
        self.part_outputs.append(self.context.trim_output(index, output) if trims else output)

    def write(self, index: int, part: AnyPart) -> None:
        delta = self.part_outputs[index] - self.context.trim_output(index, self.ablated.parts[index])
        first = self.graph.parts[index].rows.start
        if isinstance(part, Experts):
            for expert in range(part.size):
                self._add_delta(first + expert, delta[..., expert, :])
            return
        if part.output_weight is None:
            self._add_delta(first, delta)
            return
        for head, weight in enumerate(part.output_weight):
            self._add_delta(first + head, delta[..., head, :] @ weight)


def grouped(columns: Sequence[int], keys: Tensor) -> list[list[int]]:
    """Group the columns whose keys, (P, ...) with one for each column, are equal."""
    as_bytes = keys.contiguous().view(torch.uint8).numpy()  # NumPy has no bfloat16
    return grouped_by(columns, dict(zip(columns, (key.tobytes() for key in as_bytes), strict=True)))


def grouped_by(columns: Sequence[int], keys: Mapping[int, Hashable] | Sequence[Hashable]) -> list[list[int]]:
    """Group the columns whose keys are equal."""
    groups: dict[Hashable, list[int]] = {}
    for column in columns:
        groups.setdefault(keys[column], []).append(column)
    return list(groups.values())


def project(
    graph: Graph,
    index: int,
    part: Heads,
    columns: Sequence[int],
    normed: Tensor,
    outputs: dict[nn.Module, Tensor],
    at: Tensor | None = None,
) -> None:
    """Project ``normed`` (..., T, D) for the ports ``columns`` of a part and write it to ``outputs``, or to ``outputs[at]``."""
    layer = graph.parts[index].layer
    for module, ports in part.projections.items():
        heads = {port: _heads_among(graph.port_readers(layer, port), columns) for port in ports}
        if all(len(heads[port]) == graph.port_heads(port) for port in ports):
            output = part.project(module, normed)
            if at is None:
                outputs[module] = output
            else:
                outputs[module][at] = output
            continue
        for port in ports:
            projection = part.projection(port)
            for head in heads[port]:
                values = nn.functional.linear(normed, projection.weight[head], projection.bias[head])
                into = projection.head(outputs[module], head)  # (..., T, K), a view
                if at is None:
                    into[:] = values
                else:
                    into[at] = values


def _heads_among(ports: slice, columns: Sequence[int]) -> list[int]:
    """The heads of one kind of port whose columns are among ``columns``."""
    return [column - ports.start for column in columns if ports.start <= column < ports.stop]
