"""Models with a known circuit, built by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from circuitsearch.task import Task

VOCABULARY = POSITIONS = 16
_WIDTH = 4 * VOCABULARY  # four subspaces of the stream: token, position, previous token, next token

# The circuit of the induction model if the first token of the pair is corrupted.
INDUCTION_EDGES = (("embed", "a0.h0<v>"), ("a0.h0", "a1.h1<k>"), ("a1.h1", "logits"))


def induction_model(dtype: torch.dtype = torch.float64) -> GPT2LMHeadModel:
    """Build a GPT-2 of two blocks of two heads that continues A B ... A with B, and nothing else.

    Head ``a0.h0`` attends to the previous position and copies its token into a subspace of the stream; ``a1.h1`` attends
    to positions whose previous token is the current one, and copies the token there to the subspace that the unembedding
    reads. The other heads and the MLPs write nothing (Olsson et al. 2209.11895 describe the two heads).
    """
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=_WIDTH, n_layer=2, n_head=2, n_inner=8,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model: Any = GPT2LMHeadModel(config).eval().requires_grad_(False)
    model.to(dtype)
    for name, parameter in model.named_parameters():
        if "ln_" not in name:
            parameter.zero_()
    token, position, previous, following = (_block(i, dtype) for i in range(4))
    model.transformer.wte.weight.copy_(token)
    model.transformer.wpe.weight.copy_(position)
    model.lm_head.weight.copy_(following)
    earlier = torch.roll(position, -1, dims=0)  # row t is the direction of position t + 1, so that t + 1 attends to t
    _set_head(model, 0, 0, query=earlier, key=position, value=token, output=previous, sharpness=3.0)
    _set_head(model, 1, 1, query=token, key=previous, value=token, output=following, sharpness=1.0)
    return model


def induction_task(n: int = 24, seed: int = 0) -> Task:
    """Prompts x A B y A of distinct random tokens, to be continued with B; in corrupt ones another token replaces the first A."""
    generator = torch.Generator().manual_seed(seed)
    clean, corrupt, answers, wrong = [], [], [], []
    for _ in range(n):
        a, b, other, *rest = torch.randperm(VOCABULARY, generator=generator).tolist()
        clean.append([*rest[:3], a, b, *rest[3:6], a])
        corrupt.append([*rest[:3], other, b, *rest[3:6], a])
        answers.append(b)
        wrong.append(rest[3])
    return Task.from_ids(clean, corrupt, answers, wrong, name="planted-induction")


def _block(index: int, dtype: torch.dtype) -> Tensor:
    """Rows of the identity that span one subspace of the stream: (16, D)."""
    return torch.eye(_WIDTH, dtype=dtype)[index * VOCABULARY : (index + 1) * VOCABULARY]


def _set_head(
    model: GPT2LMHeadModel,
    layer: int,
    head: int,
    *,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    sharpness: float,
) -> None:
    """Make a head match ``query`` directions (16, D) of the stream with ``key`` ones, and copy ``value`` to ``output``."""
    attention: Any = model.transformer.h[layer].attn
    width = _WIDTH // model.config.n_head
    for third, directions in enumerate((sharpness * query, key, value)):
        first = third * _WIDTH + head * width
        attention.c_attn.weight[:, first : first + VOCABULARY] = directions.T
    attention.c_proj.weight[head * width : head * width + VOCABULARY] = output
