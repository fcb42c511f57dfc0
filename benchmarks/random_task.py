"""A task that a model of random weights does: the answer is what the clean prompt makes likelier than the corrupt one."""

from __future__ import annotations

from typing import Any

import torch

import circuitsearch as cs


@torch.no_grad()
def likelier(model: Any, n: int, length: int, differs_at: int) -> cs.Task:
    """``n`` pairs of random tokens, of one length, that differ at one position."""
    clean = torch.randint(0, model.config.vocab_size, (n, length), generator=torch.Generator().manual_seed(0))
    corrupt = clean.clone()
    corrupt[:, differs_at] = (clean[:, differs_at] + 1) % model.config.vocab_size
    logits = model(clean).logits[:, -1]  # (n, vocabulary)
    change = logits - model(corrupt).logits[:, -1]
    answers = change.argmax(-1)
    less_likely = logits < logits.gather(1, answers[:, None])
    wrong = change.masked_fill(~less_likely, torch.inf).argmin(-1)
    return cs.Task.from_ids(clean, corrupt, answers, wrong, name="likelier")
