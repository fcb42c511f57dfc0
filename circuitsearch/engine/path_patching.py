"""Path patching: two runs computed together, block by block.

In the *first run* the senders write ablated values, every other head and mixer writes its clean output, and MLPs are
computed from what they see. This gives the receivers' inputs. In the *second run* the receivers see those inputs, and
everything above them is computed. An MLP can have different outputs in the two runs: between two receivers it passes the
sender's change on to the later one in the first run, and the earlier receiver's change to everything else in the second.

Attention is never computed in the first run, because every head's output is known there.

Legend of shapes: C sets of senders, C' the sets that change a given part, B prompts, N live
positions of all prompts, D stream width, K head width, U writers, V readers.
"""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor

from circuitsearch.engine.interventions import Interventions
from circuitsearch.engine.reference import ReferenceRun
from circuitsearch.engine.replay import Replay, measure_runs
from circuitsearch.models.parts import AnyPart, Whole


def patch_paths(reference: ReferenceRun, senders: Tensor, receivers: Tensor) -> Tensor:
    """Patch the paths from senders to receivers that pass through no other head, as many sets at once as memory holds.

    Parameters
    ----------
    reference : ReferenceRun
        The clean run: it keeps every edge.
    senders : Tensor
        Boolean (C, U), on the CPU: the writers that write ablated values in the first run.
    receivers : Tensor
        Boolean (V,), on the CPU: the readers whose input in the second run is that of the first.

    Returns
    -------
    Tensor
        The pair's metric in the second run of each set of senders: (C, B), float64, on the CPU.
    """
    return measure_runs(reference, lambda chunk: _PathPatching(reference, senders[chunk], receivers), len(senders))[0]


class _PathPatching(Replay):
    """The second run as a replay of the clean run in which the receivers' input is replaced, and the first run beside it."""

    def __init__(self, reference: ReferenceRun, senders: Tensor, receivers: Tensor) -> None:
        mask = reference.context.graph.mask
        self.senders, self.receivers = senders, receivers
        self.seen = (mask & receivers).any(1)  # (U,) writers that a receiver sees
        self.first_readers = senders.float() @ mask.float() > 0  # (C, V), readers that a sender comes before
        super().__init__(reference, Interventions.none(len(senders)))

    def _reached(self, columns: slice, writers: Tensor) -> Tensor:
        """Which readers see a changed output: boolean (C, P); receivers see the senders' of the first run."""
        return torch.where(self.receivers[columns], self.first_readers[:, columns], super()._reached(columns, writers))

    def _alike(self, column: int) -> Hashable:
        """Equal for readers of one part that see the same stream; receivers see that of the first run."""
        return super()._alike(column), bool(self.receivers[column])

    @property
    def bytes_each(self) -> int:
        """Estimated memory for one set of senders; the first run has a stream and an MLP of its own."""
        return super().bytes_each + 8 * self.reference.stream_bytes

    def run(self) -> tuple[Tensor, Tensor]:
        """The sets of senders (C',) that change the second run's logits, and these logits (C', B, vocabulary)."""
        embed = self.context.pack(self.context.pair.clean[0].embed)
        self.first_change = embed.new_zeros(self.count, *embed.shape)  # first run's stream minus clean: (C, N, D)
        self._send(0, self.context.pack(self.ablated.embed) - embed)
        return super().run()

    def trim_positions(self) -> None:
        super().trim_positions()
        self.first_change = self.first_change[:, self.context.last_rows]

    def run_part(self, index: int, part: Whole) -> None:
        super().run_part(index, part)
        nodes = self.graph.parts[index]
        input_changes = self.senders[:, : nodes.seen].any(1) & ~self.senders[:, nodes.rows.start]
        is_computed = self.seen[nodes.rows.start] & (not nodes.mixes)
        self.first_affected = (input_changes & is_computed).nonzero().flatten()  # (C',)
        if len(self.first_affected):
            change = self.first_change[self.first_affected]
            self.first_output = part.run(part.norm(change + self.reference.full_stream[index]))

    def write(self, index: int, part: AnyPart) -> None:
        super().write(index, part)
        first, clean = self.graph.parts[index].rows.start, self.reference.part_outputs[index]
        change = self.context.pack(self.context.trim_output(index, self.ablated.parts[index])) - clean
        if isinstance(part, Whole):
            if len(self.first_affected):
                self.first_change[self.first_affected] += self.first_output - clean
            self._send(first, change)
            return
        for head, weight in enumerate(part.output_weight):  # change (N, H, K)
            self._send(first + head, change[..., head, :], weight)

    def _send(self, writer: int, change: Tensor, weight: Tensor | None = None) -> None:
        """Add a sender's change (N, D), or a head's (N, K) times its ``weight`` (K, D), to the first runs it is in."""
        sets = self.senders[:, writer].nonzero().flatten()
        if len(sets):
            self.first_change[sets] += change if weight is None else change @ weight

    def _streams(self, index: int, columns: list[int], some: Tensor) -> list[Tensor]:
        """The stream (C', N, D) that each reader of one part sees; receivers see that of the first run."""
        streams = super()._streams(index, columns, some)
        if not self.receivers[columns].any():
            return streams
        first = self.first_change[some] + self.reference.full_stream[index]
        return [first if self.receivers[column] else own for own, column in zip(streams, columns, strict=True)]
