"""What tells one set of weights from another."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from circuitsearch.models.weights import all_weights


def weights_sha256(model: Any) -> str:
    """SHA-256 over a model's tensors: their names, dtypes, shapes and bytes, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in all_weights(model):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
