"""What a trained pico can do, and which of its heads do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

import torch
from torch import Tensor

from circuitsearch.example import Example
from circuitsearch.tasks.induction import writer as induction
from circuitsearch.tasks.words import NAMES
from circuitsearch.text import encode

from .text import letters, reserved, task_writers

Head = tuple[str, float]
"""A head's name and its score."""


def accuracies(model: Any, tokenizer: Any, n: int = 200, seed: int = 0) -> dict[str, float]:
    """Share of reserved prompts of each task whose likeliest next token is a right answer."""
    pairs = induction(tokenizer)
    writers = {**task_writers(tokenizer), "induction": partial(pairs.rule, pools=pairs.pools)}
    scores = {task: answered(model, tokenizer, unseen(write, n, seed)) for task, write in writers.items()}
    return {**scores, "induction_20": repeated(model, tokenizer, n, seed)}


def unseen(write: Callable[[Random], Example], n: int, seed: int) -> list[Example]:
    """Examples that the training text leaves out."""
    random = Random(f"unseen {seed}")
    found: list[Example] = []
    while len(found) < n:
        example = write(random)
        if reserved(example.clean):
            found.append(example)
    return found


@torch.no_grad()
def answered(model: Any, tokenizer: Any, examples: list[Example]) -> float:
    """Share of the examples answered rightly."""
    right = 0
    prompts = [encode(tokenizer, example.clean) for example in examples]
    for length in sorted({len(ids) for ids in prompts}):
        rows = [row for row, ids in enumerate(prompts) if len(ids) == length]
        best = model(torch.tensor([prompts[row] for row in rows])).logits[:, -1].argmax(-1).tolist()  # (B,)
        for row, token in zip(rows, best, strict=True):
            right += token in {encode(tokenizer, answer)[-1] for answer in examples[row].answers}
    return right / len(examples)


def twice(tokenizer: Any, n: int, seed: int, size: int = 20) -> Tensor:
    """Segments of random tokens, each twice in a row, (n, 1 + 2 size)."""
    random, pool = Random(f"twice {seed}"), letters(tokenizer)
    segments = [random.sample(pool, size) for _ in range(n)]
    return torch.tensor([encode(tokenizer, "") + segment + segment for segment in segments])


@torch.no_grad()
def repeated(model: Any, tokenizer: Any, n: int, seed: int) -> float:
    """Accuracy on the second half of 20 random tokens said twice, from its second token on."""
    ids = twice(tokenizer, n, seed)
    best = model(ids).logits[:, 21:-1].argmax(-1)
    return (best == ids[:, 22:]).float().mean().item()


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """Let the model compute attention in the way that can return its patterns."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@torch.no_grad()
def heads(model: Any, tokenizer: Any, n: int = 100, seed: int = 0) -> dict[str, list[Head]]:
    """Attention scores of the best heads of each kind."""
    with eager(model):
        on_repeat = attentions(model, twice(tokenizer, n, seed))  # (L, B, H, T, T)
        to_io, to_s1, to_s2, s2_to_s1 = name_attention(model, tokenizer, n, seed)
    previous = on_repeat.diagonal(-1, -2, -1)[..., 1:].mean((1, 3))
    induction = on_repeat.diagonal(-19, -2, -1)[..., 2:].mean((1, 3))
    return {
        "previous token": best(previous),
        "induction": best(induction),
        "duplicate token (S2 to S1)": best(s2_to_s1),
        "S-inhibition (END to S2)": best(to_s2),
        "name mover (END to IO less END to S1)": best(to_io - to_s1),
    }


def attentions(model: Any, ids: Tensor) -> Tensor:
    """Attention patterns of all layers, (layers, batch, heads, to, from)."""
    return torch.stack(model(ids, output_attentions=True).attentions)


def name_attention(model: Any, tokenizer: Any, n: int, seed: int) -> list[Tensor]:
    """Mean attention on IOI prompts, each (L, H): END to IO, to S1, to S2, and from S2 to S1."""
    sums: list[Tensor] = []
    examples = unseen(task_writers(tokenizer)["ioi"], n, seed)
    names = {encode(tokenizer, f" {name}")[-1] for name in NAMES}
    for example in examples:
        ids = encode(tokenizer, example.clean)
        subject = encode(tokenizer, example.wrong[0])[-1]
        places = [place for place, token in enumerate(ids) if token in names]
        s1, s2 = (place for place in places if ids[place] == subject)
        io = next(place for place in places if ids[place] != subject)
        pattern = attentions(model, torch.tensor([ids]))[:, 0]  # (L, H, T, T)
        row = [pattern[:, :, -1, io], pattern[:, :, -1, s1], pattern[:, :, -1, s2], pattern[:, :, s2, s1]]
        sums = [a + b for a, b in zip(sums, row, strict=True)] if sums else row
    return [total / n for total in sums]


def best(scores: Tensor, count: int = 4) -> list[Head]:
    """The highest of the scores (L, H), with the names of their heads."""
    values, places = scores.flatten().topk(min(count, scores.numel()))
    width = scores.shape[1]
    named = zip(places.tolist(), values.tolist(), strict=True)
    return [(f"a{place // width}.h{place % width}", round(value, 3)) for place, value in named]
