"""Prompts for instruments: one pair of prompts as a task, repeated random tokens, and shuffled prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from circuitsearch.errors import InputError
from circuitsearch.granularity import MERGED
from circuitsearch.metrics import logit_diff
from circuitsearch.models.describe import Described, describe
from circuitsearch.task import Task
from circuitsearch.text import encode

MOST_REPEATED = 20  # random tokens that are repeated


def prompt_pair(
    tokenizer: Any, clean: str, corrupt: str, answer: str, wrong: str | None, *, subject: str = "", name: str = "prompt"
) -> Task:
    """One prompt and its counterfactual as a task; its subject, if given, is the span ``subject``.

    Parameters
    ----------
    tokenizer
        A Hugging Face tokenizer.
    clean, corrupt : str
        Two prompts with the same number of tokens.
    answer, wrong : str
        Single tokens, with their leading space; without ``wrong`` the answer may have several.
    subject : str
        Words of the clean prompt.

    Raises
    ------
    InputError
        If the prompts differ in length, an answer is not one token, or the subject is not in the prompt.

    Examples
    --------
    >>> import circuitsearch as cs
    >>> _, tokenizer = cs.load("pico")
    >>> facts = ("The capital of France is", "The capital of Italy is", " Paris", " Rome")
    >>> cs.instruments.prompt_pair(tokenizer, *facts, subject="France").spans
    ({'subject': (4,), 'END': (5,)},)
    """
    at = clean.find(subject)
    if at < 0:
        raise InputError(f"the subject {subject!r} is not in the prompt {clean!r}")
    spans = {"subject": (at, at + len(subject))} if subject else {}
    task = Task.from_pair(clean, corrupt, answer, wrong, tokenizer, spans=spans, name=name)
    if subject and "subject" not in task.span_names:
        raise InputError(f"the subject {subject!r} does not begin and end with a token of this tokenizer")
    return task


def prompt_alone(model: Any, ids: Sequence[int], answer: int | None = None) -> tuple[Task, Tensor]:
    """One prompt as a task, for instruments that look at clean prompts, and the logits (vocabulary,) after it, on the CPU.

    Its answer is by default the model's likeliest token. Counterfactual and wrong answer are made up: nothing that such an instrument
    finds depends on them.
    """
    with torch.no_grad():
        logits = model(torch.tensor([list(ids)], device=model.device), logits_to_keep=1).logits[0, -1].float().cpu()
    right, size = int(logits.argmax()) if answer is None else answer, len(logits)
    corrupt = [*ids[:-1], (ids[-1] + 1) % size]
    return Task.from_ids([list(ids)], [corrupt], [right], [(right + 1) % size], name="prompt"), logits


def said_twice(model: Any, n: int, tokenizer: Any = None, *, seed: int = 0) -> Task:
    """Prompts of random tokens, repeated once (Olsson et al. 2209.11895), on which induction heads have a clear stripe.

    Parameters
    ----------
    model
        A Hugging Face causal language model: its vocabulary and number of positions limit the prompts' length.
    n : int
        How many prompts, 1 or more.
    tokenizer
        Its special tokens are not drawn, and the tokens that it puts before a prompt are added.
    seed : int
        Of the random draw.

    Raises
    ------
    InputError
        If the model has too small a vocabulary or too few positions, or ``n`` is below 1.
    """
    if n < 1:
        raise InputError(f"there must be at least one prompt, not {n}")
    return drawn_twice(describe(model, MERGED), n, tokenizer, seed)[0]


def drawn_twice(described: Described, n: int, tokenizer: Any = None, seed: int = 0) -> tuple[Task, int, int]:
    """Prompts of repeated random tokens; the number of tokens before them, and the number of tokens repeated."""
    start = [] if tokenizer is None else encode(tokenizer, "")
    special = set() if tokenizer is None else set(tokenizer.all_special_ids)
    size = min(described.model.config.vocab_size, 10**9 if tokenizer is None else len(tokenizer))
    pool = torch.tensor([token for token in range(size) if token not in special])
    longest = described.n_positions or 2 * MOST_REPEATED + len(start)
    half = min(MOST_REPEATED, len(pool), (longest - len(start)) // 2)
    if half < 3:
        raise InputError("this model has too small a vocabulary or too few positions for three repeated random tokens")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([pool[torch.randperm(len(pool), generator=generator)[:half]] for _ in range(n)])
    ids = torch.cat([torch.tensor(start, dtype=torch.long).expand(n, -1), drawn, drawn], 1)
    moved = torch.cat([ids[:, : len(start)], drawn.roll(1, 1), drawn], 1)  # another token follows the last one's copy
    name = f"{half} random tokens said twice"
    task = Task.from_ids(
        ids, moved, drawn[:, 0], drawn[:, 1], name=name, metric=logit_diff
    )  # the first random token comes again
    return task, len(start), half


def shuffled(task: Task, seed: int, keep: int = 0, last: bool = False) -> tuple[Task, tuple[Tensor, ...]]:
    """The task with each prompt's tokens in another order, and the new position of each token: N tensors (T,).

    Clean and corrupt prompts are shuffled in the same way; the first ``keep`` tokens do not move, nor does the last one if
    ``last`` is true. Spans and answers are unchanged, so they now mark random tokens.
    """
    generator = torch.Generator().manual_seed(seed)
    if task.aligned:
        raise InputError(
            "prompts and counterfactuals of unequal lengths cannot be shuffled alike: leave them out with align='drop'"
        )
    positions = tuple(_order(len(ids), keep, last, generator) for ids in task.clean)
    columns = [
        tuple(torch.empty_like(ids).scatter_(0, to, ids) for ids, to in zip(column, positions, strict=True))
        for column in (task.clean, task.corrupt)
    ]
    return replace(task, clean=columns[0], corrupt=columns[1], name=f"{task.name}, shuffled"), positions


def _order(length: int, keep: int, last: bool, generator: torch.Generator) -> Tensor:
    """The new position of each of ``length`` tokens."""
    order, end = torch.arange(length), length - int(last)
    order[keep:end] = keep + torch.randperm(end - keep, generator=generator)
    return order
