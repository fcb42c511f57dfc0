"""Runs that are float64 throughout: Hugging Face's modules turn to float32 inside, which would drown 1e-12."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Exact(TorchFunctionMode):
    """Whoever asks for float32 is given float64: in norms, rotary angles, routers, scans, softmaxes, logits."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float:
            return args[0].double()
        if kwargs and kwargs.get("dtype") is torch.float32:
            kwargs = {**kwargs, "dtype": torch.float64}
        if any(value is torch.float32 for value in args):
            args = [torch.float64 if value is torch.float32 else value for value in args]
        return func(*args, **(kwargs or {}))
