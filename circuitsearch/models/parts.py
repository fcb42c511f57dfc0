"""The parts of a block as the engine runs them: attention by heads, and parts that are one node.

The *output* of a part is recorded: for attention the heads' scaled values (..., H, K), which only the output weight maps to the
stream; for any other part what it adds to the stream (..., D). Head values are scaled by the inverse scale of a norm that
follows the output projection (Gemma 2, OLMo 2); without such a norm they are unchanged.

Legend of shapes: T positions, D stream width, H heads, K head width, P ports (q, k and v heads one after another).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from circuitsearch.models.norm import NoNorm, Norm
from circuitsearch.models.precision import widened
from circuitsearch.models.weights import read_bias, read_weight


@dataclass(frozen=True)
class Projection:
    """Heads as features of a linear module's output.

    ``features`` (H, K) are the features of each head; those of one head are consecutive. If heads share features and each head is
    to have its own, the output is extended by copies: ``copied`` (features,) is the module's feature behind each.
    """

    module: nn.Module
    features: Tensor
    copied: Tensor | None = None

    @cached_property
    def _layout(self) -> tuple[int, int, int] | None:
        """First feature, distance between heads and head width; None if the distances differ."""
        width = self.features.shape[1]
        starts = self.features[:, 0]
        steps = starts.diff().tolist() or [width]
        return (int(starts[0]), steps[0], width) if len(set(steps)) == 1 else None

    @property
    def weight(self) -> Tensor:
        """(H, K, D), in head order."""
        return self.take(self.with_copies(output_by_input(self.module).T)).permute(1, 2, 0)

    @property
    def bias(self) -> Tensor:
        """(H, K); zeros if the module has none."""
        bias = read_bias(self.module)
        if bias is None:
            return read_weight(self.module).new_zeros(self.features.shape)
        return self.take(self.with_copies(bias))

    def with_copies(self, features: Tensor) -> Tensor:
        """Extend the module's own features (..., F) by copies, if there are any."""
        return features if self.copied is None else features.index_select(-1, self.copied.to(features.device))

    def ungrouped(self, sharing: int) -> Projection:
        """The projection with a copy of each head's features for each of the ``sharing`` heads."""
        copied = self.features.repeat_interleave(sharing, 0)
        return Projection(self.module, torch.arange(copied.numel()).view_as(copied), copied.flatten())

    def take(self, output: Tensor) -> Tensor:
        """Select the heads (..., H, K) in the module's output (..., features); a view if they are evenly spaced."""
        if self._layout is None:
            return output.index_select(-1, self.features.flatten().to(output.device)).unflatten(
                -1, tuple(self.features.shape)
            )
        first, step, width = self._layout
        span = (len(self.features) - 1) * step + width
        return output.narrow(-1, first, span).unfold(-1, width, step)

    def head(self, output: Tensor, head: int) -> Tensor:
        """View one head (..., K) in the module's output (..., features), to be written in place."""
        return output.narrow(-1, int(self.features[head, 0]), self.features.shape[1])

    def put(self, output: Tensor, heads: Tensor) -> Tensor:
        """Return a copy of the module's output (..., features) with these heads (..., H, K) in it."""
        return output.index_copy(-1, self.features.flatten().to(output.device), heads.flatten(-2))


@dataclass(frozen=True)
class Heads:
    """Attention, one node for each head.

    Attributes
    ----------
    norm : Norm or NoNorm
        The norm between the stream and the q, k and v ports.
    q, k, v : Projection
        Of the ports.
    o : Module
        The output projection: reads the heads' values, concatenated, and writes to the stream.
    post : Norm, optional
        Normalises the output of ``o`` before it is added to the stream.
    factor : float
        Multiplier of the output.
    attention : Module
        The attention module.
    inner_norms : tuple of Norm
        Of the heads' queries and keys.
    """

    kind = "heads"

    norm: Norm | NoNorm
    q: Projection
    k: Projection
    v: Projection
    o: nn.Module
    post: Norm | None
    factor: float
    attention: nn.Module
    inner_norms: tuple[Norm, ...]
    n_heads: int

    @property
    def entry(self) -> nn.Module:
        """The module whose input is the stream."""
        return self.norm.module or self.attention

    @cached_property
    def mixed(self) -> bool:
        """Whether heads share a statistic, so that the input of one changes the output of the others."""
        return self.post is not None or self.normed_together

    @cached_property
    def normed_together(self) -> bool:
        """Whether one norm spans the queries or keys of all heads, so that the input of one changes the others' values."""
        width = self.q.features.shape[1]
        return any(_last_dimension(norm.module, width) != width for norm in self.inner_norms)

    # ---- reading

    @property
    def ports(self) -> tuple[tuple[str, Projection], ...]:
        """The q, k and v projections by name."""
        return ("q", self.q), ("k", self.k), ("v", self.v)

    def projection(self, port: str) -> Projection:
        """The projection of the q, k or v ports."""
        return dict(self.ports)[port]

    @cached_property
    def projections(self) -> dict[nn.Module, tuple[str, ...]]:
        """The distinct projection modules, each with the ports that it serves."""
        modules: dict[nn.Module, tuple[str, ...]] = {}
        for port, projection in self.ports:
            modules[projection.module] = (*modules.get(projection.module, ()), port)
        return modules

    @cached_property
    def projection_widths(self) -> dict[nn.Module, int]:
        """The number of output features of each projection module, copies included."""
        copied = {projection.module: projection.copied for _, projection in self.ports}
        widths = {module: (copied[module], len(output_by_input(module))) for module in self.projections}
        return {module: own if copies is None else len(copies) for module, (copies, own) in widths.items()}

    def project(self, module: nn.Module, normed: Tensor) -> Tensor:
        """Project the normalised stream (..., D) by one module, copies included: (..., features)."""
        (port, *_) = self.projections[module]
        return self.projection(port).with_copies(module.forward(normed))

    @contextmanager
    def ungrouped(self, copy: bool = True) -> Iterator[None]:
        """Give each query head its own keys and values for the duration of a ``with`` block, if the graph is ungrouped.

        The projections' outputs then hold copies (not if ``copy`` is False, for when their forwards are replaced), and
        Hugging Face's attention is set to share nothing.
        """
        attention: Any = self.attention
        copying = [projection for _, projection in self.ports if projection.copied is not None]
        if not copying:
            yield
            return
        with ExitStack() as undo:
            for name, value in (("num_key_value_groups", 1), ("num_key_value_heads", self.n_heads)):
                if hasattr(attention, name):
                    undo.callback(setattr, attention, name, getattr(attention, name))
                    setattr(attention, name, value)
            for projection in copying if copy else ():
                hook = projection.module.register_forward_hook(partial(_copy_shared_heads, projection))
                undo.callback(hook.remove)
            yield

    def port_weight(self) -> Tensor:
        """Weights of all q, k and v heads, one after another, times the norm's gain: (P, K, D), the caller's own copy.

        They are in at least float32.
        """
        sizes = [len(projection.features) for _, projection in self.ports]
        like = widened(self.q.weight)
        out = like.new_empty(sum(sizes), *like.shape[1:])
        for (_, projection), some in zip(self.ports, out.split(sizes), strict=True):
            torch.mul(widened(projection.weight), self.norm.gain, out=some)
        return out

    @cached_property
    def port_constant(self) -> Tensor:
        """The constant part of the q, k and v heads, from bias and the norm's shift: (P, K), in at least float32."""
        shift, bias = self.norm.shift, torch.cat([widened(projection.bias) for _, projection in self.ports])
        if shift is None:
            return bias
        return bias + torch.cat([widened(projection.weight) @ widened(shift) for _, projection in self.ports])

    def take_ports(self, outputs: dict[str, Tensor]) -> Tensor:
        """Gather the q, k and v heads (..., P, K) from their projections' outputs, given by port."""
        return torch.cat([projection.take(outputs[port]) for port, projection in self.ports], dim=-2)

    # ---- writing

    @property
    def output_weight(self) -> Tensor:
        """Maps each head's scaled value to what it adds to the stream: (H, K, D)."""
        weight = rearrange(output_by_input(self.o), "d (h k) -> h k d", h=self.n_heads)
        if self.post is not None:
            weight = (weight * self.post.gain).to(weight.dtype)
        return weight if self.factor == 1 else weight * self.factor

    @property
    def output_bias(self) -> Tensor | None:
        """(D,), the constant that belongs to no head, or None."""
        bias = read_bias(self.o)
        return bias if bias is None or self.factor == 1 else bias * self.factor

    def scaled(self, values: Tensor) -> Tensor:
        """Scale head values (..., H, K), as they enter ``o``, by the inverse scale of the norm after ``o``, if there is one."""
        if self.post is None:
            return values
        _, inverse_scale = self.post.normalise(self.o.forward(values.flatten(-2)))  # (..., 1)
        return (values * inverse_scale[..., None]).to(values.dtype)

    def write(self, values: Tensor) -> Tensor:
        """What scaled values (..., H, K) add to the stream in total: (..., D)."""
        if self.post is None and self.factor == 1:
            return self.o.forward(values.flatten(-2))
        written = values.flatten(-2) @ self.output_weight.flatten(0, 1)
        return written if self.output_bias is None else written + self.output_bias


@dataclass(frozen=True)
class Whole:
    """A part that is one node: an MLP, a mixture of experts, or a mixer.

    Attributes
    ----------
    kind : str
        ``mlp`` or ``mixer``.
    norm : Norm or NoNorm
        The norm between the stream and its port.
    chain : tuple of Module
        Applied one after another; the output of the last is added to the stream.
    factor : float
        Multiplier of the output.
    activation : Module, optional
        Its nonlinearity.
    down : Module, optional
        The linear module that reads an MLP's neurons.
    gated : bool
        Whether the neurons are the product of a gate and the gated values.
    beside : Module, optional
        Called before the chain, on the same input; its output is added to the chain's.
    """

    kind: str
    norm: Norm | NoNorm
    chain: tuple[nn.Module, ...]
    factor: float
    activation: nn.Module | None
    down: nn.Module | None = None
    gated: bool = False
    beside: nn.Module | None = None

    post = None
    inner_norms = ()
    mixed = normed_together = False

    @property
    def entry(self) -> nn.Module:
        """The module whose input is the stream."""
        return self.norm.module or self.beside or self.chain[0]

    @property
    def output_weight(self) -> Tensor | None:
        """None: the output is already as wide as the stream."""
        return None

    @property
    def output_bias(self) -> Tensor | None:
        """None: constants are part of the output."""
        return None

    def run(self, normed: Tensor) -> Tensor:
        """What the part adds to the stream (..., D) when it reads ``normed`` (..., D)."""
        others = None if self.beside is None else tensor_of(self.beside.forward(normed))
        return self.finish(self.chain[0].forward(normed), normed, others)

    def finish(self, output: Any, normed: Tensor, others: Tensor | None = None) -> Tensor:
        """Compute what the part adds to the stream from the outputs of the first module of the chain and of ``beside``."""
        out = tensor_of(output)
        for module in self.chain[1:]:
            out = tensor_of(module.forward(out))
        out = out.view(normed.shape)  # some mixtures return their tokens flattened
        out = out if others is None else out + others
        return out if self.factor == 1 else out * self.factor

    def write(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values


@dataclass(frozen=True)
class Neurons(Whole):
    """An MLP, one node for each neuron; its output is its neurons (..., F, 1), as they enter the down projection."""

    @property
    def output_weight(self) -> Tensor:
        """Maps each neuron to what it adds to the stream: (F, 1, D)."""
        weight = output_by_input(self.down).T[:, None]
        return weight if self.factor == 1 else weight * self.factor

    @property
    def output_bias(self) -> Tensor | None:
        """(D,), the constant that belongs to no neuron, or None."""
        bias = read_bias(self.down)
        return bias if bias is None or self.factor == 1 else bias * self.factor

    def run(self, normed: Tensor) -> Tensor:
        """The neurons (..., F, 1) when the MLP reads ``normed`` (..., D)."""
        seen: list[Tensor] = []
        assert self.down is not None
        hook = self.down.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            out = normed
            for module in self.chain:
                out = module(out)
        finally:
            hook.remove()
        return seen[0].view(*normed.shape[:-1], -1, 1)

    def write(self, values: Tensor) -> Tensor:
        """What neurons (..., F, 1) add to the stream in total: (..., D)."""
        assert self.down is not None
        out = self.down.forward(values.flatten(-2))
        return out if self.factor == 1 else out * self.factor


@dataclass(frozen=True)
class Experts(Whole):
    """A mixture, one node for each expert; its output is what each adds to the stream (..., E, D), weighted by the router.

    Attributes
    ----------
    experts : Module
        Takes tokens (N, D), the experts of each token (N, k), and their weights (N, k).
    router : Module
        Its input is what the router reads.
    size : int
        How many experts.
    """

    experts: nn.Module = field(kw_only=True)
    router: nn.Module = field(kw_only=True)
    size: int = field(kw_only=True)

    def run(self, normed: Tensor) -> Tensor:
        """What each expert adds (..., E, D) when all ports read ``normed`` (..., D)."""
        return self.run_ports([normed] * (self.size + 1))

    def run_ports(self, normed: Sequence[Tensor]) -> Tensor:
        """What each expert adds (..., E, D) when each reads its own tensor of ``normed`` (..., D), and the router the last."""
        *of_experts, routed = normed
        _, index, weights = self._routing(routed)
        values = self.values([each.flatten(0, -2) for each in of_experts], index, weights)
        values = values.view(*routed.shape[:-1], *values.shape[1:])
        return values if self.factor == 1 else values * self.factor

    def _routing(self, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The arguments with which the mixture calls its experts; the run is stopped there."""
        recorded: list[tuple[Tensor, Tensor, Tensor]] = []

        def stop(_: nn.Module, args: Any) -> None:
            recorded.append(args)
            raise _RoutingRecorded

        hook = self.experts.register_forward_pre_hook(stop)
        try:
            self.chain[0].forward(normed)
        except _RoutingRecorded:
            return recorded[0]
        finally:
            hook.remove()
        raise AssertionError("a mixture ran no experts")

    def values(self, tokens: Sequence[Tensor], index: Tensor, weights: Tensor) -> Tensor:
        """Each expert's weighted output (N, E, D) on its own ``tokens`` (N, D); zero where no token is routed to it."""
        each = []
        for expert, inputs in enumerate(tokens):
            token, rank = torch.where(index == expert)
            out = torch.zeros_like(inputs)
            if len(token):
                only = torch.full_like(token, expert)[:, None]
                output = self.experts.forward(inputs[token], only, weights[token, rank, None].to(weights.dtype))
                out = out.index_copy(0, token, output.to(out.dtype))
            each.append(out)
        return torch.stack(each, 1)

    def write(self, values: Tensor) -> Tensor:
        """What experts' values (..., E, D) add to the stream in total: (..., D)."""
        return values.sum(-2)


class _RoutingRecorded(Exception):
    """Stops a run that was made only to record the experts' arguments."""


@dataclass(frozen=True)
class Shared(Whole):
    """The expert of a mixture that all tokens share.

    Attributes
    ----------
    mixture : Module
        Adds its output to the experts' output.
    gate : Module, optional
        One number for each token (..., 1), whose sigmoid multiplies the output.
    """

    mixture: nn.Module = field(kw_only=True)
    gate: nn.Module | None = field(kw_only=True, default=None)

    def run(self, normed: Tensor) -> Tensor:
        """What it adds to the stream (..., D) when it and its gate read ``normed`` (..., D)."""
        out = tensor_of(self.chain[0].forward(normed))
        out = out if self.gate is None else torch.sigmoid(self.gate.forward(normed)) * out
        return out if self.factor == 1 else out * self.factor


AnyPart = Heads | Whole


def _copy_shared_heads(projection: Projection, _: nn.Module, __: Any, output: Tensor) -> Tensor:
    return projection.with_copies(output)


def output_by_input(module: Any) -> Tensor:
    """Weight as (output, input); GPT-2's Conv1D stores it transposed."""
    weight = read_weight(module)
    return weight.T if type(getattr(module, "base_layer", module)).__name__ == "Conv1D" else weight


def tensor_of(output: Any) -> Tensor:
    """A module's output without other returned values (router logits, states)."""
    return output[0] if isinstance(output, tuple) else output


def _last_dimension(module: Any, width: int) -> int:
    weight: Tensor | None = getattr(module, "weight", None)
    return width if weight is None else weight.shape[-1]
