"""Values with another gradient than their own."""

from __future__ import annotations

from torch import Tensor


def routed(value: Tensor, route: Tensor) -> Tensor:
    """Return ``value``, bit-identical, with the gradient of ``route``, which has the same shape."""
    return value.detach() + (route - route.detach())


def halved(value: Tensor) -> Tensor:
    """Return ``value`` with half of its gradient."""
    return routed(value, value / 2)
