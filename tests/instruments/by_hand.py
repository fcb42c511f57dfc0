"""GPT-2s whose heads are set by hand to play one role, and prompts in which they play it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from circuitsearch.task import Task

IO, S1, S2, THING, END, LENGTH = 2, 4, 8, 6, 11, 12
VOCABULARY = 16  # and as many positions
WIDTH = 4 * VOCABULARY
# Subspaces of the stream, (16, D) each; what the unembedding reads is SAID.
TOKEN, POSITION, SPARE, SAID = torch.eye(WIDTH, dtype=torch.float64).chunk(4)
NOTHING = torch.zeros_like(TOKEN)


def blank() -> Any:
    """Two blocks of two heads that do nothing."""
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=VOCABULARY, n_embd=WIDTH, n_layer=2, n_head=2, n_inner=8,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model: Any = GPT2LMHeadModel(config).eval().requires_grad_(False).double()
    for name, parameter in model.named_parameters():
        if "ln_" not in name:
            parameter.zero_()
    model.transformer.wte.weight.copy_(TOKEN)
    model.transformer.wpe.weight.copy_(POSITION)
    model.lm_head.weight.copy_(SAID)
    return model


def set_head(model: Any, name: str, query: Tensor, key: Tensor, output: Tensor, sharpness: float = 3.0) -> None:
    """Let a head match ``query`` with ``key`` directions (at most 32, D), and write the tokens it finds to ``output``."""
    layer, head = int(name[1]), int(name[4])
    attention: Any = model.transformer.h[layer].attn
    width = model.config.n_embd // model.config.n_head
    for third, directions in enumerate((sharpness * query, key, TOKEN)):
        first = third * model.config.n_embd + head * width
        attention.c_attn.weight[:, first : first + len(directions)] = directions.T
    attention.c_proj.weight[head * width : head * width + VOCABULARY] = output


def from_end_to(*places: int) -> Tensor:
    """Queries (16, D) with which the last token looks for positions."""
    query = torch.zeros_like(POSITION)
    query[list(places)] = POSITION[END]
    return query


def names(n: int = 24, seed: int = 0) -> Task:
    """Random tokens of which IO and S play the names; S comes twice, and the corrupt prompts hold three other names."""
    generator = torch.Generator().manual_seed(seed)
    clean, corrupt, answers, wrong = [], [], [], []
    for _ in range(n):
        drawn = torch.randperm(VOCABULARY, generator=generator).tolist()
        prompt = drawn[:LENGTH]
        prompt[S2] = prompt[S1]
        other = list(prompt)
        other[IO], other[S1], other[S2] = drawn[LENGTH : LENGTH + 3]
        clean.append(prompt)
        corrupt.append(other)
        answers.append(prompt[IO])
        wrong.append(prompt[S1])
    spans = [{"IO": IO, "S1": S1, "S2": S2, "END": END}] * n
    return Task.from_ids(clean, corrupt, answers, wrong, name="names", spans=spans, groups=range(n))


def duplicate() -> Any:
    """a0.h1 looks at the same token."""
    model = blank()
    set_head(model, "a0.h1", TOKEN, TOKEN, SPARE)
    return model


def copier() -> Any:
    """a0.h1 looks everywhere, and says what it sees."""
    model = blank()
    set_head(model, "a0.h1", NOTHING, NOTHING, SAID)
    return model


def mover(sign: float) -> Any:
    """a1.h0 looks from the end at IO, and says it, or speaks against it."""
    model = blank()
    set_head(model, "a1.h0", from_end_to(IO), POSITION, sign * SAID)
    return model


def suppressor() -> Any:
    """a0.h0 says a thing of the prompt; a1.h1 finds where it stands, and takes half of it back."""
    model = blank()
    set_head(model, "a0.h0", from_end_to(THING), POSITION, SAID)
    set_head(model, "a1.h1", SAID, TOKEN, -0.5 * SAID)
    return model


def inhibited() -> Any:
    """a1.h1 would look from the end at both names; a0.h0 looks at S2 and turns it away from that token."""
    model = blank()
    set_head(model, "a0.h0", from_end_to(S2), POSITION, SPARE)
    set_head(model, "a1.h1", torch.cat([from_end_to(IO, S1), -SPARE]), torch.cat([POSITION, TOKEN]), SAID, 1.0)
    return model
