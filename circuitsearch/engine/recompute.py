"""Heads' values when one writer is ablated at their queries or keys only: attention is run again.

Unless heads share a statistic inside attention, one call serves every head of a block: all their queries see the ablated
stream, while keys and values are those of the clean run.

Legend of shapes: C senders of one chunk, S senders that a block sees, B prompts, T positions, D stream width, P ports of
one kind, H heads, K head width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from circuitsearch.engine.components import Components
from circuitsearch.engine.pair import Pair
from circuitsearch.engine.reference import WORK_STREAMS, project
from circuitsearch.engine.trace import Taps, run_blocks
from circuitsearch.models.parts import Heads


@dataclass
class _AttentionTaps(Taps):
    """Record the stream that attention reads and its projections' outputs."""

    streams: dict[int, Tensor] = field(default_factory=dict)  # (B, T, D) before the norm
    outputs: dict[int, dict[tuple[str, ...], Tensor]] = field(default_factory=dict)  # (B, T, features)

    def stream(self, index: int, stream: Tensor) -> None:
        self.streams[index] = stream

    def projection_output(self, index: int, ports: tuple[str, ...], output: Tensor) -> None:
        self.outputs.setdefault(index, {})[ports] = output


class CleanAttention:
    """Runs the clean run's attention again with the input of some ports changed."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.described = pair, pair.described
        self.components = Components(pair.described, pair.clean_ids, pair.prefix)
        taps = _AttentionTaps()
        with torch.no_grad():
            run_blocks(pair.described, pair.clean_ids, taps, pair.cache())
        self.streams = taps.streams
        self.outputs: dict[int, dict[nn.Module, Tensor]] = {
            index: {module: taps.outputs[index][ports] for module, ports in part.projections.items()}
            for index, part in pair.described.heads
        }

    @torch.no_grad()
    def effects(self, index: int, port: str, differences_UBTD: Tensor, grad_BTHK: Tensor) -> Tensor:
        """Effect on the metric of ablating each sender at one ``port``, ``q`` or ``k``, in one span: (U, P, S).

        It is the clean minus the ablated head value times the gradient at the value, summed over positions and prompts. The
        effects of heads that share a key are added.
        """
        values = self.components.attend(index, self.outputs[index])  # (B, T, H, K)
        wide = torch.promote_types(values.dtype, torch.float32)

        def effect(part_CBTD: Tensor, columns: range) -> Tensor:
            change = (values - self._ablated_values(index, columns, part_CBTD)).to(wide)  # (C, B, T, H, K)
            of_heads = torch.einsum("cbthk,bthk->ch", change, grad_BTHK.to(wide))
            return of_heads.unflatten(1, (len(columns), -1)).sum(-1)  # (C, P)

        spans = [
            torch.cat([effect(part * inside, columns) for part in differences_UBTD.split(self._senders_at_once)])
            for inside in self._span_masks()
            for columns in self._column_groups(index, port)
        ]
        return torch.stack(spans).unflatten(0, (len(self._span_masks()), -1)).permute(2, 1, 3, 0).flatten(1, 2)

    def _column_groups(self, index: int, port: str) -> list[range]:
        """Columns of one kind of port that one call serves: all, unless heads share a norm's statistic."""
        part, graph = self.described.parts[index], self.described.graph.base
        columns = graph.port_readers(graph.parts[index].layer, port)
        together = range(columns.start, columns.stop)
        return [range(column, column + 1) for column in together] if part.normed_together else [together]

    def _span_masks(self) -> list[Tensor | float]:
        """For each span a tensor (B, T, 1), 1 inside the span and 0 outside; 1 if there is one span."""
        if self.pair.spans is None:
            return [1.0]
        like = next(iter(self.streams.values()))
        return [(self.pair.spans == span)[..., None].to(like) for span in range(len(self.described.graph.spans))]

    @property
    def _senders_at_once(self) -> int:
        return max(1, self.pair.memory // (WORK_STREAMS * next(iter(self.streams.values())).nbytes))

    def _ablated_values(self, index: int, columns: range, differences_CBTD: Tensor) -> Tensor:
        """Head values (C, B, T, H, K) when each sender is ablated at some ports."""
        part, senders = self.described.parts[index], len(differences_CBTD)
        assert isinstance(part, Heads)
        outputs = {module: output.repeat(senders, 1, 1, 1) for module, output in self.outputs[index].items()}
        normed = part.norm(self.streams[index] - differences_CBTD)
        project(self.described.graph.base, index, part, columns, normed, outputs)
        joint = {module: output.flatten(0, 1) for module, output in outputs.items()}
        return self.components.attend(index, joint).unflatten(0, (senders, -1))
