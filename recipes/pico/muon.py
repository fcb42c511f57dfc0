"""Muon: momentum whose matrices are made orthogonal before they are applied."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonal updates, for the matrices inside the blocks.

    A matrix whose columns are several matrices side by side (query, key and value in GPT-2) is taken apart first.

    References
    ----------
    Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float = 0.01, momentum: float = 0.95, decay: float = 0.3):
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Apply one update to every matrix."""
        for group in self.param_groups:
            for matrix in group["params"]:
                momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                ahead = matrix.grad.lerp(momentum, group["momentum"])  # Nesterov's look ahead
                matrix.mul_(1 - group["lr"] * group["decay"])
                matrix.add_(update(ahead), alpha=-group["lr"])


def update(gradient: Tensor) -> Tensor:
    """The orthogonal matrix nearest to the gradient, part by part; a wide or tall one is scaled up."""
    rows, columns = gradient.shape
    parts = columns // rows if columns == 3 * rows else 1
    stack = gradient.view(rows, parts, columns // parts).transpose(0, 1)  # (parts, rows, columns / parts)
    scale = max(1.0, stack.shape[2] / stack.shape[1]) ** 0.5
    return scale * orthogonal(stack).transpose(0, 1).reshape(rows, columns)


def orthogonal(stack: Tensor, steps: int = 5) -> Tensor:
    """Push all singular values to about one by Newton-Schulz steps; shape (parts, rows, columns)."""
    tall = stack.shape[1] > stack.shape[2]
    x = stack.mT if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x
