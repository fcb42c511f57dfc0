"""Replay: run many interventions as one joint batch, each from the first component that it changes.

An intervention changes for some edges what their readers see (interventions.py): the writer's output in this run (the edge is *kept*), the
ablated value (*ablated*), or the writer's output in the reference run (*frozen*). Every activation that an intervention does
not change is taken from the reference run. The shared prefix of clean and corrupt prompts is therefore never run again;
components below the first changed reader, and components whose input does not change, are not run; in an attention only the
changed ports are projected; of each prompt only the *live* positions are computed, from its first difference to the position that the
metric reads, except in attention itself; and after the last attention only the latter.

A reader's stream is built in the cheaper of two ways: the ablated stream plus the deltas of the kept edges, or the full stream minus
the deltas of the ablated edges. If one edge of the full model is ablated, no edge above its reader is, so the second way costs
nothing there: it is the residual stream itself.

A *delta* is a write minus its ablated value. A *change* is an activation minus its value in the reference run.

Legend of shapes: C interventions, C' the interventions that change a given part, B prompts, T positions, N live positions
of all prompts (those that the metric reads after the last attention: B * R, of R in each prompt), D stream width, U writers, V readers, S spans, U' writers that a reader can see,
L writers whose deltas are stored one by one, P readers of one part, H heads, K head width.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from circuitsearch.engine.interventions import BYTES_AN_EDGE, Asked, Changes, Interventions
from circuitsearch.engine.reference import BlockPass, ReferenceRun, grouped, grouped_by, project
from circuitsearch.engine.working_memory import warn_of_halving
from circuitsearch.errors import ran_out_of_memory
from circuitsearch.metrics import Metric
from circuitsearch.models.parts import AnyPart, Experts, Heads, Whole

STREAMS_AT_ONCE = 12  # readers of one part whose streams are in memory together


def measure(reference: ReferenceRun, asked: Asked, *metrics: Metric) -> list[Tensor]:
    """Run interventions, as many at once as the pair's memory holds, and measure each metric.

    Parameters
    ----------
    reference : ReferenceRun
        The run that they start from.
    asked : Interventions or Circuits
        C interventions.
    *metrics : Metric
        The pair's own if none is given.

    Returns
    -------
    list of Tensor
        One (C, B) tensor for each metric, float64, on the CPU.
    """
    return measure_runs(
        reference, lambda chunk: Replay(reference, asked[chunk]), len(asked), asked.most_edges(), metrics
    )


def measure_runs(
    reference: ReferenceRun,
    plan: Callable[[slice], Replay],
    count: int,
    most_edges: int = 0,
    metrics: Sequence[Metric] = (),
) -> list[Tensor]:
    """Measure ``count`` interventions that ``plan`` makes chunk by chunk, none of which changes more than ``most_edges``."""
    pair = reference.context.pair
    metrics = metrics or (pair.metric,)
    unchanged = [metric(reference.logits, pair.known).cpu().double() for metric in metrics]
    values = [value.repeat(count, 1) for value in unchanged]
    for which, logits in _run_in_chunks(reference, plan, count, most_edges):
        for metric, out in zip(metrics, values, strict=True):
            out[which] = torch.stack([metric(each, pair.known) for each in logits]).cpu().double()
    return values


def _run_in_chunks(
    reference: ReferenceRun, plan: Callable[[slice], Replay], count: int, most_edges: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Plan and run interventions in chunks that fit the pair's memory: those whose logits change, and their logits."""
    memory, first, most = reference.context.pair.memory, 0, count
    plan_bytes = most_edges * reference.context.base_edges * BYTES_AN_EDGE
    fit = memory // (reference.work_bytes + plan_bytes)
    while first < count:
        planned = plan(slice(first, min(first + max(1, min(fit, most)), count)))
        fit, size = memory // (planned.bytes_each + plan_bytes), planned.count
        if size > max(1, fit):
            continue
        found = _run(planned)
        if found is None:
            del planned  # it holds what it has computed
            warn_of_halving()
            most = size // 2
            continue
        which, logits = found
        if len(which):
            yield first + which, logits
        first += size


def _run(planned: Replay) -> tuple[Tensor, Tensor] | None:
    """The interventions of a chunk whose logits change, and their logits; None if memory runs out on more than one."""
    try:
        with torch.no_grad():
            return planned.run()
    except (MemoryError, RuntimeError) as error:
        if planned.count > 1 and ran_out_of_memory(error):
            return None
        raise


class Replay(BlockPass):
    """One chunk of interventions, planned when it is made."""

    def __init__(self, reference: ReferenceRun, interventions: Interventions) -> None:
        super().__init__(reference.context)
        self.reference, self.count = reference, len(interventions)
        self.changes = Changes.of(interventions, reference.context.described.graph, reference.kept)
        self.changed_readers, self.changed_writers = self._propagate()
        self.from_full = self._from_full()
        self.stored = self._stored()
        self.stored_index = {writer: index for index, writer in enumerate(self.stored)}

    @property
    def bytes_each(self) -> int:
        """Estimated memory for running one intervention."""
        stored = self.reference.stream_bytes * (len(self.stored) + (2 * STREAMS_AT_ONCE if self.stored else 0))
        return self.reference.work_bytes + stored

    # ---- planning, before anything is run

    def _propagate(self) -> tuple[Tensor, Tensor]:
        """Find the readers (C, V) whose input changes and the writers (C, U) whose output changes."""
        graph = self.graph
        readers = torch.zeros(self.count, len(graph.readers), dtype=torch.bool)
        changed = self.changes.is_kept != self.changes.was_kept
        readers[self.changes.which[changed], self.changes.columns[changed]] = True
        writers = torch.zeros(self.count, len(graph.writers), dtype=torch.bool)
        for nodes, part in zip(graph.parts, self.parts, strict=True):
            readers[:, nodes.columns] |= self._reached(nodes.columns, writers[:, : nodes.seen])
            changed = readers[:, nodes.columns]  # (C, P)
            if part.mixed:
                writers[:, nodes.rows] = changed.any(1, keepdim=True)
            elif changed.any():
                writers[:, nodes.rows] = changed.float() @ graph.feeds(nodes).float() > 0
        readers[:, -1:] |= self._reached(slice(readers.shape[1] - 1, readers.shape[1]), writers)
        return readers, writers

    def _reached(self, columns: slice, writers: Tensor) -> Tensor:
        """Which readers see the changed output of one of ``writers`` (C, U'): boolean (C, P), or (1, 1) if none does."""
        if not writers.any():
            return torch.zeros(1, 1, dtype=torch.bool)
        kept = self.reference.kept[: writers.shape[1], columns].sum(-1)  # (U', P) spans
        edges = writers.float() @ kept.float()  # (C, P), how many edges carry a changed output
        here = self.changes.into(columns)
        more = (here.carries.float() - here.was_kept.float()) * writers[here.which, here.rows]
        return edges.index_put_((here.which, here.columns - columns.start), more, accumulate=True) > 0.5

    def _from_full(self) -> Tensor:
        """Boolean (V,): readers whose stream is the full stream minus deltas, not the ablated stream plus deltas."""
        times, changes = self.changed_readers.sum(0), self.changes
        kept = times * self.reference.kept.sum((0, 2))  # (V,), edges that are added to the ablated stream
        kept.index_add_(0, changes.columns, changes.is_kept.long() - changes.was_kept.long())
        subtracted = times * self.graph.mask.sum(0) * self.reference.kept.shape[2] - kept
        frozen = changes.is_frozen & self.changed_writers[changes.which, changes.rows]
        return subtracted.index_add_(0, changes.columns, frozen.long()) < kept

    def _stored(self) -> list[int]:
        """Writers of which some reader adds or subtracts the changed delta alone: these are stored one by one."""
        used = (self._weights_in_reference(slice(None)) != 0).any(2)  # (U, V)
        used = (used & self.changed_readers.any(0)).any(1) & self.changed_writers.any(0)
        changes = self.changes
        weighs = changes.carries != self.from_full[changes.columns]
        own = changes.rows[weighs & self.changed_writers[changes.which, changes.rows]]
        used[own] = True
        return used.nonzero().flatten().tolist()

    def _weights_in_reference(self, columns: slice | Sequence[int]) -> Tensor:
        """Weights (U, P, S), -1, 0 or 1, of the deltas that readers add where nothing of their edges is changed."""
        kept = self.reference.kept[:, columns]
        return (kept.to(torch.int8) - self.from_full[columns, None].to(torch.int8)) * self.graph.mask[:, columns, None]

    # ---- the run

    def run(self) -> tuple[Tensor, Tensor]:
        """The interventions (C',) whose logits change, and their logits (C', B, vocabulary), or (C', B, R, vocabulary)."""
        _, n, d = self.reference.deltas.shape
        early = bisect.bisect_left(self.stored, len(self.reference.deltas))
        self.reference_deltas = self.reference.deltas  # (U', N, D)
        self.deltas = self.reference_deltas.new_empty(self.count, early, n, d)  # stored ones: (C, L, N, D)
        self.affected: dict[int, Tensor] = {}  # by part index, the interventions (C',) that change the part
        self.part_outputs: dict[int, Tensor] = {}  # by part index, its output in these
        self.needs_stream_change = bool(self.from_full[self.changed_readers.any(0)].any())
        self.stream_change: Tensor | None = None  # the full stream minus the reference run's: (C, N, D)
        self.run_blocks()
        column = len(self.graph.readers) - 1
        affected = self._affecting([column])
        if not len(affected):
            return affected, self.reference.logits.new_empty(0, *self.reference.logits.shape)
        stream = self._streams(len(self.parts), [column], affected)[0]  # (C', B * R, D)
        return affected, self.context.unembed(stream)

    def _affecting(self, columns: Sequence[int]) -> Tensor:
        """The interventions (C',) that change the input of any of these readers."""
        return self.changed_readers[:, columns].any(1).nonzero().flatten()

    def _changed_columns(self, index: int) -> list[int]:
        """The readers of a part whose input any intervention changes."""
        columns = self.graph.parts[index].columns
        return (columns.start + self.changed_readers[:, columns].any(0).nonzero().flatten()).tolist()

    def run_heads(self, index: int, part: Heads) -> None:
        columns = self._changed_columns(index)
        self.affected[index] = self._affecting(columns)
        if not columns:
            return
        outputs = self._projections(index, part, columns)
        joint = {
            module: self._unpacked(output, self.reference.projections[index][module])
            for module, output in outputs.items()
        }
        values = self.context.components.attend(index, joint).unflatten(0, (len(self.affected[index]), -1))
        trims = index >= self.context.first_trimmed
        values = self.context.trim(values, prompts=1) if trims else values
        self.part_outputs[index] = part.scaled(self.context.pack(values, prompts=1))

    def _unpacked(self, output: Tensor, reference: Tensor) -> Tensor:
        """All positions (C' * B, T, features) of a projection from the live ones (C', N, features) and the reference run's."""
        rows, positions = self.context.live_rows, reference.flatten(0, 1)  # (B * T, features)
        if len(rows) < len(positions):
            output = positions.expand(len(output), -1, -1).index_copy(1, rows, output)
        return output.unflatten(1, reference.shape[:2]).flatten(0, 1)

    def _expert_inputs(self, index: int, part: Experts, columns: list[int]) -> Tensor:
        """The normalised stream at the ports of a mixture, for the interventions that change it: (P, C', N, D)."""
        affected, first = self.affected[index], self.graph.parts[index].columns.start
        inputs = self.reference.expert_inputs[index][:, None].repeat(1, len(affected), 1, 1)
        for some, groups in self._by_affected(index, columns):
            at = torch.searchsorted(affected, some)
            for group in groups:
                normed = part.norm(self._streams(index, group[:1], some)[0])
                for column in group:
                    inputs[column - first, at] = normed
        return inputs

    def _projections(self, index: int, part: Heads, columns: list[int]) -> dict[nn.Module, Tensor]:
        """An attention's projections for the interventions that change it: by module (C', N, features)."""
        affected = self.affected[index]
        by_affected, nodes = self._by_affected(index, columns), self.graph.parts[index].columns
        all_new = len(by_affected) == 1 and len(columns) == nodes.stop - nodes.start
        shape = len(affected), len(self.context.live_rows)
        outputs = {
            module: each.new_empty(*shape, each.shape[-1])
            if all_new
            else self.context.pack(each).repeat(shape[0], 1, 1)
            for module, each in self.reference.projections[index].items()
        }
        for some, groups in by_affected:
            at = None if len(some) == len(affected) else torch.searchsorted(affected, some)
            for first in range(0, len(groups), STREAMS_AT_ONCE):
                chunk = groups[first : first + STREAMS_AT_ONCE]
                streams = self._streams(index, [group[0] for group in chunk], some)
                for group, stream in zip(chunk, streams, strict=True):
                    project(self.graph, index, part, group, part.norm(stream), outputs, at)
        return outputs

    def _by_affected(self, index: int, columns: list[int]) -> list[tuple[Tensor, list[list[int]]]]:
        """Group ports of one part by the interventions that change them, and each group by the stream that its ports see.

        Interventions that change edges into the part are apart from the others, in which the ports see what their edges in
        the reference run make them see.
        """
        affected = self.affected[index]
        changes = self.changes.into(self.graph.parts[index].columns)
        own = torch.zeros(self.count, dtype=torch.bool)
        own[changes.which] = True
        alike = {column: self._alike(column) for column in columns}
        keys = {column: (alike[column], *self._key(column)) for column in columns if len(changes)}
        found: list[tuple[Tensor, list[list[int]]]] = []
        for some, key in ((affected[~own[affected]], alike), (affected[own[affected]], keys)):
            for same in grouped(columns, self.changed_readers[some][:, columns].T):
                which = some[self.changed_readers[some, same[0]]]
                if len(which):
                    found.append((which, grouped_by(same, key)))
        return found

    def _alike(self, column: int) -> Hashable:
        """Equal for readers of one part that see the same stream where no edge into them is changed."""
        return self.reference.alike[column]

    def _key(self, column: int) -> tuple[bytes, ...]:
        """What is changed of the edges into a reader, as something that can be compared."""
        here = self.changes.into(slice(column, column + 1))
        return tuple(each.numpy().tobytes() for each in (here.which, here.rows, here.spans, here.states))

    def trim_positions(self) -> None:
        last, n_early = self.context.last_rows, self.deltas.shape[1]
        early = self.deltas[:, :, last]  # (C, L, B, D)
        late = early.new_empty(self.count, len(self.stored) - n_early, *early.shape[2:])
        self.deltas = torch.cat([early, late], 1)
        self.reference_deltas = self.reference.trimmed_deltas
        if self.stream_change is not None:
            self.stream_change = self.stream_change[:, last]

    def run_part(self, index: int, part: Whole) -> None:
        columns = self._changed_columns(index)
        self.affected[index] = affected = self._affecting(columns)
        if not len(affected):
            return
        if isinstance(part, Experts):
            output = part.run_ports(list(self._expert_inputs(index, part, columns)))
        else:
            output = self._run_whole(index, part, part.norm(self._streams(index, columns, affected)[0]))
        trims = self.context.first_trimmed <= index <= self.context.last_mixing
        self.part_outputs[index] = output[:, self.context.last_rows] if trims else output

    def _run_whole(self, index: int, part: Whole, normed: Tensor) -> Tensor:
        """The output of a part (C', N, ...) for what it reads (C', N, D); a mixer reads whole prompts."""
        if part.kind != "mixer":
            return part.run(normed)
        prompts = normed.unflatten(1, self.context.live.shape).flatten(0, 1)  # (C' * B, T, D)
        return self.context.components.run(index, prompts).reshape(normed.shape)

    def write(self, index: int, part: AnyPart) -> None:
        affected = self.affected[index]
        if not len(affected):
            return
        output = self.part_outputs.pop(index)
        change = output - self.reference.part_outputs[index] if self.needs_stream_change else None
        ablated = self.context.pack(self.context.trim_output(index, self.ablated.parts[index]))
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
        """Write the experts' outputs (C', N, E, D)."""
        affected, first = self.affected[index], self.graph.parts[index].rows.start
        if change is not None:
            self._add_change(affected, change.sum(-2))
        for expert in range(part.size):
            if first + expert in self.stored_index:
                self._store(first + expert, affected, output[..., expert, :] - ablated[..., expert, :])

    def _write_heads(self, index: int, weight: Tensor, change: Tensor | None, output: Tensor, ablated: Tensor) -> None:
        """Write heads' (or neurons') outputs (C', N, H, K) through their ``weight`` (H, K, D)."""
        affected, first = self.affected[index], self.graph.parts[index].rows.start
        heads = [head for head in range(len(weight)) if self.changed_writers[:, first + head].any()]
        if change is not None:
            if len(heads) < len(weight):
                change, into = change[..., heads, :], weight[heads]
            else:
                into = weight
            self._add_change(affected, change.flatten(-2) @ into.flatten(0, 1))
        for head in heads:
            if first + head in self.stored_index:
                delta = output[..., head, :] - ablated[..., head, :]
                self._store(first + head, affected, delta @ weight[head])

    def _add_change(self, affected: Tensor, change: Tensor) -> None:
        """Add a part's change (C', N, D) to the change of the full stream."""
        if self.stream_change is None and len(affected) == self.count:
            self.stream_change = change
            return
        if self.stream_change is None:
            self.stream_change = change.new_zeros(self.count, *change.shape[1:])
        self.stream_change.index_add_(0, affected.to(change.device), change)

    def _store(self, writer: int, affected: Tensor, delta: Tensor) -> None:
        """Store a writer's delta (C', N, D); in the other interventions it is that of the reference run."""
        index = self.stored_index[writer]
        if len(affected) == self.count:
            self.deltas[:, index] = delta
        else:
            self.deltas[:, index] = self.reference_deltas[writer]
            self.deltas[affected, index] = delta

    # ---- what readers see

    def _streams(self, index: int, columns: list[int], some: Tensor) -> list[Tensor]:
        """The stream (C', N, D) that each reader of one part sees in ``some`` interventions (C',); not to be changed."""
        return [stream.contiguous() for stream in self._joint_streams(index, columns, some)]

    def _joint_streams(self, index: int, columns: list[int], some: Tensor) -> Tensor:
        """The same in one tensor (P, C', N, D)."""
        carried, frozen = self._weights(columns, some)
        streams = self._start_streams(index, columns, some)
        if not (carried.any() or frozen.any()):
            return streams
        stored = self.stored[: bisect.bisect_left(self.stored, len(carried[0]))]
        shared = carried + frozen  # a writer that is not stored has the reference run's delta
        shared[:, stored] = frozen[:, stored]
        own = carried[:, stored]
        spans = self.context.packed_spans(streams.shape[2])
        if shared.any():
            streams = streams + _shared_deltas(shared, self.reference_deltas[: len(carried[0])], spans)
        used = own.flatten(2).any(2).any(0).nonzero().flatten()  # of the stored writers, those that these readers read
        if len(used):
            few = 2 * len(used) <= len(stored)  # else taking them out would cost more than it saves
            own = own[:, used] if few else own
            deltas = self._stored_deltas(some, used if few else None, len(stored))
            streams = _with_stored(streams, own.to(deltas).expand(len(some), -1, -1, -1), deltas, spans)
        return streams

    def _stored_deltas(self, some: Tensor, used: Tensor | None, n_stored: int) -> Tensor:
        """Deltas in ``some`` interventions (C',) of the first stored writers, or of ``used`` ones: (C', L', N, D), not to be changed."""
        if len(some) == self.count:
            return self.deltas[:, :n_stored] if used is None else self.deltas[:, used]
        return self.deltas[some, :n_stored] if used is None else self.deltas[some[:, None], used]

    def _weights(self, columns: list[int], some: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (-1, 0 or 1) of the deltas in this run and of those in the reference run: (C', U', P, S) each.

        They are (1, U', P, S) if these readers have the edges of the reference run in all of ``some`` interventions (C',).
        """
        carried = self._weights_in_reference(columns)[None, : self.graph.visible_writers(columns[0])]
        at = torch.full((self.count,), -1)
        at[some] = torch.arange(len(some))
        changes = [self.changes.into(slice(column, column + 1)) for column in columns]
        changes = [change.take(at[change.which] >= 0) for change in changes]
        if not any(map(len, changes)):
            return carried, torch.zeros_like(carried)
        carried = carried.repeat(len(some), 1, 1, 1)
        frozen = torch.zeros_like(carried)
        for port, (column, change) in enumerate(zip(columns, changes, strict=True)):
            place = at[change.which], change.rows, torch.tensor(port), change.spans
            carried[place] = change.carries.to(torch.int8) - self.from_full[column].to(torch.int8)
            frozen[place] = change.is_frozen.to(torch.int8)
        return carried, frozen

    def _start_streams(self, index: int, columns: list[int], some: Tensor) -> Tensor:
        """What each reader's stream is built from, the ablated or the full stream: (P, C', N, D), not to be changed."""
        shape = (len(some), *self.reference.ablated_stream[index].shape)
        from_full = self.from_full[columns].tolist()
        starts = {True: self._full_stream(index, some) if any(from_full) else None}
        if not all(from_full):
            starts[False] = self.reference.ablated_stream[index].expand(shape)
        if len(set(from_full)) == 1:
            return cast(Tensor, starts[from_full[0]]).expand(len(columns), *shape)
        return torch.stack([cast(Tensor, starts[each]) for each in from_full])

    def _full_stream(self, index: int, some: Tensor) -> Tensor:
        """The stream as if no edge into a part were ablated: (C', N, D), not to be changed."""
        full, change = self.reference.full_stream[index], self.stream_change
        if change is None:
            return full.expand(len(some), *full.shape)
        return full + (change if len(some) == self.count else change[some])


def _with_stored(streams: Tensor, weights: Tensor, deltas: Tensor, spans: Tensor | None) -> Tensor:
    """Streams (P, C', N, D) plus each intervention's own deltas (C', L, N, D), by weights (C', L, P, S)."""
    if spans is not None:
        return streams + torch.einsum("clpn,clnd->pcnd", weights[..., spans], deltas)
    added = torch.baddbmm(streams.flatten(2).transpose(0, 1), weights[..., 0].transpose(1, 2), deltas.flatten(2))
    return added.transpose(0, 1).view(streams.shape)


def _shared_deltas(weights: Tensor, deltas: Tensor, spans: Tensor | None) -> Tensor:
    """Sums (P, C', N, D) of the deltas (U', N, D) that all interventions share, by weights (C', U', P, S)."""
    used = weights.any(3).any(2).any(0).nonzero().flatten()
    weights, deltas = weights[:, used].to(deltas), deltas if len(used) == len(deltas) else deltas[used]
    if spans is not None:
        return torch.einsum("cupn,und->pcnd", weights[..., spans], deltas)
    flat = weights[..., 0].permute(2, 0, 1).flatten(0, 1)  # (P * C', U')
    return (flat @ deltas.flatten(1)).view(weights.shape[2], len(weights), *deltas.shape[1:])
