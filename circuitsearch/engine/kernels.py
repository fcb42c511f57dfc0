"""The contractions behind edge scores. A plain einsum of each stands in the tests as its oracle.

Shapes: U writers, P ports of one block, B prompts, T positions, N = B * T, D stream width, H heads, K head width.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from circuitsearch.engine.trace import Activations
from circuitsearch.models.arch import Described, Layer


@torch.no_grad()
def writes(described: Described, activations: Activations) -> Tensor:
    """Expand activations to what each writer adds to the stream: (U, B, T, D).

    Output-projection biases belong to no head and are left out.
    """
    b, t, d = activations.embed.shape
    graph = described.graph
    out = activations.embed.new_empty(len(graph.writers), b, t, d)
    out[0] = activations.embed
    for index, layer in enumerate(described.layers):
        values_HNK = rearrange(activations.heads[index], "b t h k -> h (b t) k")
        torch.bmm(values_HNK, layer.output_weight, out=out[graph.head_writers(index)].view(-1, b * t, d))
        out[graph.mlp_writer(index)] = activations.mlps[index]
    return out


def stream_scores(writes_UBTD: Tensor, grad_BTD: Tensor) -> Tensor:
    """Inner product of each write with the gradient at one port, over positions and prompts: (U,)."""
    return writes_UBTD.flatten(1) @ grad_BTD.flatten()


def port_scores(writes_UBTD: Tensor, layer: Layer, stream_BTD: Tensor, heads_BTPK: Tensor, grad_BTPK: Tensor) -> Tensor:
    """Inner product of each write with the gradient at each q, k and v port of a block: (U, P).

    ``heads_BTPK`` are the projections' outputs and ``grad_BTPK`` the metric's gradient at them. The gradient at a
    port is the latter times the head's weight and the norm's gain, pulled back through the norm's statistics, which
    take two projections out of it: the one onto the ones vector by centring the weight, the one onto the normalised
    stream as a rank-one correction whose coefficient is grad . head, less the head's constant part. So no stream is
    ever copied per head, and no norm is pulled back per port.
    """
    norm = layer.attn_norm
    normal_BTD, inverse_scale_BT1 = norm.normalise(stream_BTD)
    weight_PKD = layer.port_weight * norm.gain
    if norm.centred:
        weight_PKD = weight_PKD - weight_PKD.mean(-1, keepdim=True)
    grad_PNK = rearrange(grad_BTPK * inverse_scale_BT1[..., None], "b t p k -> p (b t) k")
    along_PN1 = rearrange(heads_BTPK - layer.port_constant, "b t p k -> p (b t) k").mul(grad_PNK).sum(-1, keepdim=True)
    port_grad_PND = torch.bmm(grad_PNK, weight_PKD)
    port_grad_PND.addcmul_(along_PN1, normal_BTD.flatten(0, 1), value=-1 / normal_BTD.shape[-1])
    return writes_UBTD.flatten(1) @ port_grad_PND.flatten(1).T
