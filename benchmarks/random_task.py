"""A task that a model of random weights does: it is answered by what the clean prompt makes likelier than the corrupt one."""

from __future__ import annotations

from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import circuitsearch as cs


def gpt2_small() -> Any:
    """GPT-2 small's shape, random weights, the same at every call."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config()).eval()


@torch.no_grad()
def likelier(model: Any, n: int, length: int, differs_at: int) -> cs.Task:
    """``n`` pairs of random tokens, of one length, that differ at one position."""
    clean = torch.randint(0, model.config.vocab_size, (n, length), generator=torch.Generator().manual_seed(0))
    corrupt = clean.clone()
    corrupt[:, differs_at] = (clean[:, differs_at] + 1) % model.config.vocab_size
    change = (model(clean).logits - model(corrupt).logits)[:, -1]  # (n, vocabulary)
    return cs.Task.from_ids(clean, corrupt, change.argmax(-1), change.argmin(-1), name="likelier")
