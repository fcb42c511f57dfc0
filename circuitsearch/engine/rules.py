"""Rules for the backward pass: activations are unchanged, and only the propagated gradient differs.

A rule gives a value the gradient of another, its *route* (see :func:`routed`). Rules are hooks on the model's modules for the
duration of a forward pass; they are removed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from circuitsearch.engine.routes import halved, routed
from circuitsearch.engine.soft_attention import SoftAttention
from circuitsearch.models.describe import Described
from circuitsearch.models.norm import Norm
from circuitsearch.models.parts import Whole


@dataclass(frozen=True)
class Rules:
    """What is propagated backward instead of the derivative; by default the derivative everywhere.

    Attributes
    ----------
    fixed_scales : bool
        The scale of a LayerNorm or RMSNorm is a constant, also in norms of queries and keys. Centring stays.
    secants : bool
        The slope of an activation function is act(x) / x instead of its derivative.
    halved_gates : bool
        The product of a gate and the gated values propagates half of its gradient to each factor.
    attention : SoftAttention, optional
        Rules within attention.
    """

    fixed_scales: bool = False
    secants: bool = False
    halved_gates: bool = False
    attention: SoftAttention | None = None

    @contextmanager
    def on(self, described: Described) -> Iterator[None]:
        """Apply the rules to the model for the duration of a ``with`` block, which must contain the forward pass."""
        with ExitStack() as undo:
            for handle in self._hooks(described):
                undo.callback(handle.remove)
            if self.attention is not None:
                undo.enter_context(self.attention.on(described.model, must_serve=any(described.heads)))
            yield

    def _hooks(self, described: Described) -> Iterator[Any]:
        if self.fixed_scales:
            for norm in dict.fromkeys(described.norms):  # parallel parts may share one
                yield norm.module.register_forward_hook(partial(_fix_scale, norm))
        for part in described.parts:
            if not isinstance(part, Whole):
                continue
            if self.secants and part.activation is not None:
                yield part.activation.register_forward_hook(_take_secant)
            if self.halved_gates and part.gated and part.down is not None:
                yield part.down.register_forward_pre_hook(_halve_input)


PLAIN = Rules()


def _fix_scale(norm: Norm, _: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return routed(output, norm.linear_part(args[0]))


def _take_secant(activation: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Replace the slope of act(x) by act(x) / x, and at x = 0 by its limit, the derivative."""
    (x,) = args
    zero = x.new_zeros((), requires_grad=True)
    with torch.enable_grad():
        (at_zero,) = torch.autograd.grad(activation.forward(zero), zero)
    slope = torch.where(x == 0, at_zero, output.detach() / x.detach())
    return routed(output, x * slope)


def _halve_input(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return halved(args[0]), *args[1:]
