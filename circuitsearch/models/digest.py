"""Digests of a model's weights and configuration."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

from circuitsearch.models.given import unwrapped
from circuitsearch.models.weights import all_weights


def weights_sha256(model: Any) -> str:
    """SHA-256 over a model's tensors: their names, dtypes, shapes and bytes, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in all_weights(unwrapped(model)):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


_NOT_OF_THE_MODEL = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


def config_sha256(model: Any) -> str:
    """SHA-256 over the settings of a model's configuration that differ from its family's defaults, without names and versions."""
    content = {name: value for name, value in model.config.to_diff_dict().items() if name not in _NOT_OF_THE_MODEL}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
