"""The tensor contractions behind edge scores. The tests compare each with a plain einsum.

Shapes: U writers, P ports of one block, B prompts, T positions, N = B * T, D stream width, H heads, K head width, R runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from circuitsearch.engine.trace import Activations
from circuitsearch.models.describe import Described
from circuitsearch.models.norm import NoNorm
from circuitsearch.models.parts import Experts, Heads


@torch.no_grad()
def writes(described: Described, activations: Activations) -> Tensor:
    """Compute what each writer adds to the stream, in the precision of the activations: (U, B, T, D).

    Biases of output projections belong to no head and are left out.
    """
    b, t, d = activations.embed.shape
    graph = described.graph.base
    out = activations.embed.new_empty(len(graph.writers), b, t, d)
    out[0] = activations.embed
    for nodes, part, output in zip(graph.parts, described.parts, activations.parts, strict=True):
        if isinstance(part, Experts):
            out[nodes.rows] = rearrange(output, "b t e d -> e b t d")
        elif part.output_weight is None:
            out[nodes.rows.start] = output
        else:
            values_HNK = rearrange(output, "b t h k -> h (b t) k")
            torch.bmm(values_HNK, part.output_weight.to(values_HNK), out=out[nodes.rows].view(-1, b * t, d))
    return out


def inner_products(writes_UND: Tensor, grads_PND: Tensor, spans_N: Tensor | None = None, n_spans: int = 1) -> Tensor:
    """Inner product of each write with the gradient at each port, over prompts and the positions of each span: (U, P, S).

    ``spans_N`` is the index of each position's span; without it there is one span.
    """
    if spans_N is None:
        return (writes_UND.flatten(1) @ grads_PND.flatten(1).T)[..., None]
    inside = [(spans_N == span).nonzero().flatten() for span in range(n_spans)]
    products = [writes_UND[:, at].flatten(1) @ grads_PND[:, at].flatten(1).T for at in inside]
    return torch.stack(products, -1)


@dataclass(frozen=True)
class HeadGradients:
    """Gradients at a block's q, k and v ports, in a form that is summed over runs before it is expanded to the stream's width.

    The gradient at a port is the one at its head, times the head's weight and the norm's gain, pulled back through the
    norm's statistics, which take two projections out of it: the one onto the ones vector by centring the weight, the one
    onto the normalised stream as a rank-one correction whose coefficient is grad . head, less the head's constant part.
    So no stream is ever copied per head, and no norm is pulled back per port.

    Attributes
    ----------
    scaled_PNK
        Gradient at the heads times the norm's inverse scale, summed over R runs.
    along_PN
        Coefficient of the correction, of each run; none where the norm's scale is held fixed or there is no norm.
    normal_ND
        The normalised stream, of each run; none where the norm's scale is held fixed or there is no norm.
    """

    scaled_PNK: Tensor
    along_PN: tuple[Tensor, ...]
    normal_ND: tuple[Tensor, ...]

    @classmethod
    def of_run(
        cls, part: Heads, stream_BTD: Tensor, heads_BTPK: Tensor, grad_BTPK: Tensor, *, fixed_scale: bool = False
    ) -> HeadGradients:
        """Take one run: the stream before the norm, the projections' outputs and the metric's gradient at them."""
        normal_BTD, inverse_scale_BT1 = part.norm.normalise(stream_BTD)
        scaled_PNK = rearrange(grad_BTPK * inverse_scale_BT1[..., None], "b t p k -> p (b t) k")
        if fixed_scale or isinstance(part.norm, NoNorm):
            return cls(scaled_PNK, (), ())
        along_PN = rearrange(heads_BTPK - part.port_constant, "b t p k -> p (b t) k").mul_(scaled_PNK).sum(-1)
        return cls(scaled_PNK, (along_PN,), (normal_BTD.flatten(0, 1),))

    def __add__(self, other: HeadGradients) -> HeadGradients:
        return HeadGradients(
            self.scaled_PNK + other.scaled_PNK, self.along_PN + other.along_PN, self.normal_ND + other.normal_ND
        )

    def folded(self, copies: int) -> HeadGradients:
        """Of a run of whole copies of a batch the sum over copies, as of so many runs of the batch."""
        return HeadGradients(
            self.scaled_PNK.unflatten(1, (copies, -1)).sum(1),
            tuple(each for along in self.along_PN for each in along.chunk(copies, 1)),
            tuple(each for normal in self.normal_ND for each in normal.chunk(copies)),
        )

    def at_ports(self, part: Heads, some: Tensor, out_PND: Tensor) -> None:
        """Write the gradient at each port, of ``some`` positions (N,), summed over runs, to ``out_PND``."""
        weight_PKD = part.port_weight()
        if part.norm.centred:
            weight_PKD -= weight_PKD.mean(-1, keepdim=True)
        torch.bmm(self.scaled_PNK[:, some], weight_PKD, out=out_PND)
        if self.along_PN:
            along_NPR = torch.stack([along[:, some] for along in self.along_PN], -1).transpose(0, 1)
            normal_NRD = torch.stack([normal[some] for normal in self.normal_ND], 1)
            out_PND.transpose(0, 1).baddbmm_(along_NPR, normal_NRD, alpha=-1 / weight_PKD.shape[-1])
