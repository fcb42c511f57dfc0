"""Norms as affine maps at fixed statistics, which are computed in at least float32, as in the models."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from circuitsearch.errors import InputError
from circuitsearch.models.precision import widened
from circuitsearch.models.weights import read_bias, read_weight

_EPS_NAMES = ("eps", "variance_epsilon", "epsilon", "norm_eps")


@dataclass(frozen=True)
class Norm:
    """A LayerNorm or RMSNorm: (x - mean) * inverse scale * gain + shift.

    Attributes
    ----------
    module : Module
        The model's own.
    centred : bool
        Whether the mean is subtracted.
    offset : float or None
        Added to the module's weight to give the gain (1 in Gemma); None if the module has no weight.
    eps : float
        Added to the variance.
    factor : float
        Multiplier of the module's output.
    """

    module: nn.Module
    centred: bool
    offset: float | None
    eps: float
    factor: float = 1.0

    @property
    def gain(self) -> Tensor | float:
        """(D,) in at least float32, or a number."""
        if self.offset is None:
            return self.factor
        weight = widened(read_weight(self.module))
        gain = weight + self.offset if self.offset else weight
        return gain if self.factor == 1 else gain * self.factor

    @property
    def shift(self) -> Tensor | None:
        """(D,), or None."""
        bias = read_bias(self.module)
        return bias if bias is None or self.factor == 1 else bias * self.factor

    def __call__(self, stream: Tensor) -> Tensor:
        """Run the module on a stream (..., D), past any hooks on it."""
        normed = self.module.forward(stream)
        return normed if self.factor == 1 else normed * self.factor

    def normalise(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normalised stream before gain and shift (..., D), and the inverse scale (..., 1), in at least float32."""
        stream = widened(stream)
        centred = stream - stream.mean(-1, keepdim=True) if self.centred else stream
        inverse_scale = (centred.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return centred * inverse_scale, inverse_scale

    def described(self, stream: Tensor) -> Tensor:
        """Output for a stream (..., D) if the module is as described, in at least float32."""
        out = self.normalise(stream)[0] * self.gain
        return out if self.shift is None else out + self.shift

    def linear_part(self, stream: Tensor) -> Tensor:
        """Output for a stream (..., D) without the shift, with the scale a constant for autograd."""
        _, inverse_scale = self.normalise(stream.detach())
        wide = widened(stream)
        centred = wide - wide.mean(-1, keepdim=True) if self.centred else wide
        return (centred * inverse_scale * self.gain).to(stream.dtype)

    def pull_back(self, grad: Tensor, stream: Tensor, *, fixed_scale: bool = False) -> Tensor:
        """Pull a gradient (..., D) at the norm's output back to its input ``stream`` (..., D), in at least float32.

        With ``fixed_scale`` the scale is a constant, without a gradient.
        """
        normal, inverse_scale = self.normalise(stream)
        grad = widened(grad) * self.gain
        if self.centred:
            grad = grad - grad.mean(-1, keepdim=True)
        if not fixed_scale:
            grad = grad - normal * (grad * normal).mean(-1, keepdim=True)
        return grad * inverse_scale


@dataclass(frozen=True)
class NoNorm:
    """No norm: a part reads the stream itself; ``module`` may be an identity."""

    module: nn.Module | None = None

    centred = False
    gain = 1.0
    shift = None

    def __call__(self, stream: Tensor) -> Tensor:
        """Return the stream."""
        return stream

    def normalise(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream and an inverse scale of 1."""
        return widened(stream), torch.ones_like(widened(stream[..., :1]))

    def described(self, stream: Tensor) -> Tensor:
        """Return the stream."""
        return stream

    def pull_back(self, grad: Tensor, stream: Tensor, *, fixed_scale: bool = False) -> Tensor:
        """Return the gradient."""
        return widened(grad)


@torch.no_grad()
def describe_norm(module: Any, width: int) -> Norm | NoNorm:
    """Determine from two test vectors which kind of norm a module is, whatever its class is called.

    Raises
    ------
    InputError
        If it is neither a LayerNorm nor an RMSNorm over its last dimension.
    """
    if isinstance(module, nn.Identity):
        return NoNorm(module)
    weight: Tensor | None = getattr(module, "weight", None)
    shape = (width,) if weight is None else tuple(weight.shape)
    like = read_weight(module) if weight is not None else torch.empty(0)
    probe = torch.linspace(-1, 2, 2 * torch.Size(shape).numel(), device=like.device).sin().view(2, *shape)
    probe = (probe + 0.3) * torch.tensor([1.0, 0.01], device=like.device).view(2, *[1] * len(shape))
    probe = probe.to(like.dtype)
    made = module.forward(probe)
    if not made.isfinite().all():
        raise InputError(
            f"a {type(module).__name__} of the model returns values that are not finite: check its weights and dtype"
        )
    named = [getattr(module, name) for name in _EPS_NAMES if isinstance(getattr(module, name, None), float)]
    tried = product((False, True), (None,) if weight is None else (0.0, 1.0), named or (1e-5, 1e-6))
    norms = [Norm(module, *knobs) for knobs in tried]
    errors = [float((norm.described(probe) - made).abs().max()) for norm in norms]
    best = min(range(len(norms)), key=errors.__getitem__)
    rounding = max(torch.finfo(made.dtype).eps, torch.finfo(torch.float32).eps)  # some norms work in float32
    if not errors[best] <= 32 * rounding * max(float(made.abs().max()), 1e-6):
        raise InputError(
            f"a {type(module).__name__} is neither a LayerNorm nor an RMSNorm (it differs from the nearest of them by"
            f" {errors[best]:.2e}): the model cannot be read"
        )
    return norms[best]
