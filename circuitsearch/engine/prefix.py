"""The prefix that clean and corrupt prompts share: it is run once, and later passes read its keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from circuitsearch.engine.trace import Activations, Record, run_blocks
from circuitsearch.models.describe import Described


@dataclass(frozen=True)
class Prefix:
    """Keys and values of the shared prefix: per layer two (B, G, T0, K) tensors."""

    keys_values: tuple[tuple[Tensor, Tensor], ...]

    def cache(self) -> DynamicCache:
        """A new cache for one pass over the batch."""
        return DynamicCache(list(self.keys_values))

    def repeat(self, copies: int) -> Prefix:
        """The prefix of so many copies of the batch."""
        return Prefix(
            tuple((keys.repeat(copies, 1, 1, 1), values.repeat(copies, 1, 1, 1)) for keys, values in self.keys_values)
        )

    def first_row(self) -> Prefix:
        """The prefix of the first prompt alone."""
        return Prefix(tuple((keys[:1], values[:1]) for keys, values in self.keys_values))

    def get_seq_length(self, layer: int = 0) -> int:
        """The number of positions of the prefix; part of the interface of Hugging Face's caches."""
        return self.keys_values[layer][0].shape[-2]

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Prepend the prefix to keys and values (C * B, G, T, K) of whole copies of the batch, as a cache does.

        Nothing is stored, so one prefix serves any number of passes.
        """
        prefix_keys, prefix_values = self.keys_values[layer]
        return _prepend(prefix_keys, keys), _prepend(prefix_values, values)


def _prepend(prefix: Tensor, tensor: Tensor) -> Tensor:
    copies = len(tensor) // len(prefix)
    return torch.cat([prefix.expand(copies, *prefix.shape), tensor.unflatten(0, (copies, -1))], dim=-2).flatten(0, 1)


def run_whole(described: Described, ids: Tensor, start: int) -> tuple[Activations, Prefix | None]:
    """Run whole prompts ``ids`` (B, T) once, without logits.

    Returns the writers' activations from position ``start`` on, and the prefix before it; None where there is none.
    """
    cache: Any = DynamicCache() if start else None
    taps = Record()
    with torch.no_grad():
        run_blocks(described, ids, taps, cache)
    if cache is None:
        return taps.activations, None
    prefix = Prefix(tuple((layer.keys[..., :start, :], layer.values[..., :start, :]) for layer in cache.layers))
    return taps.activations.map(lambda values: values[:, start:].contiguous()), prefix
