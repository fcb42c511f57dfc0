"""The exact results of many interventions in one joint batch, each computed from where it acts.

An intervention says for every edge what its reader sees: what the writer gives in this very run (*kept*), the ablated
value (*cut*), or what the writer gave in the run that the intervention starts from (*frozen*). That run is the *reference*,
and what an intervention does not reach is taken from it. So the prefix that clean and corrupt prompts share is never run
again; components below the first changed reader, and those that no change reaches, are not run at all; of a changed
attention only the changed ports are projected anew; and after the last attention only the positions that the metric
reads are left.

A reader's stream is built from the nearer of two ends: the ablated stream plus what its kept edges bring, or the stream
of all that is written less what its cut edges take away. When one edge of the full model is cut, nothing above its reader
is, so there the second is the plain residual stream.

Legend of shapes: C interventions, C' those of them that a reader's change concerns, B prompts, T positions, D stream
width, U writers, V readers, S spans, U' writers that a reader may see, L writers whose writes are kept one by one, P
readers of one place, H heads, K head width.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from circuitsearch.engine.reference import BlockPass, ReferenceRun, grouped, project
from circuitsearch.metrics import Metric
from circuitsearch.models.parts import AnyPart, Experts, Heads, Whole

STREAMS_AT_ONCE = 12  # readers of one place whose streams stand in memory together
WORK_STREAMS = 24  # what a block of the model holds at once, in tensors as wide as the stream


def replay(reference: ReferenceRun, kept: Tensor, frozen: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Run interventions on a reference, as many at once as the pair's memory holds.

    Parameters
    ----------
    reference : ReferenceRun
        Where they start.
    kept : Tensor
        Boolean (C, U, V) of the described graph, on the CPU: all other edges are cut.
    frozen : Tensor, optional
        Boolean (C, U, V): of the kept edges, those that carry what they carry in the reference.

    Yields
    ------
    slice, Tensor
        Which interventions, and their logits (C' * B, vocabulary) where the metric reads, whole copies of the batch one
        after another.
    """
    expand = reference.context.described.graph.expand
    size = max(
        1,
        reference.context.pair.memory
        // Replay(reference, expand(kept), None if frozen is None else expand(frozen)).bytes_each,
    )
    for first in range(0, len(kept), size):
        part = slice(first, min(first + size, len(kept)))
        with torch.no_grad():
            yield part, Replay(reference, expand(kept[part]), None if frozen is None else expand(frozen[part])).run()


def measure(reference: ReferenceRun, kept: Tensor, *metrics: Metric, frozen: Tensor | None = None) -> list[Tensor]:
    """Each metric of every intervention on every prompt: a (C, B) tensor a metric, float64, on the CPU."""
    pair = reference.context.pair
    metrics = metrics or (pair.metric,)
    values = [torch.empty(len(kept), len(pair.batch), dtype=torch.float64) for _ in metrics]
    for part, logits in replay(reference, kept, frozen):
        batch = pair.known.repeat(part.stop - part.start)
        for metric, out in zip(metrics, values, strict=True):
            out[part] = metric(logits, batch).view(-1, len(pair.batch)).double().cpu()
    return values


class Replay(BlockPass):
    """One joint batch of interventions."""

    def __init__(self, reference: ReferenceRun, kept: Tensor, frozen: Tensor | None) -> None:
        super().__init__(reference.context)
        self.reference, self.kept, self.frozen = reference, kept, frozen
        self.count = len(kept)
        self.carried = kept if frozen is None else kept & ~frozen  # edges that carry what is written in this run
        self.changed_readers, self.changed_writers = self._reach()
        self.from_uncut, self.stored, self.needs_stream_change = self._plan()
        self.stored_index = {writer: slot for slot, writer in enumerate(self.stored)}

    @property
    def bytes_each(self) -> int:
        """Roughly what one intervention holds in memory at once."""
        _, b, t, d = self.reference.deltas.shape
        streams = len(self.stored) + WORK_STREAMS + (2 * STREAMS_AT_ONCE if len(self.stored) else 0)
        return b * (t * d * streams + self.reference.logits.shape[-1]) * self.reference.deltas.dtype.itemsize

    # ---- what is to be done, before anything is run

    def _reach(self) -> tuple[Tensor, Tensor]:
        """Which readers (C, V) see a change, and which writers (C, U) write one."""
        graph = self.graph
        changed = (self.kept != self.reference.kept).any(-1).any(1)
        live = torch.zeros(self.count, len(graph.writers), dtype=torch.bool)
        carried = self.carried.any(-1)

        def see(seen: int, columns: slice) -> None:
            changed[:, columns] |= (carried[:, :seen, columns] & live[:, :seen, None]).any(1)

        for place, part in zip(graph.parts, self.parts, strict=True):
            see(place.seen, place.columns)
            seeing = changed[:, place.columns]  # (C, P)
            if part.mixed:
                live[:, place.rows] = seeing.any(1, keepdim=True)
            else:
                live[:, place.rows] = (seeing[:, :, None] & graph.feeds(place)).any(1)
        see(len(graph.writers), slice(len(graph.readers) - 1, len(graph.readers)))
        return changed, live

    def _plan(self) -> tuple[Tensor, list[int], bool]:
        """Choose each reader's nearer end (V,), the writers to keep one by one, and whether any stream starts from all."""
        live, active = self.changed_writers.any(0)[:, None], self.changed_readers.any(0)
        off = self.graph.mask[..., None] & ~self.kept
        if self.frozen is not None:
            off |= self.frozen & live[..., None]
        from_uncut = off.sum((0, 1, 3)) < self.kept.sum((0, 1, 3))
        apart = torch.where(from_uncut, off.any(-1).any(0), self.carried.any(-1).any(0)) & live & active  # (U, V)
        return from_uncut, apart.any(1).nonzero().flatten().tolist(), bool((from_uncut & active).any())

    # ---- the run

    def run(self) -> Tensor:
        """Logits (C * B, vocabulary)."""
        _, b, t, d = self.reference.deltas.shape
        early = bisect.bisect_left(self.stored, len(self.reference.deltas))
        self.reference_deltas = self.reference.deltas  # (S, B, T, D)
        self.deltas = self.reference_deltas.new_empty(
            self.count, early, b, t, d
        )  # live minus ablated write: (C, L, B, T, D)
        self.affected: dict[int, Tensor] = {}  # interventions that change each part
        self.part_outputs: dict[int, Tensor] = {}  # what it gives in them
        self.stream_change: Tensor | None = None  # all that is written less what the reference wrote: (C, B, T, D)
        self.run_blocks()
        column = len(self.graph.readers) - 1
        logits = self.reference.logits.repeat(self.count, 1, 1)  # (C, B, vocabulary)
        rows = self._affecting([column])
        if len(rows):
            stream = self._streams(len(self.parts), [column], rows)[0]  # (C', B, 1, D)
            found = self.context.components.unembed(stream.flatten(0, 2)).view(len(rows), *logits.shape[1:])
            logits = found if len(rows) == self.count else logits.index_copy_(0, rows.to(logits.device), found)
        return logits.flatten(0, 1)

    def _affecting(self, columns: Sequence[int]) -> Tensor:
        """Interventions that change any of these readers: (C',)."""
        return self.changed_readers[:, columns].any(1).nonzero().flatten()

    def run_heads(self, index: int, part: Heads) -> None:
        own = self.graph.parts[index].columns
        columns = [column for column in range(own.start, own.stop) if self.changed_readers[:, column].any()]
        self.affected[index] = self._affecting(columns)
        if not columns:
            return
        outputs = self._projections(index, part, columns)
        joint = {module: output.flatten(0, 1) for module, output in outputs.items()}
        values = self.context.components.attend(index, joint).unflatten(0, (len(self.affected[index]), -1))
        late = index >= self.context.first_trimmed
        self.part_outputs[index] = part.scaled(self.context.trim(values, prompts=1) if late else values)

    def _expert_inputs(self, index: int, part: Experts, columns: list[int]) -> Tensor:
        """What the ports of a mixture read in the interventions that change it: (P, C', B, T, D)."""
        own, first = self.affected[index], self.graph.parts[index].columns.start
        reads = self.reference.expert_inputs[index][:, None].repeat(1, len(own), 1, 1, 1)
        for rows, groups in self._by_affected(columns):
            local = torch.searchsorted(own, rows)
            for group in groups:
                normed = part.norm(self._streams(index, group[:1], rows)[0])
                for column in group:
                    reads[column - first, local] = normed
        return reads

    def _projections(self, index: int, part: Heads, columns: list[int]) -> dict[nn.Module, Tensor]:
        """What an attention's projections put out for the interventions that change it: (C', B, T, features) a module."""
        own = self.affected[index]
        outputs = {
            module: output.repeat(len(own), 1, 1, 1) for module, output in self.reference.projections[index].items()
        }
        for rows, groups in self._by_affected(columns):
            local = None if len(rows) == len(own) else torch.searchsorted(own, rows)
            for first in range(0, len(groups), STREAMS_AT_ONCE):
                some = groups[first : first + STREAMS_AT_ONCE]
                streams = self._streams(index, [group[0] for group in some], rows)
                for group, stream in zip(some, streams, strict=True):
                    project(self.graph, index, part, group, part.norm(stream), outputs, local)
        return outputs

    def _by_affected(self, columns: list[int]) -> list[tuple[Tensor, list[list[int]]]]:
        """Ports of one place by the interventions that change them, and among these by what stream they see."""
        seen = self.graph.visible_writers(columns[0])
        edges = [self.kept[:, :seen, columns]] + ([] if self.frozen is None else [self.frozen[:, :seen, columns]])
        key_of = dict(zip(columns, torch.cat(edges, 1).transpose(0, 2), strict=True))
        return [
            (self._affecting(same[:1]), grouped(same, torch.stack([key_of[column] for column in same])))
            for same in grouped(columns, self.changed_readers[:, columns].T)
        ]

    def trim_positions(self) -> None:
        read, shape = self.context.trim(self.deltas, prompts=2), list(self.deltas.shape)
        late = read.new_empty(self.count, len(self.stored) - shape[1], *read.shape[2:])
        self.deltas = torch.cat([read, late], 1)
        self.reference_deltas = self.reference.trimmed_deltas
        self.stream_change = None if self.stream_change is None else self.context.trim(self.stream_change, prompts=1)

    def run_part(self, index: int, part: Whole) -> None:
        own = self.graph.parts[index].columns
        columns = [column for column in range(own.start, own.stop) if self.changed_readers[:, column].any()]
        self.affected[index] = rows = self._affecting(columns)
        if len(rows):
            if isinstance(part, Experts):
                gave = part.run_ports(list(self._expert_inputs(index, part, columns).flatten(1, 2)))
            else:
                stream = self._streams(index, columns, rows)[0].flatten(0, 1)
                gave = self.context.components.run(index, part.norm(stream))
            gave = gave.unflatten(0, (len(rows), -1))
            late = self.context.first_trimmed <= index <= self.context.last_mixing
            self.part_outputs[index] = self.context.trim(gave, prompts=1) if late else gave

    def write(self, index: int, part: AnyPart) -> None:
        rows = self.affected[index]
        if not len(rows):
            return
        first, gave, before = (
            self.graph.parts[index].rows.start,
            self.part_outputs.pop(index),
            self.reference.part_outputs[index],
        )
        ablated = self.context.trim_output(index, self.ablated.parts[index])
        if isinstance(part, Experts):
            if self.needs_stream_change:
                self._add_change(rows, (gave - before).sum(-2))
            for expert in range(part.size):
                if first + expert in self.stored_index:
                    self._store(first + expert, rows, gave[..., expert, :] - ablated[..., expert, :])
            return
        if part.output_weight is None:
            if self.needs_stream_change:
                self._add_change(rows, gave - before)
            if first in self.stored_index:
                self._store(first, rows, gave - ablated)
            return
        weight = part.output_weight  # (H, K, D)
        heads = [head for head in range(len(weight)) if self.changed_writers[:, first + head].any()]
        if self.needs_stream_change:
            change = gave[..., heads, :] - before[..., heads, :]
            self._add_change(rows, change.flatten(-2) @ weight[heads].flatten(0, 1))
        for head in heads:
            if first + head in self.stored_index:
                self._store(first + head, rows, (gave[..., head, :] - ablated[..., head, :]) @ weight[head])

    def _add_change(self, rows: Tensor, change: Tensor) -> None:
        """Add a change (C', B, T, D) to all that is written."""
        if self.stream_change is None and len(rows) == self.count:
            self.stream_change = change
            return
        if self.stream_change is None:
            self.stream_change = change.new_zeros(self.count, *change.shape[1:])
        self.stream_change.index_add_(0, rows.to(change.device), change)

    def _store(self, writer: int, rows: Tensor, brought: Tensor) -> None:
        """Keep what one writer brings (C', B, T, D); elsewhere it brings what it brings in the reference."""
        slot = self.stored_index[writer]
        if len(rows) == self.count:
            self.deltas[:, slot] = brought
        else:
            self.deltas[:, slot] = self.reference_deltas[writer]
            self.deltas[rows, slot] = brought

    # ---- what readers see

    def _streams(self, place: int, columns: list[int], rows: Tensor) -> Tensor:
        """Streams (P, C', B, T, D) that readers of one place see, of the interventions ``rows``."""
        seen = self.graph.visible_writers(columns[0])
        n_stored = bisect.bisect_left(self.stored, seen)
        live, still = self._weights(columns, rows, seen, n_stored)
        streams = self._starts(place, columns, rows)
        spans = self.context.spans(streams.shape[3])
        if still.any():
            _add_shared(streams, still, self.reference_deltas[:seen], spans)
        if live.any():
            brought = self.deltas[:, :n_stored] if len(rows) == self.count else self.deltas[rows, :n_stored]
            _add_stored(streams, live.to(brought), brought, spans)
        return streams

    def _weights(self, columns: list[int], rows: Tensor, seen: int, n_stored: int) -> tuple[Tensor, Tensor]:
        """What readers take of each write: of those kept one by one (C', L, P, S), and of the reference's (C', U', P, S)."""
        kept = self.kept[rows][:, :seen, columns]
        frozen = torch.zeros_like(kept) if self.frozen is None else self.frozen[rows][:, :seen, columns]
        own = torch.where(
            self.from_uncut[columns, None], -(~kept | frozen).to(torch.int8), (kept & ~frozen).to(torch.int8)
        )
        still = own + frozen.to(torch.int8)  # what is not kept one by one is as in the reference
        stored = self.stored[:n_stored]
        still[:, stored] = frozen[:, stored].to(torch.int8)
        return own[:, stored], still

    def _starts(self, place: int, columns: list[int], rows: Tensor) -> Tensor:
        """The end that each reader's stream is built from: (P, C', B, T, D)."""
        floor, full = self.context.ablated_stream[place], self.reference.uncut_stream[place]
        ends = floor.new_empty(len(columns), len(rows), *floor.shape)
        delta = (
            self.stream_change if self.stream_change is None or len(rows) == self.count else self.stream_change[rows]
        )
        for end, column in zip(ends, columns, strict=True):
            if not self.from_uncut[column]:
                end[:] = floor
            elif delta is None:
                end[:] = full
            else:
                torch.add(delta, full, out=end)
        return ends


def _add_stored(streams: Tensor, weights: Tensor, brought: Tensor, spans: Tensor | None) -> None:
    """Add to streams (P, C', B, T, D) each intervention's own writes (C', L, B, T, D), by weights (C', L, P, S)."""
    if spans is None:
        streams.flatten(2).transpose(0, 1).baddbmm_(weights[..., 0].transpose(1, 2), brought.flatten(2))
    else:
        streams += torch.einsum("clpbt,clbtd->pcbtd", weights[..., spans], brought)


def _add_shared(streams: Tensor, weights: Tensor, brought: Tensor, spans: Tensor | None) -> None:
    """Add to streams (P, C', B, T, D) the writes (U', B, T, D) that all interventions share, by weights (C', U', P, S)."""
    used = weights.any(3).any(2).any(0).nonzero().flatten()
    weights, brought = weights[:, used], brought if len(used) == len(brought) else brought[used]
    if spans is not None:
        streams += torch.einsum("cupbt,ubtd->pcbtd", weights.to(brought)[..., spans], brought)
        return
    alike = bool((weights == weights[:1]).all())
    weights = (weights[:1] if alike else weights)[..., 0].permute(2, 0, 1).flatten(0, 1).to(brought)  # (P * C', U')
    added = (weights @ brought.flatten(1)).view(len(streams), -1, *streams.shape[2:])
    streams += added
