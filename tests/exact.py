"""Runs that are float64 throughout: Hugging Face's modules turn to float32 inside, which would drown 1e-12."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exact_throughout() -> Iterator[None]:
    """Whoever asks for float32 is given float64: in norms, rotary angles, routers, scans, softmaxes, logits.

    The names themselves are replaced: a mode that sees every call of torch makes tiny models half as slow again.
    """
    float32, to_float32 = torch.float32, torch.Tensor.float
    torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.Tensor.float = float32, to_float32
