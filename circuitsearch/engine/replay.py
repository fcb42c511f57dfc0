"""Replay: run many interventions as one joint batch, each from the first component that it changes.

An intervention chooses for every edge what its reader sees: the writer's output in this run (*kept*), the ablated value
(*ablated*), or the writer's output in the reference run (*frozen*). Every activation that an intervention does not change is
taken from the reference run. The shared prefix of clean and corrupt prompts is therefore never run again; components below
the first changed reader, and components whose input does not change, are not run; in an attention only the changed ports
are projected; and after the last attention only the positions that the metric reads are computed.

A reader's stream is built in the cheaper of two ways: the ablated stream plus the deltas of the kept edges, or the full stream minus
the deltas of the ablated edges. If one edge of the full model is ablated, no edge above its reader is, so the second way costs
nothing there: it is the residual stream itself.

A *delta* is a write minus its ablated value. A *change* is an activation minus its value in the reference run.

Legend of shapes: C interventions, C' the interventions that change a given part, B prompts, T positions, D stream width, U
writers, V readers, S spans, U' writers that a reader can see, L writers whose deltas are stored one by one, P readers of
one part, H heads, K head width.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from circuitsearch.engine.reference import BlockPass, ReferenceRun, grouped, project
from circuitsearch.metrics import Metric
from circuitsearch.models.parts import AnyPart, Experts, Heads, Whole

STREAMS_AT_ONCE = 12  # readers of one part whose streams are in memory together
WORK_STREAMS = 24  # what a block of the model holds at once, in tensors as wide as the stream
PLAN_MASKS = 8  # boolean (U, V, S) masks that planning one intervention takes, with some room


def replay(reference: ReferenceRun, kept: Tensor, frozen: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Run interventions on a reference run, as many at once as the pair's memory holds.

    Parameters
    ----------
    reference : ReferenceRun
        The run that they start from.
    kept : Tensor
        Boolean (C, U, V) of the described graph, on the CPU: all other edges are ablated.
    frozen : Tensor, optional
        Boolean (C, U, V): the kept edges that carry the writer's output in the reference run.

    Yields
    ------
    slice, Tensor
        The interventions of one chunk, and their logits (C' * B, vocabulary) at the metric's positions: the whole batch
        for the first intervention, then for the next.
    """
    expand = reference.context.described.graph.expand

    def plan(chunk: slice) -> Replay:
        return Replay(reference, expand(kept[chunk]), None if frozen is None else expand(frozen[chunk]))

    return run_in_chunks(reference, plan, len(kept))


def run_in_chunks(
    reference: ReferenceRun, plan: Callable[[slice], Replay], count: int
) -> Iterator[tuple[slice, Tensor]]:
    """Plan and run ``count`` interventions in chunks that fit the pair's memory, plans included."""
    memory = reference.context.pair.memory
    most = max(1, memory // (PLAN_MASKS * reference.kept.numel()))
    first, size = 0, most
    while first < count:
        chunk = slice(first, min(first + size, count))
        planned = plan(chunk)
        fit = max(1, memory // planned.bytes_each)
        if planned.count <= fit:
            with torch.no_grad():
                yield chunk, planned.run()
            first = chunk.stop
        size = min(fit, most)


def measure(reference: ReferenceRun, kept: Tensor, *metrics: Metric, frozen: Tensor | None = None) -> list[Tensor]:
    """Measure each metric for every intervention and prompt: one (C, B) tensor for each metric, float64, on the CPU."""
    pair = reference.context.pair
    metrics = metrics or (pair.metric,)
    values = [torch.empty(len(kept), len(pair.batch), dtype=torch.float64) for _ in metrics]
    for part, logits in replay(reference, kept, frozen):
        batch = pair.known.repeat(part.stop - part.start)
        for metric, out in zip(metrics, values, strict=True):
            out[part] = metric(logits, batch).view(-1, len(pair.batch)).double().cpu()
    return values


class Replay(BlockPass):
    """One chunk of interventions, planned when it is made."""

    def __init__(self, reference: ReferenceRun, kept: Tensor, frozen: Tensor | None) -> None:
        super().__init__(reference.context)
        self.reference, self.kept, self.frozen = reference, kept, frozen
        self.count = len(kept)
        self.carried = kept if frozen is None else kept & ~frozen  # edges that carry the writer's output in this run
        self.changed_readers, self.changed_writers = self._propagate()
        self.from_full, self.stored, self.needs_stream_change = self._plan()
        self.stored_index = {writer: index for index, writer in enumerate(self.stored)}

    @property
    def bytes_each(self) -> int:
        """Estimated memory for one intervention."""
        _, b, t, d = self.reference.deltas.shape
        streams = len(self.stored) + WORK_STREAMS + (2 * STREAMS_AT_ONCE if len(self.stored) else 0)
        return b * (t * d * streams + self.reference.logits.shape[-1]) * self.reference.deltas.dtype.itemsize

    # ---- planning, before anything is run

    def _propagate(self) -> tuple[Tensor, Tensor]:
        """Find the readers (C, V) whose input changes and the writers (C, U) whose output changes."""
        graph = self.graph
        readers = (self.kept != self.reference.kept).any(-1).any(1)
        writers = torch.zeros(self.count, len(graph.writers), dtype=torch.bool)
        carried = self.carried.any(-1)

        def propagate_to(columns: slice, seen: int) -> None:
            readers[:, columns] |= (carried[:, :seen, columns] & writers[:, :seen, None]).any(1)

        for nodes, part in zip(graph.parts, self.parts, strict=True):
            propagate_to(nodes.columns, nodes.seen)
            changed = readers[:, nodes.columns]  # (C, P)
            if part.mixed:
                writers[:, nodes.rows] = changed.any(1, keepdim=True)
            else:
                writers[:, nodes.rows] = (changed[:, :, None] & graph.feeds(nodes)).any(1)
        propagate_to(slice(len(graph.readers) - 1, len(graph.readers)), len(graph.writers))
        return readers, writers

    def _plan(self) -> tuple[Tensor, list[int], bool]:
        """Plan how streams are built.

        Returns
        -------
        Tensor
            Boolean (V,): readers whose stream is the full stream minus deltas, not the ablated stream plus deltas.
        list of int
            Writers whose deltas are stored one by one.
        bool
            Whether any stream is built from the full stream.
        """
        columns = self.changed_readers.any(0).nonzero().flatten()  # (V',)
        writers = self.changed_writers.any(0)[:, None]  # (U, 1)
        kept, carried = self.kept[:, :, columns], self.carried[:, :, columns]
        subtracted = self.graph.mask[:, columns, None] & ~kept
        if self.frozen is not None:
            subtracted |= self.frozen[:, :, columns] & writers[..., None]
        from_full = subtracted.sum((0, 1, 3)) < kept.sum((0, 1, 3))
        used = torch.where(from_full, subtracted.any(-1).any(0), carried.any(-1).any(0)) & writers  # (U, V')
        of_all = torch.zeros(len(self.graph.readers), dtype=torch.bool).index_copy(0, columns, from_full)
        return of_all, used.any(1).nonzero().flatten().tolist(), bool(from_full.any())

    # ---- the run

    def run(self) -> Tensor:
        """Logits (C * B, vocabulary)."""
        _, b, t, d = self.reference.deltas.shape
        early = bisect.bisect_left(self.stored, len(self.reference.deltas))
        self.reference_deltas = self.reference.deltas  # (U', B, T, D)
        self.deltas = self.reference_deltas.new_empty(self.count, early, b, t, d)  # stored ones: (C, L, B, T, D)
        self.affected: dict[int, Tensor] = {}  # by part index, the interventions (C',) that change the part
        self.part_outputs: dict[int, Tensor] = {}  # by part index, its output in these
        self.stream_change: Tensor | None = None  # the full stream minus the reference run's: (C, B, T, D)
        self.run_blocks()
        column = len(self.graph.readers) - 1
        logits = self.reference.logits.repeat(self.count, 1, 1)  # (C, B, vocabulary)
        affected = self._affecting([column])
        if len(affected):
            stream = self._streams(len(self.parts), [column], affected)[0]  # (C', B, 1, D)
            new = self.context.components.unembed(stream.flatten(0, 2)).view(len(affected), *logits.shape[1:])
            all_new = len(affected) == self.count
            logits = new if all_new else logits.index_copy_(0, affected.to(logits.device), new)
        return logits.flatten(0, 1)

    def _affecting(self, columns: Sequence[int]) -> Tensor:
        """The interventions (C',) that change the input of any of these readers."""
        return self.changed_readers[:, columns].any(1).nonzero().flatten()

    def _changed_columns(self, index: int) -> list[int]:
        """The readers of a part whose input any intervention changes."""
        columns = self.graph.parts[index].columns
        return [column for column in range(columns.start, columns.stop) if self.changed_readers[:, column].any()]

    def run_heads(self, index: int, part: Heads) -> None:
        columns = self._changed_columns(index)
        self.affected[index] = self._affecting(columns)
        if not columns:
            return
        outputs = self._projections(index, part, columns)
        joint = {module: output.flatten(0, 1) for module, output in outputs.items()}
        values = self.context.components.attend(index, joint).unflatten(0, (len(self.affected[index]), -1))
        trims = index >= self.context.first_trimmed
        self.part_outputs[index] = part.scaled(self.context.trim(values, prompts=1) if trims else values)

    def _expert_inputs(self, index: int, part: Experts, columns: list[int]) -> Tensor:
        """The normalised stream at the ports of a mixture, for the interventions that change it: (P, C', B, T, D)."""
        affected, first = self.affected[index], self.graph.parts[index].columns.start
        inputs = self.reference.expert_inputs[index][:, None].repeat(1, len(affected), 1, 1, 1)
        for some, groups in self._by_affected(columns):
            at = torch.searchsorted(affected, some)
            for group in groups:
                normed = part.norm(self._streams(index, group[:1], some)[0])
                for column in group:
                    inputs[column - first, at] = normed
        return inputs

    def _projections(self, index: int, part: Heads, columns: list[int]) -> dict[nn.Module, Tensor]:
        """An attention's projections for the interventions that change it: by module (C', B, T, features)."""
        affected, reference = self.affected[index], self.reference.projections[index]
        outputs = {module: output.repeat(len(affected), 1, 1, 1) for module, output in reference.items()}
        for some, groups in self._by_affected(columns):
            at = None if len(some) == len(affected) else torch.searchsorted(affected, some)
            for first in range(0, len(groups), STREAMS_AT_ONCE):
                chunk = groups[first : first + STREAMS_AT_ONCE]
                streams = self._streams(index, [group[0] for group in chunk], some)
                for group, stream in zip(chunk, streams, strict=True):
                    project(self.graph, index, part, group, part.norm(stream), outputs, at)
        return outputs

    def _by_affected(self, columns: list[int]) -> list[tuple[Tensor, list[list[int]]]]:
        """Group ports of one part by the interventions that change them, and each group by the stream that its ports see."""
        seen = self.graph.visible_writers(columns[0])
        edges = [self.kept[:, :seen, columns]] + ([] if self.frozen is None else [self.frozen[:, :seen, columns]])
        key_of = dict(zip(columns, torch.cat(edges, 1).transpose(0, 2), strict=True))
        return [
            (self._affecting(same[:1]), grouped(same, torch.stack([key_of[column] for column in same])))
            for same in grouped(columns, self.changed_readers[:, columns].T)
        ]

    def trim_positions(self) -> None:
        early, shape = self.context.trim(self.deltas, prompts=2), list(self.deltas.shape)
        late = early.new_empty(self.count, len(self.stored) - shape[1], *early.shape[2:])
        self.deltas = torch.cat([early, late], 1)
        self.reference_deltas = self.reference.trimmed_deltas
        if self.stream_change is not None:
            self.stream_change = self.context.trim(self.stream_change, prompts=1)

    def run_part(self, index: int, part: Whole) -> None:
        columns = self._changed_columns(index)
        self.affected[index] = affected = self._affecting(columns)
        if not len(affected):
            return
        if isinstance(part, Experts):
            output = part.run_ports(list(self._expert_inputs(index, part, columns).flatten(1, 2)))
        else:
            stream = self._streams(index, columns, affected)[0].flatten(0, 1)
            output = self.context.components.run(index, part.norm(stream))
        output = output.unflatten(0, (len(affected), -1))
        trims = self.context.first_trimmed <= index <= self.context.last_mixing
        self.part_outputs[index] = self.context.trim(output, prompts=1) if trims else output

    def write(self, index: int, part: AnyPart) -> None:
        affected = self.affected[index]
        if not len(affected):
            return
        output = self.part_outputs.pop(index)
        change = output - self.reference.part_outputs[index] if self.needs_stream_change else None
        ablated = self.context.trim_output(index, self.ablated.parts[index])
        if isinstance(part, Experts):
            self._write_experts(index, part, change, output, ablated)
        elif part.output_weight is None:
            first = self.graph.parts[index].rows.start
            if change is not None:
                self._add_change(affected, change)
            if first in self.stored_index:
                self._store(first, affected, output - ablated)
        else:
            self._write_heads(index, part.output_weight, change, output, ablated)

    def _write_experts(self, index: int, part: Experts, change: Tensor | None, output: Tensor, ablated: Tensor) -> None:
        """Write the experts' outputs (C', B, T, E, D)."""
        affected, first = self.affected[index], self.graph.parts[index].rows.start
        if change is not None:
            self._add_change(affected, change.sum(-2))
        for expert in range(part.size):
            if first + expert in self.stored_index:
                self._store(first + expert, affected, output[..., expert, :] - ablated[..., expert, :])

    def _write_heads(self, index: int, weight: Tensor, change: Tensor | None, output: Tensor, ablated: Tensor) -> None:
        """Write heads' (or neurons') outputs (C', B, T, H, K) through their ``weight`` (H, K, D)."""
        affected, first = self.affected[index], self.graph.parts[index].rows.start
        heads = [head for head in range(len(weight)) if self.changed_writers[:, first + head].any()]
        if change is not None:
            self._add_change(affected, change[..., heads, :].flatten(-2) @ weight[heads].flatten(0, 1))
        for head in heads:
            if first + head in self.stored_index:
                delta = output[..., head, :] - ablated[..., head, :]
                self._store(first + head, affected, delta @ weight[head])

    def _add_change(self, affected: Tensor, change: Tensor) -> None:
        """Add a part's change (C', B, T, D) to the change of the full stream."""
        if self.stream_change is None and len(affected) == self.count:
            self.stream_change = change
            return
        if self.stream_change is None:
            self.stream_change = change.new_zeros(self.count, *change.shape[1:])
        self.stream_change.index_add_(0, affected.to(change.device), change)

    def _store(self, writer: int, affected: Tensor, delta: Tensor) -> None:
        """Store a writer's delta (C', B, T, D); in the other interventions it is that of the reference run."""
        index = self.stored_index[writer]
        if len(affected) == self.count:
            self.deltas[:, index] = delta
        else:
            self.deltas[:, index] = self.reference_deltas[writer]
            self.deltas[affected, index] = delta

    # ---- what readers see

    def _streams(self, index: int, columns: list[int], some: Tensor) -> Tensor:
        """Streams (P, C', B, T, D) that readers of one part see, in ``some`` interventions (C',)."""
        seen = self.graph.visible_writers(columns[0])
        n_stored = bisect.bisect_left(self.stored, seen)
        stored_weights, shared_weights = self._weights(columns, some, seen, n_stored)
        streams = self._start_streams(index, columns, some)
        spans = self.context.spans(streams.shape[3])
        if shared_weights.any():
            _add_shared(streams, shared_weights, self.reference_deltas[:seen], spans)
        if stored_weights.any():
            deltas = self.deltas[:, :n_stored] if len(some) == self.count else self.deltas[some, :n_stored]
            _add_stored(streams, stored_weights.to(deltas), deltas, spans)
        return streams

    def _weights(self, columns: list[int], some: Tensor, seen: int, n_stored: int) -> tuple[Tensor, Tensor]:
        """Weights (-1, 0 or 1) of stored deltas (C', L, P, S) and of the reference run's deltas (C', U', P, S)."""
        kept = self.kept[some][:, :seen, columns]
        frozen = torch.zeros_like(kept) if self.frozen is None else self.frozen[some][:, :seen, columns]
        weights = torch.where(
            self.from_full[columns, None], -(~kept | frozen).to(torch.int8), (kept & ~frozen).to(torch.int8)
        )
        shared = weights + frozen.to(torch.int8)  # a writer that is not stored has the reference run's delta
        stored = self.stored[:n_stored]
        shared[:, stored] = frozen[:, stored].to(torch.int8)
        return weights[:, stored], shared

    def _start_streams(self, index: int, columns: list[int], some: Tensor) -> Tensor:
        """What each reader's stream is built from, the ablated or the full stream: (P, C', B, T, D)."""
        ablated, full = self.context.ablated_stream[index], self.reference.full_stream[index]
        starts = ablated.new_empty(len(columns), len(some), *ablated.shape)
        change = self.stream_change
        if change is not None and len(some) < self.count:
            change = change[some]
        for start, column in zip(starts, columns, strict=True):
            if not self.from_full[column]:
                start[:] = ablated
            elif change is None:
                start[:] = full
            else:
                torch.add(change, full, out=start)
        return starts


def _add_stored(streams: Tensor, weights: Tensor, deltas: Tensor, spans: Tensor | None) -> None:
    """Add to streams (P, C', B, T, D) each intervention's own deltas (C', L, B, T, D), by weights (C', L, P, S)."""
    if spans is None:
        streams.flatten(2).transpose(0, 1).baddbmm_(weights[..., 0].transpose(1, 2), deltas.flatten(2))
    else:
        streams += torch.einsum("clpbt,clbtd->pcbtd", weights[..., spans], deltas)


def _add_shared(streams: Tensor, weights: Tensor, deltas: Tensor, spans: Tensor | None) -> None:
    """Add to streams (P, C', B, T, D) the deltas (U', B, T, D) that all interventions share, by weights (C', U', P, S)."""
    used = weights.any(3).any(2).any(0).nonzero().flatten()
    weights, deltas = weights[:, used], deltas if len(used) == len(deltas) else deltas[used]
    if spans is not None:
        streams += torch.einsum("cupbt,ubtd->pcbtd", weights.to(deltas)[..., spans], deltas)
        return
    alike = bool((weights == weights[:1]).all())
    weights = (weights[:1] if alike else weights)[..., 0].permute(2, 0, 1).flatten(0, 1).to(deltas)  # (P * C', U')
    added = (weights @ deltas.flatten(1)).view(len(streams), -1, *streams.shape[2:])
    streams += added
