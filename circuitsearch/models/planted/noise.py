"""Noise on all weights of a model."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor


def add_noise(model: Any, size: float, generator: torch.Generator) -> None:
    """Add normal noise to every weight except the norms', in place.

    Its standard deviation is ``size`` times the root mean square of the same weights in all layers, so that components that
    write nothing get as much as those of the circuit.
    """
    for weights in _alike(model).values():
        scale = size * torch.cat([weight.flatten() for weight in weights]).square().mean().sqrt()
        for weight in weights:
            weight += scale * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)


def _alike(model: Any) -> dict[str, list[Tensor]]:
    """The same weights of all layers, by their name without the layer."""
    alike: dict[str, list[Tensor]] = defaultdict(list)
    for name, weight in model.named_parameters():
        if "ln_" not in name:
            alike[re.sub(r"\.\d+\.", ".", name)].append(weight)
    return alike
