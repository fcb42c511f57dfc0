"""Runs that are float64 throughout: Hugging Face's modules turn to float32 inside, which would drown 1e-12."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

FLOAT32 = torch.float32


@contextmanager
def exact_throughout(every_call: bool = False) -> Iterator[None]:
    """Whoever asks for float32 is given float64: in norms, rotary angles, routers, scans, softmaxes, logits.

    The names of float32 are replaced. Code that has it as the default value of a parameter does not use a name any more; for such
    models ``every_call`` of torch is looked at, which makes tiny models half as slow again.
    """
    turned = torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        with _EveryCall() if every_call else nullcontext():
            yield
    finally:
        torch.float32 = torch.float = FLOAT32
        torch.Tensor.float = turned


class _EveryCall(TorchFunctionMode):
    """Turns arguments that are float32 to float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if kwargs and kwargs.get("dtype") is FLOAT32:
            kwargs = {**kwargs, "dtype": torch.float64}
        if any(value is FLOAT32 for value in args):
            args = [torch.float64 if value is FLOAT32 else value for value in args]
        return func(*args, **(kwargs or {}))
