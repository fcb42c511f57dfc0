"""The precision of sums and statistics, and the precision in which a model itself works."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROWS = 8192  # of a matrix that are widened together
_FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def widened(tensor: Tensor) -> Tensor:
    """The tensor in at least float32: in float16 a square overflows above 256, and in bfloat16 a sum keeps 8 bits."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def row_mean(matrix: Tensor) -> Tensor:
    """The mean (D,) of the rows of a matrix (V, D), in at least float32, without a copy of all of them."""
    wide = torch.promote_types(matrix.dtype, torch.float32)
    sums = torch.stack([rows.sum(0, dtype=wide) for rows in matrix.split(ROWS)])
    return sums.sum(0) / len(matrix)


class CoarsestRounding(TorchDispatchMode):
    """Record the narrowest floating-point dtype of the results computed in a ``with`` block.

    Most families compute norms, rotary angles and softmax in float32 in a float64 model, and autocast or a quantised module
    may compute in fewer bits than the weights have.

    Attributes
    ----------
    eps : float
        Relative rounding error of that dtype.
    """

    def __init__(self) -> None:
        super().__init__()
        self.eps = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and value.dtype in _FLOATS:
                self.eps = max(self.eps, torch.finfo(value.dtype).eps)
        return result
