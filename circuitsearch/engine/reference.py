"""A run that interventions start from, with everything that they take from it.

Legend of shapes: B prompts, T positions, D stream width, U writers, V readers, S spans, H heads, K head width. Places
are the points where the stream is read: the parts of every block, and the end. After the last attention only the positions
that the metric reads are left, so there T is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from circuitsearch.engine.components import Components
from circuitsearch.engine.pair import Pair
from circuitsearch.graph import Graph
from circuitsearch.models.parts import AnyPart, Experts, Heads, Whole


class ReplayContext:
    """What all runs on one pair share: the components, where the metric reads, and the ablated stream."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.described = pair, pair.described
        self.graph: Graph = pair.described.graph.base  # a coarser graph's masks are expanded to this one's
        self.components = Components(pair.described, pair.clean_ids, pair.prefix)
        self.position = pair.batch.position - pair.batch.start  # (B,)
        places = self.graph.parts
        self.last_mixing = max((index for index, place in enumerate(places) if place.mixes), default=-1)
        stage = places[self.last_mixing].layer, places[self.last_mixing].stage
        self.first_trimmed = min(index for index, place in enumerate(places) if (place.layer, place.stage) == stage)

    def trim(self, tensor: Tensor, prompts: int = 0) -> Tensor:
        """Pick the positions that the metric reads: (..., B, T, ...) -> (..., B, 1, ...), B being dimension ``prompts``."""
        index = self.position.view(-1, *[1] * (tensor.dim() - prompts - 1))
        shape = list(tensor.shape)
        shape[prompts + 1] = 1
        return tensor.gather(prompts + 1, index.expand(shape))

    def trim_output(self, index: int, tensor: Tensor) -> Tensor:
        """What a part gives (B, T, ...) as it is, or where the metric reads if nothing after it mixes positions."""
        return self.trim(tensor) if index >= self.first_trimmed else tensor

    def spans(self, length: int) -> Tensor | None:
        """The span of each position (B, T), or of those that the metric reads (B, 1); None where there is one span."""
        spans = self.pair.spans
        return spans if spans is None or spans.shape[1] == length else self.trim(spans)

    @cached_property
    @torch.no_grad()
    def ablated_stream(self) -> list[Tensor]:
        """The ablated stream (B, T, D) at every place: what each part reads, and the end."""
        ablated = self.pair.ablated
        places: list[Tensor] = []
        stream, added = ablated.embed, []
        for place, part, gave in zip(self.graph.parts, self.described.parts, ablated.parts, strict=True):
            if place.rows.start == place.seen:  # a new stage: what the one before wrote is there now
                stream, added = sum(added, start=stream), []
            places.append(stream)
            added.append(part.write(gave))
        places.append(sum(added, start=stream))
        return [self.trim(at) if index > self.last_mixing else at for index, at in enumerate(places)]


@dataclass(frozen=True)
class ReferenceRun:
    """A run that interventions start from.

    Attributes
    ----------
    kept : Tensor
        Boolean (U, V, S), the edges of the base graph that it keeps, in each span.
    projections : dict
        Of each attention its projections by module: (B, T, features).
    expert_inputs : dict
        Of each mixture whose experts are nodes what its ports read, after the norm: (P, B, T, D).
    part_outputs : list
        What each part gives: heads' ready values (B, T, H, K), or what it adds to the stream (B, T, D).
    deltas : Tensor
        (U', B, T, D), each write less its ablated one, for the writers that the last attention sees.
    trimmed_deltas : Tensor
        (U, B, 1, D), the same where the metric reads.
    uncut_stream : list
        The stream at every place as if nothing were cut: the ablated one and all that is brought (B, T, D).
    logits : Tensor
        (B, vocabulary).
    """

    context: ReplayContext
    kept: Tensor
    projections: dict[int, dict[nn.Module, Tensor]]
    expert_inputs: dict[int, Tensor]
    part_outputs: list[Tensor]
    deltas: Tensor
    trimmed_deltas: Tensor
    uncut_stream: list[Tensor]
    logits: Tensor


def run_reference(context: ReplayContext, kept: Tensor) -> ReferenceRun:
    """Run the circuit that keeps the edges ``kept``, boolean (U, V) of the described graph, and keep what interventions need."""
    with torch.no_grad():
        return _ReferencePass(context, context.described.graph.expand(kept)).run()


class BlockPass:
    """The order in which a block's parts read and write."""

    def __init__(self, context: ReplayContext) -> None:
        self.context, self.graph, self.parts = context, context.graph, context.described.parts
        self.ablated = context.pair.ablated

    def run_blocks(self) -> None:
        """Run all blocks; after the last part that mixes positions leave only those that the metric reads."""
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
        """Read the stream and find an attention's heads' values."""
        raise NotImplementedError

    def run_part(self, index: int, part: Whole) -> None:
        """Read the stream and find what any other part gives."""
        raise NotImplementedError

    def trim_positions(self) -> None:
        """Drop all positions but those that the metric reads."""
        raise NotImplementedError

    def write(self, index: int, part: AnyPart) -> None:
        """Add what a part gives to the stream."""
        raise NotImplementedError


class _ReferencePass(BlockPass):
    """One circuit, from one end to the other."""

    def __init__(self, context: ReplayContext, kept: Tensor) -> None:
        super().__init__(context)
        self.kept = kept
        embed = context.pair.clean[0].embed
        b, t, d = embed.shape
        self.early = embed.new_zeros(self.graph.parts[context.last_mixing].seen, b, t, d)
        self.late = embed.new_zeros(len(self.graph.writers), b, 1, d)
        self.deltas = self.early  # the one that is read now
        self.total = torch.zeros_like(embed)  # all that is brought so far
        self.projections: dict[int, dict[nn.Module, Tensor]] = {}
        self.expert_inputs: dict[int, Tensor] = {}
        self.part_outputs: list[Tensor] = []
        self.uncut_stream: list[Tensor] = []
        self._write(0, embed - self.ablated.embed)

    def run(self) -> ReferenceRun:
        self.run_blocks()
        self._enter(len(self.parts))
        logits = self.context.components.unembed(self._stream(len(self.graph.readers) - 1)[:, 0])
        found = self.projections, self.expert_inputs, self.part_outputs
        return ReferenceRun(self.context, self.kept, *found, self.early, self.late, self.uncut_stream, logits)

    def _write(self, writer: int, brought: Tensor) -> None:
        self.deltas[writer] = brought
        self.total = self.total + brought

    def trim_positions(self) -> None:
        self.late[: len(self.early)] = self.context.trim(self.early, prompts=1)
        self.deltas, self.total = self.late, self.context.trim(self.total)

    def _stream(self, column: int) -> Tensor:
        """What a reader sees: (B, T, D)."""
        seen = self.graph.visible_writers(column)
        kept, brought = self.kept[:seen, column].to(self.deltas), self.deltas[:seen]
        spans = self.context.spans(brought.shape[2])
        if spans is None:
            return self.context.ablated_stream[self.part_index] + torch.tensordot(kept[:, 0], brought, dims=1)
        return self.context.ablated_stream[self.part_index] + torch.einsum("ubt,ubtd->btd", kept[:, spans], brought)

    def _enter(self, place: int) -> None:
        self.part_index = place
        self.uncut_stream.append(self.context.ablated_stream[place] + self.total)

    def run_heads(self, index: int, part: Heads) -> None:
        self._enter(index)
        columns, seen = self.graph.parts[index].columns, self.graph.parts[index].seen
        b, t, _ = self.total.shape
        outputs = {module: self.total.new_empty(b, t, width) for module, width in part.projection_widths.items()}
        for group in grouped(range(columns.start, columns.stop), self.kept[:seen, columns].transpose(0, 1)):
            project(self.graph, index, part, group, part.norm(self._stream(group[0])), outputs)
        self.projections[index] = outputs
        self.part_outputs.append(
            part.scaled(self.context.trim_output(index, self.context.components.attend(index, outputs)))
        )

    def run_part(self, index: int, part: Whole) -> None:
        self._enter(index)
        columns = self.graph.parts[index].columns
        if isinstance(part, Experts):
            streams = [self._stream(column) for column in range(columns.start, columns.stop)]
            self.expert_inputs[index] = part.norm(torch.stack(streams))
            gave = part.run_ports(list(self.expert_inputs[index]))
        else:
            gave = self.context.components.run(index, part.norm(self._stream(columns.start)))
        self.part_outputs.append(self.context.trim_output(index, gave) if index <= self.context.last_mixing else gave)

    def write(self, index: int, part: AnyPart) -> None:
        change = self.part_outputs[index] - self.context.trim_output(index, self.ablated.parts[index])
        first = self.graph.parts[index].rows.start
        if isinstance(part, Experts):
            for expert in range(part.size):
                self._write(first + expert, change[..., expert, :])
            return
        if part.output_weight is None:
            self._write(first, change)
            return
        for head, weight in enumerate(part.output_weight):
            self._write(first + head, change[..., head, :] @ weight)


def grouped(columns: Sequence[int], keys: Tensor) -> list[list[int]]:
    """Put columns together whose keys, of (P, ...) one each, are the same."""
    groups: dict[bytes, list[int]] = {}
    for column, key in zip(columns, keys.contiguous().numpy(), strict=True):
        groups.setdefault(key.tobytes(), []).append(column)
    return list(groups.values())


def project(
    graph: Graph,
    index: int,
    part: Heads,
    columns: Sequence[int],
    normed: Tensor,
    outputs: dict[nn.Module, Tensor],
    rows: Tensor | None = None,
) -> None:
    """Project ``normed`` (..., T, D) for the ports ``columns`` of a part, into its projections' outputs (at ``rows``)."""
    layer = graph.parts[index].layer
    for module, ports in part.projections.items():
        heads = {port: _among(graph.port_readers(layer, port), columns) for port in ports}
        if rows is None and all(len(heads[port]) == graph.port_heads(port) for port in ports):
            outputs[module] = part.project(module, normed)
            continue
        for port in ports:
            projection = part.projection(port)
            for head in heads[port]:
                values = nn.functional.linear(normed, projection.weight[head], projection.bias[head])
                into = projection.head(outputs[module], head)  # (..., T, K), a view
                if rows is None:
                    into[:] = values
                else:
                    into[rows] = values


def _among(ports: slice, columns: Sequence[int]) -> list[int]:
    """Which heads of one kind of port are among these columns."""
    return [column - ports.start for column in columns if ports.start <= column < ports.stop]
