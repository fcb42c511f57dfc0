"""Path patching by two runs, which go side by side, block by block.

The *first* run finds what receivers see when senders write ablated values, all other heads write what they write in the
clean run, as do mixers, and MLPs answer to what they see. In the *second* the receivers see that, and all that lies above them answers.
An MLP may stand in both with different values: between a receiver and a later one it brings a sender's change to the
later one in the first run, and the earlier one's change to all others in the second.

Attention is never run for the first: its heads' values are known.

Legend of shapes: C sets of senders, C' those of them that a block concerns, B prompts, T positions, D stream width, U
writers, V readers.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from circuitsearch.engine.reference import ReferenceRun
from circuitsearch.engine.replay import Replay
from circuitsearch.models.parts import AnyPart, Whole


def patched_paths(reference: ReferenceRun, senders: Tensor, receivers: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Patch the paths from senders to receivers on which no other head lies, as many sets at once as memory holds.

    Parameters
    ----------
    reference : ReferenceRun
        The clean run: it keeps every edge.
    senders : Tensor
        Boolean (C, U), on the CPU: which writers write ablated values in the first run.
    receivers : Tensor
        Boolean (V,), on the CPU: which readers see in the second run what they saw in the first.

    Yields
    ------
    slice, Tensor
        Which sets of senders, and the second run's logits (C' * B, vocabulary) where the metric reads, whole copies of
        the batch one after another.
    """
    size = max(1, reference.context.pair.memory // _PathPatching(reference, senders, receivers).bytes_each)
    for first in range(0, len(senders), size):
        part = slice(first, min(first + size, len(senders)))
        with torch.no_grad():
            logits = _PathPatching(reference, senders[part], receivers).run()
        yield part, logits


class _PathPatching(Replay):
    """The second run as a replay of the clean one in which receivers are cut off, and the first run beside it."""

    def __init__(self, reference: ReferenceRun, senders: Tensor, receivers: Tensor) -> None:
        mask = reference.context.graph.mask
        self.senders, self.receivers = senders, receivers
        self.seen = (mask & receivers).any(1)  # (U,) writers that a receiver sees
        reached = (senders.to(torch.float32) @ mask.to(torch.float32) > 0) & receivers  # (C, V)
        super().__init__(reference, (mask & ~reached[:, None, :])[..., None], None)

    @property
    def bytes_each(self) -> int:
        """Roughly what one set of senders holds in memory at once; the first run has a stream, and an MLP of its own."""
        _, b, t, d = self.reference.deltas.shape
        return super().bytes_each + 8 * b * t * d * self.reference.deltas.dtype.itemsize

    def run(self) -> Tensor:
        """Logits (C * B, vocabulary) of the second run."""
        embed = self.context.pair.clean[0].embed
        self.first = embed.new_zeros(
            self.count, *embed.shape
        )  # the first run's stream less the clean one: (C, B, T, D)
        self._apply(0, self.ablated.embed - embed)
        return super().run()

    def trim_positions(self) -> None:
        super().trim_positions()
        self.first = self.context.trim(self.first, prompts=1)

    def run_part(self, index: int, part: Whole) -> None:
        super().run_part(index, part)
        place = self.graph.parts[index]
        moved = self.senders[:, : place.seen].any(1) & ~self.senders[:, place.rows.start]
        answers = self.seen[place.rows.start] & (not place.mixes)
        self.first_rows = (moved & answers).nonzero().flatten()  # (C',)
        if len(self.first_rows):
            stream = (self.first[self.first_rows] + self.reference.uncut_stream[index]).flatten(0, 1)  # (C' * B, T, D)
            written = part.run(part.norm(stream))
            self.first_written = written.unflatten(0, (len(self.first_rows), -1))

    def write(self, index: int, part: AnyPart) -> None:
        super().write(index, part)
        first = self.graph.parts[index].rows.start
        change = self.context.trim_output(index, self.ablated.parts[index]) - self.reference.part_outputs[index]
        if isinstance(part, Whole):
            if len(self.first_rows):
                self.first[self.first_rows] += self.first_written - self.reference.part_outputs[index]
            self._apply(first, change)
            return
        for head, weight in enumerate(part.output_weight):  # change (B, T, H, K)
            self._apply(first + head, change[..., head, :], weight)

    def _apply(self, writer: int, change: Tensor, weight: Tensor | None = None) -> None:
        """Let a writer's change (B, T, D), or a head's (B, T, K) through its ``weight`` (K, D), into its own first runs."""
        rows = self.senders[:, writer].nonzero().flatten()
        if len(rows):
            self.first[rows] += change if weight is None else change @ weight

    def _streams(self, place: int, columns: list[int], rows: Tensor) -> Tensor:
        """Streams (P, C', B, T, D) that readers of one place see: receivers those of the first run."""
        streams = super()._streams(place, columns, rows)
        for stream, column in zip(streams, columns, strict=True):
            if self.receivers[column]:
                torch.add(self.first[rows], self.reference.uncut_stream[place], out=stream)
        return streams
