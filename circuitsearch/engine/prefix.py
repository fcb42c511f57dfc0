"""The prefix that clean and corrupt prompts share is run once; later passes read its keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from circuitsearch.models.arch import Described


@dataclass(frozen=True)
class Prefix:
    """Keys and values of the shared prefix: per layer two (B, G, T0, K) tensors."""

    keys_values: tuple[tuple[Tensor, Tensor], ...]

    def cache(self, rows: int) -> DynamicCache:
        """Return a cache of its own for a pass over ``rows`` prompts: whole copies of the batch one after another."""
        times = rows // len(self.keys_values[0][0])
        return DynamicCache([(_tile(keys, times), _tile(values, times)) for keys, values in self.keys_values])


def _tile(tensor: Tensor, times: int) -> Tensor:
    return tensor if times == 1 else tensor.repeat(times, 1, 1, 1)


def run_prefix(described: Described, ids: Tensor) -> Prefix | None:
    """Run the shared prefix ``ids`` (B, T0); None when there is nothing to share."""
    if ids.shape[1] == 0:
        return None
    cache: Any = DynamicCache()
    with torch.no_grad():
        described.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers))
