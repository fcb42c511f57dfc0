"""The norms of what a model's components write: what the training keeps small, so that circuits are sparse."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2LMHeadModel


class OutputNorms:
    """The norms of what the heads and MLPs of a model add to the stream, as it runs; one head may write for free."""

    def __init__(self, model: GPT2LMHeadModel, free_layer: int, free_head: int = 0):
        self.free_head = free_head
        self.heads = model.config.n_head
        self.norms: list[Tensor] = []  # of (batch, positions) or (batch, positions, heads)
        self.handles = []
        blocks: Any = model.transformer.h
        for layer, block in enumerate(blocks):
            attention = partial(self._attention, layer == free_layer)
            self.handles.append(block.attn.c_proj.register_forward_pre_hook(attention))
            self.handles.append(block.mlp.register_forward_hook(self._mlp))

    def _attention(self, has_free: bool, projection: Any, inputs: tuple[Tensor]) -> None:
        z = inputs[0].unflatten(-1, (self.heads, -1))  # (B, T, H, K)
        weight = projection.weight.unflatten(0, (self.heads, -1))  # (H, K, D)
        gram = weight @ weight.mT  # (H, K, K): a head's norm without its output
        squares = torch.einsum("bthk,hkl,bthl->bth", z, gram, z)
        norms = (squares.clamp(min=0) + 1e-4).sqrt()  # (B, T, H)
        self._keep(norms.sum(-1) - has_free * norms[..., self.free_head])

    def _mlp(self, mlp: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        self._keep((output.square().sum(-1) + 1e-4).sqrt())

    def _keep(self, norms: Tensor) -> None:
        if torch.is_grad_enabled():  # not in the accuracy checks between steps
            self.norms.append(norms)

    def collect(self) -> Tensor:
        """The sum over components of the last run's norms, (B, T)."""
        total = torch.stack(self.norms).sum(0)
        self.norms.clear()
        return total

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self.handles:
            handle.remove()
