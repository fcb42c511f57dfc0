"""Builder: sets heads and MLPs of a GPT-2 by hand, in directions of its stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from circuitsearch.models.planted.design import Design
from circuitsearch.models.planted.layout import Layout
from circuitsearch.models.planted.stream import SIZE, Stream

NEURONS = 2 * SIZE
"""Neurons of each MLP."""
LOGIT = 5.0
"""Logit of an answer that is written with size 1."""
_HEAD_WIDTH = SIZE + 1  # a direction for each word, and the one that attends to the first position


@dataclass(frozen=True)
class Builder:
    """A GPT-2 whose heads and MLPs are set one by one, by their roles; those that are not set write nothing.

    Attributes
    ----------
    model : GPT2LMHeadModel
        The model.
    stream : Stream
        Its subspaces: ``"token"``, ``"position"`` (both from the embedding), ``"output"`` (read by the unembedding),
        ``"noise"`` (for distractors), and those of the motif.
    layout : Layout
        The places of the roles.
    sharpness : float
        Attention score of a match.
    """

    model: Any
    stream: Stream
    layout: Layout
    sharpness: float

    @classmethod
    def of(cls, design: Design, layout: Layout, subspaces: tuple[str, ...], rotation: torch.Generator) -> Builder:
        """A model with its embedding and unembedding set, and no head or MLP."""
        names = ("token", "position", "output", "noise", *subspaces)
        width = design.heads * max(_HEAD_WIDTH, -(-Stream.least_width(names) // design.heads))
        stream = Stream.of(names, width, rotation if design.rotated else None)
        return cls(_blank(design, layout, stream), stream, layout, design.sharpness)

    def __getitem__(self, subspace: str) -> Tensor:
        """Directions that span a subspace of the stream: (SIZE, D)."""
        return self.stream[subspace]

    def head(
        self,
        role: str,
        *,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        output: Tensor,
        strength: float = 1.0,
        sink: Tensor | None = None,
    ) -> None:
        """Make a head match ``query`` directions with ``key`` directions, and copy ``value`` to ``output`` directions.

        Parameters
        ----------
        role : str
            The head.
        query, key : Tensor
            (N, D) directions: query n at one position matches key n at another.
        value, output : Tensor
            (M, D) directions.
        strength : float
            Size of what is written for a value of size 1.
        sink : Tensor, optional
            (D,) the direction to whose positions a query attends that matches nothing, with half of a match's score; by
            default the first position.
        """
        layer, head = self.layout.places[role]
        attention, width = self.model.transformer.h[layer].attn, self.stream.basis.shape[1]
        size = width // self.model.config.n_head
        # Queries and keys are as sharp as each other, for noise is relative to both; attention divides by the root of the size.
        sharp = (self.sharpness * size**0.5) ** 0.5
        q, k, v = (third * width + head * size for third in range(3))
        last = size - 1
        weight, bias = attention.c_attn.weight, attention.c_attn.bias
        weight[:, q : q + len(query)] = sharp * query.T
        weight[:, k : k + len(key)] = sharp * key.T
        weight[:, k + last] = sharp * (self["position"][0] if sink is None else sink)
        bias[q + last] = sharp / 2
        weight[:, v : v + len(value)] = value.T
        attention.c_proj.weight[head * size : head * size + len(output)] = strength * output

    def mlp(self, role: str, *, read: Tensor, threshold: Tensor | float, write: Tensor) -> None:
        """Make each neuron write how far what it reads is above a threshold.

        Parameters
        ----------
        role : str
            The MLP.
        read, write : Tensor
            (N, D) what each neuron reads and writes.
        threshold : Tensor or float
            (N,) or one for all.
        """
        layer, _ = self.layout.places[role]
        mlp = self.model.transformer.h[layer].mlp
        mlp.c_fc.weight[:, : len(read)] = read.T
        mlp.c_fc.bias[: len(read)] = -threshold
        mlp.c_proj.weight[: len(write)] = write

    def step(self, role: str, *, read: Tensor, write: Tensor, low: float, high: float) -> None:
        """Make an MLP write 0 where what it reads is below ``low``, and 1 where it is above ``high``, for each of (N, D) directions.

        Two neurons make a step. Its gradient is 0 outside ``low`` ... ``high``.
        """
        slope = 1 / (high - low)
        thresholds = torch.tensor([low, high], dtype=read.dtype).repeat_interleave(len(read))
        self.mlp(role, read=torch.cat([read, read]), threshold=thresholds, write=slope * torch.cat([write, -write]))

    def constant(self, role: str, write: Tensor) -> None:
        """Make an MLP write a vector (D,) whatever it reads."""
        layer, _ = self.layout.places[role]
        self.model.transformer.h[layer].mlp.c_proj.bias.copy_(write)


def _blank(design: Design, layout: Layout, stream: Stream) -> Any:
    """A model whose heads and MLPs write nothing."""
    width = stream.basis.shape[1]
    config = GPT2Config(
        vocab_size=SIZE, n_positions=SIZE, n_embd=width, n_layer=design.layers, n_head=design.heads, n_inner=NEURONS,
        activation_function="relu", tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # the random weights that are made here are not used
        model: Any = GPT2LMHeadModel(config).eval().requires_grad_(False).double()
    for parameter in model.parameters():
        parameter.zero_()
    _set_norms(model, design, layout)
    words = list(layout.words)
    model.transformer.wte.weight[words] = stream["token"]
    model.transformer.wpe.weight.copy_(stream["position"])
    # Every position gives the same to all logits, since a check of rounding relative to logits that are all 0 would fail.
    model.lm_head.weight[words] = LOGIT * (stream["output"] + stream["position"].sum(0)) + stream.shift
    return model


def _set_norms(model: Any, design: Design, layout: Layout) -> None:
    """Give each norm the gain with which it leaves a stream of the usual size there as it is."""

    def usual(n_writers: int) -> float:
        squared = design.constant**2 + 2 + n_writers  # a token, a position and the writes have size 1 each
        return (squared / model.config.n_embd) ** 0.5

    for layer, block in enumerate(model.transformer.h):
        block.ln_1.weight.fill_(usual(layout.writers_before(layer)))
        block.ln_2.weight.fill_(usual(layout.writers_before(layer, mlp=True)))
    model.transformer.ln_f.weight.fill_(usual(len(layout.places)))
