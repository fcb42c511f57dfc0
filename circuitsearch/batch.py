"""Batch: prompts that the model runs together, with their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Spans = Mapping[str, tuple[int, ...]]  # positions of each named token span of a prompt


@dataclass(frozen=True)
class Batch:
    """Examples whose clean and corrupt prompts agree before position ``start``.

    Shapes: ``rows`` (B,) places in the task; ``clean``, ``corrupt`` (B, T) ids, shorter prompts padded on the right;
    ``lengths`` (B,) of the prompts without padding; ``answers``, ``wrong`` (B, k) ids, padded with -1; ``position`` (B,)
    where the metric reads, or (B, K) where it reads an answer of K tokens; ``clean_logits`` (B, vocabulary), once known; ``aligned`` (B, T)
    the positions in the corrupt prompts that correspond to those of the clean ones, if not each to its own, and then ``corrupt`` has a
    length of its own. ``spans``: of each example, the positions of each
    named token span.
    """

    rows: Tensor
    clean: Tensor
    corrupt: Tensor
    lengths: Tensor
    answers: Tensor
    wrong: Tensor
    position: Tensor
    start: int
    clean_logits: Tensor | None = None
    aligned: Tensor | None = None
    spans: tuple[Spans, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def reads(self) -> Tensor:
        """(B, K) the positions that the metric reads, K = 1 unless the answers have several tokens."""
        return self.position.view(len(self), -1)

    @property
    def differs(self) -> Tensor:
        """(B, T) where the corrupt prompt has another token, or its token comes from another position."""
        return differing(self.clean, self.corrupt, self.aligned)

    def to(self, device: torch.device | str) -> Batch:
        """Copy the tensors to ``device``, but for ``rows``: they say where results belong, which stand on the CPU."""
        moved = {name: value.to(device) for name, value in self._tensors().items() if name != "rows"}
        return replace(self, **moved)

    def repeat(self, times: int) -> Batch:
        """The batch ``times`` times over, whole copies one after another."""
        return self.take(list(range(len(self))) * times)

    def halves(self) -> tuple[Batch, Batch]:
        """The first and the last half of the examples."""
        rows, half = range(len(self)), len(self) // 2
        return self.take(rows[:half]), self.take(rows[half:])

    def take(self, rows: Sequence[int]) -> Batch:
        """The batch with these of its examples, in this order; one may be taken several times."""
        taken = {name: value[list(rows)] for name, value in self._tensors().items()}
        return replace(self, **taken, spans=tuple(self.spans[row] for row in rows) if self.spans else ())

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


def differing(clean: Tensor, corrupt: Tensor, aligned: Tensor | None) -> Tensor:
    """Where the corrupt prompt (..., T') has another token than the clean one (..., T), or its token comes from another position."""
    if aligned is None:
        return clean != corrupt
    places = torch.arange(clean.shape[-1], device=clean.device)
    return (clean != corrupt.gather(-1, aligned)) | (aligned != places)


def filled(prompts: Sequence[Tensor]) -> Tensor:
    """Stack prompts, shorter ones padded on the right with their last token: (B, T)."""
    length = max(map(len, prompts))
    return torch.stack([torch.cat([ids, ids[-1:].expand(length - len(ids))]) for ids in prompts])


def padded(ids: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(ids), batch_first=True, padding_value=-1)
