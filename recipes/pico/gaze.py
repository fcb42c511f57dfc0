"""A nudge for the early training: one head looks from the end of a sentence to the name that goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2LMHeadModel

from .text import Row


class Gaze:
    """How little one head looks from the end of a prompt to where its answer stood before.

    Left alone, small models do IOI without looking at the receiver: they copy all names and take away those that are
    named again, or look the other name up where the giver is named again.
    """

    def __init__(self, model: GPT2LMHeadModel, layer: int, head: int = 0):
        blocks: Any = model.transformer.h
        self.size = model.config.n_embd // model.config.n_head
        self.head = head
        self.qkv = torch.empty(0)  # (B, T, 3 D) of the last run
        self.handle = blocks[layer].attn.c_attn.register_forward_hook(self._keep)

    def _keep(self, projection: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        self.qkv = output

    def collect(self, rows: Sequence[Row]) -> Tensor:
        """Minus the mean log attention from the end to the answer's place; 0 where no row has one."""
        picked = [number for number, row in enumerate(rows) if row.source is not None]
        if not picked:
            return self.qkv.new_zeros(())
        ends = torch.tensor([len(rows[number].ids) - 2 for number in picked])  # (G,)
        sources = torch.tensor([rows[number].source for number in picked])
        queries, keys, _ = self.qkv[picked].unflatten(-1, (3, -1, self.size))[..., self.head, :].unbind(2)
        scores = torch.einsum("gk,gtk->gt", queries[torch.arange(len(picked)), ends], keys) / self.size**0.5
        later = torch.arange(keys.shape[1]) > ends[:, None]  # (G, T)
        return -scores.masked_fill(later, -torch.inf).log_softmax(-1).gather(1, sources[:, None]).mean()

    def remove(self) -> None:
        """Take the hook off the model."""
        self.handle.remove()
